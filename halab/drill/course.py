"""Courses: the drills of halab in learning order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from halab.config.twin import Verdict
from halab.drill import library
from halab.drill.attempt import Outcome
from halab.drill.library import DrillScript

# In learning order.
_TITLES = {
    "first-steps": "First steps",
    "etcd": "etcd",
    "api-servers": "API servers and certificates",
    "api-access": "Access to the API",
    "exam": "Exam",
}


@dataclass(frozen=True)
class Course:
    """A course with its drills, in their order."""

    name: str
    title: str
    drills: tuple[DrillScript, ...]

    def passed(self, outcomes: Sequence[Outcome]) -> int:
        """How many of its drills were passed."""
        return len({script.name for script in self.drills} & passed_in(outcomes))


def courses() -> list[Course]:
    """The courses of halab, each with one drill or more. Raises BadFile with the problems of a drill file."""
    scripts = sorted((library.find(name) for name in library.names()), key=lambda each: each.drill.lesson)
    return [
        Course(name, title, tuple(script for script in scripts if script.drill.course == name))
        for name, title in _TITLES.items()
        if any(script.drill.course == name for script in scripts)
    ]


def passed_in(outcomes: Sequence[Outcome]) -> set[str]:
    """The names of the drills that were passed."""
    return {outcome.drill for outcome in outcomes if outcome.verdict is Verdict.PASS}


def next_drill(
    known: Sequence[Course], outcomes: Sequence[Outcome], left_out: Collection[str] = ()
) -> str | None:
    """The first drill that was not passed yet; None if all were. `left_out` are drills that the lab cannot run."""
    done = passed_in(outcomes) | set(left_out)
    return next((each.name for course in known for each in course.drills if each.name not in done), None)
