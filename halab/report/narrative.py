"""The record of a run as sentences, in the order of events."""

from __future__ import annotations

from collections.abc import Iterator

from halab.config.quantities import format_duration
from halab.report.changes import LEADERS, changes
from halab.scenario.record import events, game_day_events
from halab.scenario.record.folder import Evidence


def narrative(evidence: Evidence) -> list[tuple[float, str]]:
    """(seconds since the start, sentence) for every event and every change of a leader."""
    return sorted([*_events(evidence), *_leaders(evidence)])


def _events(evidence: Evidence) -> Iterator[tuple[float, str]]:
    for record in evidence.records:
        text = _sentence(record.what)
        if text:
            yield record.t, text


def _leaders(evidence: Evidence) -> Iterator[tuple[float, str]]:
    for lane, (role, _) in LEADERS.items():
        for change in changes(evidence.history, lane):
            since = (
                f", {format_duration(change.seconds)} after {change.act}"
                if change.seconds is not None
                else ""
            )
            yield change.t, f"{change.after} replaces {change.before} as {role}{since}"


def _sentence(what: events.Event) -> str:
    match what:
        case events.Steady(when=when, ok=ok, seconds=seconds, seen=seen):
            again = " again" if when is events.SteadyCheckPoint.AFTER else ""
            return f"{'steady' if ok else 'not steady'}{again} after {format_duration(seconds)}: {seen}"
        case events.FaultStarted(name=name, fault=fault, machine=machine, target=target):
            return f"inject {name}: {fault} on {machine} ({target})"
        case events.FaultInjected(name=name, effect=effect):
            return f"{name} took effect: {effect}"
        case events.HealStarted(name=name, machine=machine):
            return f"heal {name} on {machine}"
        case events.Healed(name=name):
            return f"{name} is healed"
        case events.HealFailed(name=name, why=why):
            return f"{name} could not be healed: {why}"
        case events.JoinEnded(code=code):
            return what.in_words if code == 0 else f"{what.in_words}: {what.reason or 'no output'}"
        case events.Fact(fact=fact, machine=machine, value=value):
            where = f" on {machine}" if machine else ""
            return f"{fact}{where}: {'none' if value is None else value}"
        case events.SamplerStarted():
            return "the sampler starts"
        case events.SamplerStopped(samples=samples):
            return f"the sampler stops: {sum(samples.values())} samples"
        case events.LabSet(setting=setting, effect=effect):
            return f"the losing twin sets {setting}: {effect}"
        case events.FaultRefused(name=name, fault=fault, machine=machine, why=why):
            return f"{name} was refused ({fault} on {machine}): {why}"
        case events.Ledger(acknowledged=acknowledged, missing=missing):
            return f"read back {acknowledged} acknowledged writes, {len(missing)} are missing"
        case events.Members(revision=revision, keys=keys):
            counts = ", ".join(f"{number} keys on {machine}" for machine, number in sorted(keys.items()))
            return f"asked the etcd members for their keys at revision {revision}: {counts}"
        case events.Audit(leftovers=leftovers):
            return f"leftovers on the machines: {'; '.join(leftovers) or 'none'}"
        case game_day_events.Note(by=by, text=text):
            return f"{by}: {text}" if by else text
        case game_day_events.Stopped(why=why):
            return f"stop: {why}"
        case events.RunInterrupted(signal=signal):
            return f"interrupted by {signal}"
        case events.Error() as error:
            return f"error: {error.in_words}"
    return ""
