"""The lanes of states: who led, and how machines looked to the load balancer and to the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from halab.config.quantities import format_duration
from halab.report.axis import Label, Scale, Span, Strip, placed, width_of
from halab.report.changes import LEADERS, StateChange, changes
from halab.scenario.record.events import StateReading
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import GAP_SECONDS

_MOST_LABELS = 6
_UNKNOWN = "unknown"
FINE = "fine"
# What a state of one machine is called, and what is said of its values: those that are as they should be first.
_ALARM = "etcd-alarm"
_OF_MACHINES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "backend": ("backend", {"up": (FINE, "up"), "down": ("down", "down")}),
    "node-ready": (
        "node",
        {"true": (FINE, "ready"), "false": ("down", "not ready"), "unknown": ("down", "not heard of")},
    ),
    _ALARM: ("etcd alarm", {"none": (FINE, "no alarm")}),
}
_COLOURS = 5


def leaders(history: History, scale: Scale) -> Iterator[Strip]:
    """A strip for each leader that was sampled, coloured by its machine."""
    for lane, name in LEADERS.items():
        if history.states.of(lane):
            spans = _spans(history.states.of(lane), partial(_leader, history.control_planes))
            found = changes(history, lane)
            note = "no change" if not found else f"{len(found)} {'change' if len(found) == 1 else 'changes'}"
            yield Strip(
                name.removesuffix(" leader"),
                note,
                [scale.bar(span.start, span.end, span.kind, span.value) for span in _drawn(spans, scale)],
                [*_above(found, scale, lambda change: change.after), *_inside(spans, scale)],
            )


def of_machines(history: History, scale: Scale) -> Iterator[tuple[str, Strip]]:
    """A strip for each state of each machine, with the machine's name."""
    for state, (called, values) in _OF_MACHINES.items():
        for lane in history.states.lanes:
            if lane.machine and lane.name == state:
                strip = _of_machine(history, lane, called, values, scale)
                # a member that is down cannot say whether it has an alarm: only an alarm is news
                if state != _ALARM or not strip.is_quiet:
                    yield lane.machine, strip


def _of_machine(
    history: History, lane: Lane, called: str, values: dict[str, tuple[str, str]], scale: Scale
) -> Strip:
    look = partial(_look, values)
    spans = _spans(history.states.of(lane), look)
    wrong = sum(span.end - span.start for span in spans if span.kind == "down")
    blind = sum(span.end - span.start for span in spans if span.kind == _UNKNOWN)
    fine = next(iter(values.values()))[1]
    words = [span.value for span in spans if span.kind == "down"]
    note = (
        f"{words[0]} {format_duration(wrong)}"
        if words
        else f"unknown {format_duration(blind)}"
        if blind
        else f"{fine} all along"
    )
    bars = [
        scale.bar(span.start, span.end, span.kind, span.value, thin=span.kind == FINE)
        for span in _drawn(spans, scale)
    ]
    above = _above(changes(history, lane), scale, lambda change: look(change.after)[1])
    return Strip(
        called,
        note,
        bars,
        [*above, *_inside([span for span in spans if span.kind == "down"], scale)],
        lane.machine,
        is_quiet=not words and (not blind or called == _OF_MACHINES[_ALARM][0]),
    )


def _look(values: dict[str, tuple[str, str]], value: str) -> tuple[str, str]:
    return values.get(value, ("down", value))


def _leader(machines: Sequence[str], value: str) -> tuple[str, str]:
    number = machines.index(value) % _COLOURS + 1 if value in machines else 0
    return f"leader-{number}", value


def _spans(readings: Sequence[StateReading], look: Callable[[str], tuple[str, str]]) -> list[Span]:
    """Neighbours that say the same as one. A short silence between two equal answers is no news."""
    spans: list[Span] = []
    for span in _single(readings, look):
        while (
            len(spans) > 1
            and spans[-1].kind == _UNKNOWN
            and _is_short(spans[-1])
            and _equal(spans[-2], span)
        ):
            del spans[-1]
        if spans and _equal(spans[-1], span):
            spans[-1] = replace(spans[-1], end=span.end)
        else:
            spans.append(span)
    return spans


def _single(readings: Sequence[StateReading], look: Callable[[str], tuple[str, str]]) -> Iterator[Span]:
    for number, reading in enumerate(readings):
        following = readings[number + 1].t if number + 1 < len(readings) else reading.end
        known_until = following if following - reading.t <= GAP_SECONDS else min(reading.end, following)
        kind, value = (_UNKNOWN, "") if reading.value is None else look(reading.value)
        yield Span(reading.t, known_until, kind, value)
        if known_until < following:
            yield Span(known_until, following, _UNKNOWN)


def _equal(span: Span, other: Span) -> bool:
    return (span.kind, span.value) == (other.kind, other.value)


def _is_short(span: Span) -> bool:
    return span.end - span.start <= GAP_SECONDS


def _drawn(spans: Sequence[Span], scale: Scale) -> Iterator[Span]:
    """In a column that several share, what is out of order is seen; of equals, the later one."""
    volume = {FINE: 0, _UNKNOWN: 1}
    return scale.merged(spans, lambda span, other: volume.get(span.kind, 2) >= volume.get(other.kind, 2))


def _above(found: Sequence[StateChange], scale: Scale, word: Callable[[StateChange], str]) -> list[Label]:
    """What it became, and how long after the fault or the heal before."""

    def label(change: StateChange) -> Label:
        text = f"{word(change)}, {change.when}"
        return Label(scale(change.t), text, "start", "change", is_above=True)

    return placed(map(label, found), most=_MOST_LABELS)


def _inside(spans: Sequence[Span], scale: Scale) -> Iterator[Label]:
    for span in spans:
        left, right = scale(span.start), scale(span.end)
        if span.value and right - left > width_of(span.value) + 8:
            yield Label((left + right) / 2, span.value, "middle", f"on-bar on-{span.kind}")
