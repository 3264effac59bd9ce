"""The record of a run in sentences, in the order in which things happened."""

from __future__ import annotations

from collections.abc import Iterator

from halab.config.quantities import format_duration
from halab.report.changes import LEADERS, changes
from halab.scenario.record import events
from halab.scenario.record.folder import Evidence


def narrative(evidence: Evidence) -> list[tuple[float, str]]:
    """What was recorded, without what a drawing shows better."""
    return sorted([*_events(evidence), *_leaders(evidence)])


def _events(evidence: Evidence) -> Iterator[tuple[float, str]]:
    for record in evidence.records:
        text = _told(record.what)
        if text:
            yield record.t, text


def _leaders(evidence: Evidence) -> Iterator[tuple[float, str]]:
    for lane, name in LEADERS.items():
        for change in changes(evidence.history, lane):
            since = (
                f", {format_duration(change.seconds)} after {change.act}"
                if change.seconds is not None
                else ""
            )
            yield change.t, f"{change.after} is {name} instead of {change.before}{since}"


def _told(what: events.Event) -> str:
    match what:
        case events.Steady(when=when, ok=ok, seconds=seconds, seen=seen):
            again = " again" if when is events.SteadyCheckPoint.AFTER else ""
            return f"{'steady' if ok else 'not steady'}{again} after a wait of {format_duration(seconds)}: {seen}"
        case events.FaultStarted(name=name, fault=fault, machine=machine, target=target):
            return f"inject {name}: {fault} on {machine} ({target})"
        case events.FaultInjected(name=name, effect=effect):
            return f"{name} is real: {effect}"
        case events.HealStarted(name=name, machine=machine):
            return f"heal {name} on {machine}"
        case events.Healed(name=name):
            return f"{name} is healed"
        case events.HealFailed(name=name, why=why):
            return f"{name} could not be healed: {why}"
        case events.Fact(fact=fact, machine=machine, value=value):
            where = f" on {machine}" if machine else ""
            return f"{fact}{where} is {value if value is not None else 'nothing'}"
        case events.SamplerStarted():
            return "the sampler starts"
        case events.SamplerStopped(samples=samples):
            return f"the sampler stops: {sum(samples.values())} samples"
        case events.LabSet(setting=setting, effect=effect):
            return f"the losing twin sets {setting}: {effect}"
        case events.FaultRefused(name=name, fault=fault, machine=machine, why=why):
            return f"{name} is refused: {fault} on {machine}: {why}"
        case events.Ledger(acknowledged=acknowledged, missing=missing):
            return f"{acknowledged} acknowledged writes are read back, {len(missing)} are missing"
        case events.Members(revision=revision, keys=keys):
            counts = ", ".join(f"{number} keys on {machine}" for machine, number in sorted(keys.items()))
            return f"etcd's members are asked for what they hold at revision {revision}: {counts}"
        case events.Audit(leftovers=leftovers):
            left = "; ".join(leftovers) if leftovers else "nothing"
            return f"left behind on the machines: {left}"
        case events.RunInterrupted(signal=signal):
            return f"interrupted by {signal}"
        case events.Error(what=text):
            return f"error: {text}"
    return ""
