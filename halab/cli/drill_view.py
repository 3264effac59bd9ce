"""An attempt at a drill, its tasks and its outcome, as text on the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from halab.config.quantities import format_duration
from halab.drill import briefing
from halab.printable import counted

if TYPE_CHECKING:
    from halab.drill.attempt import Outcome
    from halab.drill.briefing import FillText
    from halab.drill.course import Course
    from halab.drill.grade import Grade
    from halab.drill.play import View

_WIDTH = 100
_MARKS = {"done": "✓", "not-yet": "·", "unchecked": "?", "waiting": "…", "closed": "✗"}


def start_lines(view: View, fill: FillText) -> Iterator[str]:
    """What the learner sees at the start: the situation, the objective and the tasks."""
    drill = view.drill
    limit = f", at most {format_duration(drill.time_limit)}" if drill.time_limit else ""
    about = f"{drill.difficulty}, about {format_duration(drill.estimated_time)}{limit}"
    yield f"{fill(drill.title)} ({view.attempt.drill}: {about})"
    yield from _section("Situation", fill(drill.initial_situation))
    yield from _section("Objective", fill(drill.objective))
    yield ""
    yield f"Tasks (you need {drill.passing_score} % of {drill.total} points to pass)"
    yield from task_lines(view, fill)
    if view.grade.violations:
        yield ""
        yield "Must not happen (the drill fails at once)"
        yield from (f"  - {briefing.VIOLATIONS[name]}" for name in view.grade.violations)
    for number, hint in enumerate(view.hints, 1):
        yield from _section(f"Hint {number} ({counted(hint.cost, 'point')})", fill(hint.text))
    yield ""
    following = briefing.next_hint_in_words(view)
    shown = f"{len(view.hints)} of {len(drill.hints)} hints shown{f'; {following}' if following else ''}"
    yield f"{format_duration(round(view.seconds))} so far; {shown}"


def task_lines(view: View, fill: FillText) -> Iterator[str]:
    width = max(map(len, view.drill.tasks))
    for task in view.grade.tasks:
        head = f"  {_MARKS[task.state]} {task.name.ljust(width)}  {task.points:>3}  "
        below = " " * len(head)
        answer = " (answer it)" if task.name in view.drill.questions else ""
        yield from textwrap.wrap(
            f"{fill(task.text)}{answer}", _WIDTH, initial_indent=head, subsequent_indent=below
        )
        note = briefing.note(view, task)
        if note:
            yield from textwrap.wrap(note, _WIDTH, initial_indent=below, subsequent_indent=below)


def violation_lines(view: View) -> Iterator[str]:
    """What fails the drill, if it happened or could not be checked."""
    for name, sighting in view.grade.violations.items():
        if sighting.state == "found":
            yield f"  ✗ {briefing.VIOLATIONS[name]} This must not happen: {sighting.seen}"
        elif sighting.state == "unchecked" and view.attempt.checks:
            yield f"  ? {briefing.VIOLATIONS[name]} This could not be checked: {sighting.seen}"


def score_line(grade: Grade) -> str:
    cost = f", minus {grade.cost} for hints" if grade.cost else ""
    return f"{grade.points} of {grade.total} points{cost}: {grade.score} %"


def ending(view: View, fill: FillText) -> Iterator[str]:
    """The outcome of an attempt, and its debrief."""
    outcome = view.outcome
    assert outcome is not None
    verdict = briefing.VERDICTS[outcome.verdict and str(outcome.verdict)]
    ending = f"{briefing.ENDINGS[outcome.ending]}, after {format_duration(outcome.seconds)}"
    yield f"{view.attempt.drill}: {verdict} ({ending})"
    yield f"  {score_line(view.grade)}"
    times = [f"{what} after {format_duration(seconds)}" for what, seconds in briefing.times(outcome)]
    if times:
        yield f"  {', '.join(times)}"
    if outcome.timeline:
        yield ""
        yield "Timeline"
        clock = [format_duration(round(moment.seconds)) for moment in outcome.timeline]
        width = max(map(len, clock))
        for at, moment in zip(clock, outcome.timeline, strict=True):
            yield from _wrapped(moment.text, f"  {at.rjust(width)}  ")
    if outcome.clients:
        yield ""
        yield "What clients saw"
        width = max(map(len, outcome.clients))
        for name, saw in outcome.clients.items():
            yield f"  {name.ljust(width)}  {briefing.clients_in_words(saw)}"
    yield from _section("Debrief", fill(view.drill.debrief))


def solution(view: View, fill: FillText) -> Iterator[str]:
    """The right answers and the scripts that solve the drill."""
    for name, answer in briefing.answers(view).items():
        yield from _section(f"Answer to {name}", answer)
    for machines, script in briefing.scripts(view, fill):
        yield ""
        yield f"Solution, on {machines}"
        yield from (f"    {line}" for line in script.splitlines())


def course_lines(
    courses: Sequence[Course], outcomes: Sequence[Outcome], lacking: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """The drills in a table for each course, with the best result of each. `lacking` is why the lab cannot run some."""
    from halab.drill.attempt import progress_of

    def progress(name: str) -> str:
        best = progress_of(outcomes, name)
        return "not in this lab" if best == "-" and name in lacking else best

    rows = {
        each.name: (each.name, str(each.drill.difficulty), format_duration(each.drill.estimated_time),
                    progress(each.name), each.drill.title)
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


def courses_as_data(
    courses: Sequence[Course], outcomes: Sequence[Outcome], lacking: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """The drills for programs, in learning order. `lacking` is empty for those that the lab can run."""
    from halab.drill.attempt import progress_of

    return [
        {"name": each.name, "title": each.drill.title, "course": course.name, "lesson": each.drill.lesson,
         "needs": list(each.drill.needs), "difficulty": str(each.drill.difficulty),
         "estimated_seconds": each.drill.estimated_time, "progress": progress_of(outcomes, each.name),
         "requires": each.drill.requires.model_dump(mode="json", exclude_defaults=True),
         "lacking": list(lacking.get(each.name, ()))}
        for course in courses for each in course.drills
    ]  # fmt: skip


def history_row(outcome: Outcome) -> tuple[str, ...]:
    verdict = briefing.VERDICTS[outcome.verdict and str(outcome.verdict)]
    return (
        f"{outcome.started:%Y-%m-%d %H:%M}", outcome.drill, verdict, f"{outcome.score} %",
        format_duration(outcome.seconds), str(outcome.hints), briefing.ENDINGS[outcome.ending],
    )  # fmt: skip


def _section(heading: str, text: str) -> Iterator[str]:
    """A heading, and a text with its paragraphs and lists wrapped; lines of code are kept as they are."""
    yield ""
    yield heading
    for place, (kind, block) in enumerate(briefing.blocks(text)):
        if place and kind == "prose":
            yield ""
        for number, line in enumerate(block.splitlines(), 1):
            if kind == "code":
                yield f"      {line}"
                continue
            head = {"list": "  - ", "steps": f"  {number}. "}.get(kind, "  ")
            yield from _wrapped(line, head)


def _wrapped(text: str, head: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head))
