"""The lanes of states: the leaders, and the states of machines for the load balancer and the cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from halab.config.expectation import FactName, fact_of
from halab.config.quantities import format_duration
from halab.config.roles import MOST_BALANCERS, Role
from halab.report.axis import Label, Scale, Span, Strip, place_labels, width_of
from halab.report.changes import LEADERS, StateChange, changes
from halab.scenario.record.events import StateReading
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import GAP_SECONDS

_MOST_LABELS = 6
_UNKNOWN = "unknown"
FINE = "fine"
# The name of a machine's state, and the kind of bar and the word for its values. The first value is the normal one.
_ALARM = "etcd-alarm"
OF_MACHINES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "backend": ("backend", {"up": (FINE, "up"), "down": ("down", "down")}),
    "node-ready": (
        "node",
        {
            "true": (FINE, "ready"),
            "false": ("down", "not ready"),
            "unknown": ("down", "not ready (no heartbeat)"),
        },
    ),
    _ALARM: ("etcd alarm", {"none": (FINE, "no alarm")}),
    "etcd-member": (
        "etcd member",
        {"voter": (FINE, "a voter"), "learner": ("down", "learner"), "absent": ("down", "no member")},
    ),
    "dns-record": ("DNS record", {"listed": (FINE, "listed"), "absent": ("down", "no record")}),
    "kubernetes-endpoint": ("endpoint", {"listed": (FINE, "listed"), "absent": ("down", "not listed")}),
}
_OF_UNITS = {"active": (FINE, "active")}
# The values of these states are in MiB. The processes with a shorter name in their titles.
_MEMORY = "-memory"
_SHORT = {
    "kube-apiserver": "API",
    "kube-controller-manager": "KCM",
    "kube-scheduler": "scheduler",
    "balancer": "LB",
}
_COLOURS = 5


def leaders(history: History, scale: Scale) -> Iterator[Strip]:
    """A strip per sampled leader, coloured by its machine."""
    for lane, (_, title) in LEADERS.items():
        if history.states.of(lane):
            spans = _spans(history.states.of(lane), partial(_leader, _leading(history, lane)))
            moves = changes(history, lane)
            note = f"{len(moves) or 'no'} change{'s' if len(moves) > 1 else ''}"
            yield Strip(
                title,
                note,
                [scale.bar(span.start, span.end, span.kind, span.value) for span in _drawn(spans, scale)],
                [*_above(moves, scale, lambda change: change.after), *_inside(spans, scale)],
            )


def of_machines(history: History, scale: Scale) -> Iterator[tuple[str, Strip]]:
    """(machine, strip) for every state of every machine."""
    for state, (title, values) in OF_MACHINES.items():
        for lane in history.states.lanes:
            if lane.machine and lane.name == state:
                strip = _of_machine(history, lane, title, values, scale)
                # a stopped member cannot report alarms, so only an alarm itself is worth a lane
                if state != _ALARM or not strip.is_quiet:
                    yield lane.machine, strip
    for lane in history.states.lanes:
        readings = history.states.of(lane)
        # a unit is read on all machines, also on those that do not have it or do not use it
        if lane.machine is None or all(reading.value in (None, "inactive") for reading in readings):
            continue
        if lane.name == FactName.BACKEND_OF:
            yield lane.machine, _choice(history, lane, scale)
        elif lane.name.endswith(_MEMORY):
            yield lane.machine, _memory(readings, lane, scale)
        elif fact_of(lane.name) is FactName.UNIT_STATE:
            yield lane.machine, _of_machine(history, lane, lane.name, _OF_UNITS, scale)


def _choice(history: History, lane: Lane, scale: Scale) -> Strip:
    """To which control plane the node was connected, in the colours of the leaders."""
    spans = _spans(history.states.of(lane), partial(_leader, history.control_planes))
    moves = changes(history, lane)
    return Strip(
        "API server",
        f"{len(moves) or 'no'} change{'s' if len(moves) > 1 else ''}",
        [scale.bar(span.start, span.end, span.kind, span.value) for span in _drawn(spans, scale)],
        [*_above(moves, scale, lambda change: change.after), *_inside(spans, scale)],
        lane.machine,
    )


def _memory(readings: Sequence[StateReading], lane: Lane, scale: Scale) -> Strip:
    """When the process ran, and between which amounts its memory was."""
    spans = _spans(readings, lambda value: (FINE, ""))
    known = [int(reading.value) for reading in readings if reading.value]
    process = lane.name.removesuffix(_MEMORY)
    return Strip(
        f"{_SHORT.get(process, process)} memory",
        f"{min(known)} to {max(known)} MiB",
        [
            scale.bar(span.start, span.end, span.kind, thin=span.kind == FINE)
            for span in _drawn(spans, scale)
        ],
        [],
        lane.machine,
    )


def _of_machine(
    history: History, lane: Lane, title: str, values: dict[str, tuple[str, str]], scale: Scale
) -> Strip:
    describe = partial(_describe, values)
    spans = _spans(history.states.of(lane), describe)
    down = sum(span.end - span.start for span in spans if span.kind == "down")
    unknown = sum(span.end - span.start for span in spans if span.kind == _UNKNOWN)
    fine = next(iter(values.values()))[1]
    bad_values = [span.value for span in spans if span.kind == "down"]
    note = (
        f"{bad_values[0]} {format_duration(down)}"
        if bad_values
        else f"unknown {format_duration(unknown)}"
        if unknown
        else f"always {fine}"
    )
    bars = [
        scale.bar(span.start, span.end, span.kind, span.value, thin=span.kind == FINE)
        for span in _drawn(spans, scale)
    ]
    above = _above(changes(history, lane), scale, lambda change: describe(change.after)[1])
    return Strip(
        title,
        note,
        bars,
        [*above, *_inside([span for span in spans if span.kind == "down"], scale)],
        lane.machine,
        is_quiet=not bad_values and (not unknown or title == OF_MACHINES[_ALARM][0]),
    )


def _describe(values: dict[str, tuple[str, str]], value: str) -> tuple[str, str]:
    return values.get(value, ("down", value))


def _leading(history: History, lane: Lane) -> Sequence[str]:
    """The machines that may lead, in the order of their colours."""
    if lane.name in (FactName.VIP_HOLDER, FactName.VIP_REACHED) and history.setting.balancers:
        return [f"{Role.LOAD_BALANCER}{number + 1}" for number in range(MOST_BALANCERS)]
    return history.members if lane.name == FactName.ETCD_LEADER else history.control_planes


def _leader(machines: Sequence[str], value: str) -> tuple[str, str]:
    number = machines.index(value) % _COLOURS + 1 if value in machines else 0
    return f"leader-{number}", value


def _spans(readings: Sequence[StateReading], describe: Callable[[str], tuple[str, str]]) -> list[Span]:
    """Join neighbours of the same state. A short gap between two equal values is ignored."""
    spans: list[Span] = []
    for span in _single(readings, describe):
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


def _single(readings: Sequence[StateReading], describe: Callable[[str], tuple[str, str]]) -> Iterator[Span]:
    for number, reading in enumerate(readings):
        following = readings[number + 1].t if number + 1 < len(readings) else reading.end
        known_until = following if following - reading.t <= GAP_SECONDS else min(reading.end, following)
        kind, value = (_UNKNOWN, "") if reading.value is None else describe(reading.value)
        yield Span(reading.t, known_until, kind, value)
        if known_until < following:
            yield Span(known_until, following, _UNKNOWN)


def _equal(span: Span, other: Span) -> bool:
    return (span.kind, span.value) == (other.kind, other.value)


def _is_short(span: Span) -> bool:
    return span.end - span.start <= GAP_SECONDS


def _drawn(spans: Sequence[Span], scale: Scale) -> Iterator[Span]:
    """An abnormal state outranks an unknown one. An unknown state outranks a normal one. Of equals, the later wins."""
    rank = {FINE: 0, _UNKNOWN: 1}
    return scale.merged(spans, lambda span, other: rank.get(span.kind, 2) >= rank.get(other.kind, 2))


def _above(moves: Sequence[StateChange], scale: Scale, word: Callable[[StateChange], str]) -> list[Label]:
    """Labels with the new value, and the time since the fault or the heal before."""

    def label(change: StateChange) -> Label:
        text = f"{word(change)}, {change.when}"
        return Label(scale(change.t), text, "start", "change", is_above=True)

    return place_labels(map(label, moves), most=_MOST_LABELS)


def _inside(spans: Sequence[Span], scale: Scale) -> Iterator[Label]:
    for span in spans:
        left, right = scale(span.start), scale(span.end)
        if span.value and right - left > width_of(span.value) + 8:
            yield Label((left + right) / 2, span.value, "middle", f"on-bar on-{span.kind}")
