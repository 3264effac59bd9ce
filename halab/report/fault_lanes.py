"""The lanes of faults, of the recovery, and of machines that a fault switched off, froze or cut off."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from halab.config.fault_facts import MachineState, facts_of
from halab.config.quantities import format_duration
from halab.report.axis import WIDTH, Bar, Label, Scale, Strip, width_of
from halab.scenario.record.history import FaultSpan, History
from halab.scenario.verdict.result import PromiseKind, PromiseStatus, Result

# The class of a bar for what a fault turns its machine into.
_KINDS = {
    MachineState.OFF: "off",
    MachineState.REMOVED: "off",
    MachineState.FROZEN: "frozen",
    MachineState.NO_NETWORK: "apart",
}
_GAP = 6


def faults(history: History, scale: Scale) -> Iterator[Strip]:
    """A strip per fault, on one or more machines."""
    by_name: dict[str, list[FaultSpan]] = {}
    for fault in history.faults:
        by_name.setdefault(fault.name, []).append(fault)
    for name, spans in by_name.items():
        started = min(fault.started for fault in spans)
        injected = [fault.injected for fault in spans if fault.injected is not None]
        heals = [fault.heal_started for fault in spans if fault.heal_started is not None]
        healed = [fault.healed for fault in spans if fault.healed is not None]
        heal = min(heals, default=scale.end)
        effective = min(max(injected, default=heal), heal)
        effect = "; ".join(dict.fromkeys(fault.effect for fault in spans if fault.effect))
        bars = [
            scale.bar(started, effective, "changing", "being injected"),
            scale.bar(effective, heal, "fault", effect),
        ]
        if heals:
            end = max(healed) if len(healed) == len(spans) else scale.end
            bars.append(scale.bar(heal, max(end, heal), "changing", "being healed"))
        text = f"{spans[0].fault}, {format_duration(heal - started)}"
        label = _beside(scale, effective, heal, text, "on-bar", clear_of=bars[-1])
        yield Strip(name, f"on {', '.join(fault.machine for fault in spans)}", bars, [label])


def recovery(result: Result, scale: Scale) -> Iterator[Strip]:
    for outcome in result.outcomes:
        if outcome.kind is PromiseKind.RECOVERY and outcome.at is not None and outcome.measured is not None:
            start = outcome.at - outcome.measured
            kind = "recovering" if outcome.standing is PromiseStatus.KEPT else "failed"
            text = (
                f"{outcome.seen.partition(':')[0]} (bound {format_duration(outcome.patient_seconds or 0)})"
            )
            bar = scale.bar(start, outcome.at, kind, outcome.seen)
            label = _beside(scale, start, outcome.at, text, "on-bar", clear_of=bar)
            yield Strip("recovery", "to steady", [bar], [label])


def machines(history: History, scale: Scale) -> Iterator[tuple[str, Strip]]:
    """The machines that a fault switched off, froze, removed or cut off, by name."""
    machine_faults = sorted(
        (fault for fault in history.faults if facts_of(fault.fault).machine_becomes),
        key=lambda fault: fault.machine,
    )
    for name, group in groupby(machine_faults, key=lambda fault: fault.machine):
        yield name, _machine(name, sorted(group, key=lambda fault: fault.started), scale)


def _machine(name: str, faults: Sequence[FaultSpan], scale: Scale) -> Strip:
    bars: list[Bar] = []
    labels: list[Label] = []
    states: list[str] = []
    seconds, was_on = 0.0, scale.first
    for fault in faults:
        facts = facts_of(fault.fault)
        state, is_short = facts.machine_becomes, not facts.is_lasting
        if state is None:
            continue
        states.append(state)
        back = fault.healed or scale.last
        end = fault.injected if is_short else fault.heal_started
        end = scale.last if end is None else end
        bars.append(scale.bar(was_on, fault.started, "fine", "on", thin=True))
        bars.append(scale.bar(fault.started, end, _KINDS[state], f"{state}: {fault.effect}"))
        if not is_short and fault.heal_started is not None:
            bars.append(scale.bar(end, back, "changing", "being healed"))
        if scale(end) - scale(fault.started) > width_of(state) + 8:
            labels.append(Label((scale(fault.started) + scale(end)) / 2, state, "middle", "on-bar"))
        was_on = end if is_short else back
        seconds += end - fault.started
    if was_on < scale.last:
        bars.append(scale.bar(was_on, scale.last, "fine", "on", thin=True))
    shown = " and ".join(dict.fromkeys(states))
    return Strip("machine", f"{shown} {format_duration(seconds)}", bars, labels, name)


def _beside(scale: Scale, start: float, end: float, text: str, kind: str, *, clear_of: Bar) -> Label:
    """A label inside its bar if it fits, else beside it, clear of the bar `clear_of`."""
    left, right, width = scale(start), scale(end), width_of(text)
    if right - left > width + 8:
        return Label((left + right) / 2, text, "middle", kind)
    beyond = max(right, clear_of.x + clear_of.width) + _GAP
    if beyond + width < WIDTH:
        return Label(beyond, text, "start")
    return Label(left - _GAP, text, "end")
