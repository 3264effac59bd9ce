"""The timeline of an attempt: checks, hints and answers of the learner, and when requests of clients failed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby

from halab.drill.grade import Finding, TaskState
from halab.printable import counted, one_line

# Failures that are closer to each other are one outage: of three servers, one that hangs fails every third request.
_ONE_OUTAGE_SECONDS = 10.0
_NO_CHANGE = ": nothing has changed"


class MomentKind(StrEnum):
    CHECK = "check"
    HINT = "hint"
    ANSWER = "answer"
    CLIENTS = "clients"


@dataclass(frozen=True)
class Moment:
    """What happened, in words, so many seconds after the start of the attempt."""

    seconds: float
    kind: MomentKind
    text: str


def of_check(
    number: int, seconds: float, before: Mapping[str, Finding], found: Mapping[str, Finding]
) -> Moment:
    """A check, and for which tasks it found something else than the one before it."""

    def is_held(findings: Mapping[str, Finding], name: str) -> bool:
        return name in findings and findings[name].state is TaskState.DONE

    new = [name for name in found if is_held(found, name) and not is_held(before, name)]
    lost = [name for name in found if is_held(before, name) and found[name].state is TaskState.NOT_YET]
    unknown = [name for name, finding in found.items() if finding.state is TaskState.UNCHECKED]
    changes = [
        f"{_listed(names)} {one if len(names) == 1 else several}"
        for names, one, several in (
            (new, "is done", "are done"),
            (lost, "is no longer done", "are no longer done"),
            (unknown, "could not be checked", "could not be checked"),
        )
        if names
    ]
    told = f": {'; '.join(changes)}" if changes else _NO_CHANGE
    return Moment(seconds, MomentKind.CHECK, f"check {number}{told}")


def of_hint(number: int, seconds: float, cost: int) -> Moment:
    price = f"for {counted(cost, 'point')}" if cost else "free"
    return Moment(seconds, MomentKind.HINT, f"hint {number}, {price}")


def of_answer(task: str, seconds: float, answer: str, *, is_right: bool) -> Moment:
    told = f"answer to {task}: {one_line(answer)} ({'right' if is_right else 'wrong'})"
    return Moment(seconds, MomentKind.ANSWER, told)


def of_outages(outages: Iterable[tuple[float, float]], end: float) -> list[Moment]:
    """When requests of clients began to fail, whichever they were, and when all were answered again before the end."""
    moments = []
    for begun, over in merged(outages):
        moments.append(Moment(begun, MomentKind.CLIENTS, "requests of clients fail"))
        if over < end - 1:
            moments.append(Moment(over, MomentKind.CLIENTS, "all requests of clients are answered again"))
    return moments


def timeline(
    moments: Iterable[Moment], outages: Iterable[tuple[float, float]], end: float
) -> tuple[Moment, ...]:
    """What happened until the end, in order. Of checks in a row that found no change, the first one is there."""
    return tuple(_folded(sorted((*of_outages(outages, end), *moments), key=lambda moment: moment.seconds)))


def _folded(moments: Sequence[Moment]) -> Iterator[Moment]:
    for is_idle, group in groupby(moments, key=lambda moment: moment.text.endswith(_NO_CHANGE)):
        first, *others = group
        if is_idle and others:
            # a program may check every few seconds
            yield replace(first, text=first.text.replace(":", f", and {len(others)} more:"))
        else:
            yield from (first, *others)


def merged(periods: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The periods in their order, those that are near each other as one."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(periods):
        if merged and start - merged[-1][1] < _ONE_OUTAGE_SECONDS:
            merged[-1] = (merged[-1][0], max(merged[-1][1], round(end, 1)))
        else:
            merged.append((round(start, 1), round(end, 1)))
    return tuple(merged)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
