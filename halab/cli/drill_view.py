"""An attempt at a drill, its tasks and its outcome, as text for people and as data for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from halab.cli.console import duration
from halab.config.quantities import format_duration

if TYPE_CHECKING:
    from halab.drill.attempt import Outcome
    from halab.drill.course import Course
    from halab.drill.grade import Grade, TaskResult
    from halab.drill.play import View

_WIDTH = 100
_MARKS = {"done": "✓", "not-yet": "·", "not-asked": "?", "waiting": "·", "closed": "✗"}
_IN_WORDS = {
    "not-yet": "not yet",
    "not-asked": "could not be checked",
    "waiting": "waits",
    "closed": "closed",
}
_ENDINGS = {
    "complete": "nothing is left to do",
    "final": "graded as it is",
    "time": "the time is over",
    "gave-up": "given up",
    "reset": "ended without a grade",
}
_VERDICTS = {"pass": "passed", "fail": "failed", "error": "could not be graded", None: "not graded"}

# Puts the names of machines into a text of the drill.
Told = Callable[[str], str]


def briefing(view: View, told: Told) -> Iterator[str]:
    """What the learner is told: the situation, the objective and the tasks."""
    drill = view.drill
    limit = f", at most {format_duration(drill.time_limit)}" if drill.time_limit else ""
    about = f"{drill.difficulty}, about {format_duration(drill.estimated_time)}{limit}"
    yield f"{told(drill.title)} ({view.attempt.drill}: {about})"
    yield from _section("Situation", told(drill.initial_situation))
    yield from _section("Objective", told(drill.objective))
    yield ""
    yield f"Tasks (you need {drill.passing_score} % of {drill.total} points to pass)"
    yield from task_lines(view, told)
    for number, hint in enumerate(view.hints, 1):
        yield from _section(f"Hint {number} ({hint.cost} points)", told(hint.text))
    yield ""
    yield f"{duration(view.seconds)} so far; {len(view.hints)} of {len(drill.hints)} hints shown"


def task_lines(view: View, told: Told) -> Iterator[str]:
    width = max(map(len, view.drill.tasks))
    for task in view.grade.tasks:
        head = f"  {_MARKS[task.state]} {task.name.ljust(width)}  {task.points:>3}  "
        below = " " * len(head)
        answer = " (answer it)" if task.name in view.drill.questions else ""
        yield from textwrap.wrap(
            f"{told(task.text)}{answer}", _WIDTH, initial_indent=head, subsequent_indent=below
        )
        note = _note(view, task)
        if note:
            yield from textwrap.wrap(note, _WIDTH, initial_indent=below, subsequent_indent=below)


def score_line(grade: Grade) -> str:
    cost = f", minus {grade.cost} for hints" if grade.cost else ""
    return f"{grade.points} of {grade.total} points{cost}: {grade.score} %"


def ending(view: View, told: Told) -> Iterator[str]:
    """The outcome of an attempt, and its debrief."""
    outcome = view.outcome
    assert outcome is not None
    verdict = _VERDICTS[outcome.verdict and str(outcome.verdict)]
    yield f"{view.attempt.drill}: {verdict} ({_ENDINGS[outcome.ending]}, after {duration(outcome.seconds)})"
    yield f"  {score_line(view.grade)}"
    done = [task.name for task in view.grade.tasks if task.state == "done"]
    for name, seconds in sorted(outcome.held.items(), key=lambda item: item[1]):
        # what held once and does not hold at the end has no points
        if name in done:
            yield f"  {name} was done after {duration(seconds)}"
    yield from _section("Debrief", told(view.drill.debrief))


def solution(view: View, told: Told) -> Iterator[str]:
    """The right answers and the scripts that solve the drill."""
    for name, task in view.drill.questions.items():
        yield from _section(f"Answer to {name}", " or ".join(task.answer or ()))
    for act in view.drill.solve:
        machines = ", ".join(view.attempt.chosen.get(act.on, [act.on]))
        yield ""
        yield f"Solution, on {machines}"
        yield from (f"    {line}" for line in told(act.run).splitlines())


def course_lines(courses: Sequence[Course], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The drills in a table for each course, with the best result of each."""
    from halab.drill.attempt import progress_of

    rows = {
        each.name: (each.name, str(each.drill.difficulty), format_duration(each.drill.estimated_time),
                    progress_of(outcomes, each.name), each.drill.title)
        for course in courses for each in course.drills
    }  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows.values(), strict=True)]
    for number, course in enumerate(courses):
        if number:
            yield ""
        yield f"{course.title} ({course.passed(outcomes)} of {len(course.drills)} passed)"
        for each in course.drills:
            cells = zip(rows[each.name], widths, strict=True)
            yield f"  {'  '.join(cell.ljust(width) for cell, width in cells)}".rstrip()


def courses_as_data(courses: Sequence[Course], outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """The drills for programs, in the order in which one learns."""
    from halab.drill.attempt import progress_of

    return [
        {"name": each.name, "title": each.drill.title, "course": course.name, "lesson": each.drill.lesson,
         "needs": list(each.drill.needs), "difficulty": str(each.drill.difficulty),
         "estimated_seconds": each.drill.estimated_time, "progress": progress_of(outcomes, each.name),
         "requires": each.drill.requires.model_dump(mode="json", exclude_defaults=True)}
        for course in courses for each in course.drills
    ]  # fmt: skip


def history_row(outcome: Outcome) -> tuple[str, ...]:
    verdict = _VERDICTS[outcome.verdict and str(outcome.verdict)]
    return (
        f"{outcome.started:%Y-%m-%d %H:%M}", outcome.drill, verdict, f"{outcome.score} %",
        duration(outcome.seconds), str(outcome.hints), _ENDINGS[outcome.ending],
    )  # fmt: skip


def as_data(view: View, told: Told) -> dict[str, Any]:
    """The attempt for programs; `verdict` and `ending` are null while it goes on."""
    drill, attempt, outcome = view.drill, view.attempt, view.outcome
    data: dict[str, Any] = {
        "drill": attempt.drill,
        "title": told(drill.title),
        "seed": attempt.seed,
        "situation": told(drill.initial_situation),
        "objective": told(drill.objective),
        "seconds": round(view.seconds, 1),
        "time_limit_seconds": drill.time_limit,
        "tasks": [
            {"name": task.name, "text": told(task.text), "points": task.points, "state": str(task.state),
             "is_question": task.name in drill.questions, "seen": _seen(view, task)}
            for task in view.grade.tasks
        ],
        "hints": [{"text": told(hint.text), "cost": hint.cost} for hint in view.hints],
        "hints_left": len(drill.hints) - len(view.hints),
        "points": view.grade.points,
        "cost": view.grade.cost,
        "total": view.grade.total,
        "score": view.grade.score,
        "passing_score": drill.passing_score,
        "verdict": str(outcome.verdict) if outcome and outcome.verdict else None,
        "ending": str(outcome.ending) if outcome else None,
    }  # fmt: skip
    if outcome:
        data["debrief"] = told(drill.debrief)
    return data


def _note(view: View, task: TaskResult) -> str:
    """The state of a task in words, and what was seen."""
    if task.state == "done" or not view.attempt.checks and task.state == "not-yet" and not task.seen:
        return ""
    seen = _seen(view, task)
    between = " " if task.state == "waiting" else ": "
    return f"{_IN_WORDS[task.state]}{between}{seen}" if seen else _IN_WORDS[task.state]


def _seen(view: View, task: TaskResult) -> str:
    """What was seen of a task. What the sampler saw names machines: it is shown when the attempt has ended."""
    is_sampled = view.drill.tasks[task.name].expect is not None
    return "" if is_sampled and task.state == "not-yet" and view.outcome is None else task.seen


def _section(heading: str, text: str) -> Iterator[str]:
    """A heading and prose, wrapped by paragraphs; indented lines are kept as they are."""
    yield ""
    yield heading
    prose: list[str] = []
    for line in [*text.strip().splitlines(), ""]:
        if line.strip() and not line.startswith(" "):
            prose.append(line)
            continue
        if prose:
            yield from textwrap.wrap(" ".join(prose), _WIDTH, initial_indent="  ", subsequent_indent="  ")
            prose = []
        if line.strip():
            yield f"  {line}"
