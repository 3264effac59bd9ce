"""Promises about the data: the ledger, what every etcd member holds, its revisions, its answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from halab.config.fault_facts import DataLoss, facts_of
from halab.config.probe import ProbeName
from halab.config.scenario import LedgerScope, RevisionRule
from halab.scenario.record import events
from halab.scenario.record.events import MISSED, REPORTED_TWICE, StateReading
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane
from halab.scenario.record.linearity import Linearity, Operations
from halab.scenario.verdict.judgement import Citation
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus

_REVISION = "etcd-revision"
_MOST_LISTED = 10
_RESUMED_WATCH = Lane(ProbeName.WATCH_RESUMING, None)
_WRONG = (f"{MISSED}: ", f"{REPORTED_TWICE}: ")
_MOST_WRONG = 3


def outcomes(history: History) -> Iterator[PromiseOutcome]:
    yield _ledger(history)
    yield from _members(history)
    yield from _revision(history)
    yield from _linearizable(history)
    yield from _watch(history)


def _ledger(history: History) -> PromiseOutcome:
    promised = "no acknowledged write is lost"
    if history.scenario.ledger is LedgerScope.NONE:
        seen = "the scenario says `ledger: none`"
        return PromiseOutcome(PromiseKind.LEDGER, "ledger", promised, seen, PromiseStatus.LEFT_OUT)
    if history.scenario.ledger is LedgerScope.UNTIL_SNAPSHOT:
        promised += ", except those between the snapshot and the last heal"
    outcome = PromiseOutcome(
        PromiseKind.LEDGER, "ledger", promised, "the writes were not read back", PromiseStatus.UNJUDGED
    )
    given_up = history.given_up()
    for t, read in history.events(events.Ledger):
        outcome = replace(outcome, at=t)
        missing = [number for number in read.missing if number not in given_up]
        contradiction = _contradiction(history, read, missing)
        if missing and not contradiction:
            seen = f"{len(missing)} of {read.acknowledged} acknowledged writes are lost: {_listed(missing)}"
            # a later reading cannot undo a loss that an earlier one saw
            return replace(outcome, standing=PromiseStatus.BROKEN, seen=seen)
        if contradiction:
            outcome = replace(outcome, standing=PromiseStatus.UNJUDGED, seen=contradiction)
        elif read.acknowledged == 0:
            seen = "no write was acknowledged, so there is nothing to read back"
            outcome = replace(outcome, standing=PromiseStatus.UNJUDGED, seen=seen)
        else:
            seen = f"all {read.acknowledged} acknowledged writes are there"
            outcome = replace(outcome, standing=PromiseStatus.KEPT, seen=seen)
    return outcome


def _contradiction(history: History, read: events.Ledger, missing: Sequence[int]) -> str:
    """How the ledger and the samples contradict each other; empty if they do not.

    Missing samples are no excuse for a lost write.
    """
    acknowledged, written = history.ledger()
    if (read.written, read.acknowledged) != (written, len(acknowledged)):
        counted = f"the ledger has {read.acknowledged} acknowledged writes of {read.written}"
        return "" if missing else f"{counted}, but the samples have {len(acknowledged)} of {written}"
    never = sorted(set(missing) - set(acknowledged))
    return (
        f"the ledger counts writes as lost that were never acknowledged: {_listed(never)}" if never else ""
    )


def _members(history: History) -> Iterator[PromiseOutcome]:
    """Nothing if the members were not asked: earlier versions did not do that."""
    promised = "every etcd member holds the same data"
    if history.scenario.ledger is not LedgerScope.NONE:
        promised += ", with every acknowledged write"
    for t, held in history.events(events.Members):
        broken = list(_differences(held, history.given_up()))
        silent = [name for name in history.members if name not in held.hashes or name not in held.keys]
        if broken:
            standing, seen = PromiseStatus.BROKEN, "; ".join(broken)
        elif silent or not held.hashes:
            standing = PromiseStatus.UNJUDGED
            seen = f"no answer from {', '.join(silent)}" if silent else "no member was asked"
        else:
            keys = next(iter(held.keys.values()))
            standing, seen = (
                PromiseStatus.KEPT,
                f"all {len(held.keys)} hold the same {keys} keys at revision {held.revision}",
            )
        yield PromiseOutcome(PromiseKind.MEMBERS, "members", promised, seen, standing, at=t)


def _differences(held: events.Members, given_up: Collection[int]) -> Iterator[str]:
    for machine, numbers in sorted(held.missing.items()):
        lacking = [number for number in numbers if number not in given_up]
        if lacking:
            yield f"{machine} lacks {len(lacking)} of the acknowledged writes: {_listed(lacking)}"
    for what, values in (("hash", held.hashes), ("number of keys", held.keys)):
        if len(set(values.values())) > 1:
            yield f"the {what} differs at revision {held.revision}: {_values_by_machine(values)}"


def _revision(history: History) -> Iterator[PromiseOutcome]:
    lanes = [lane for lane in history.states.lanes if lane.name == _REVISION]
    if not lanes:
        return
    outcome = PromiseOutcome(
        PromiseKind.REVISION, "revision", "no etcd member's revision goes backwards", "", PromiseStatus.KEPT
    )
    if history.scenario.revision is RevisionRule.MAY_FALL:
        yield replace(
            outcome, standing=PromiseStatus.LEFT_OUT, seen="the scenario says `revision: may-fall`"
        )
        return
    seen: list[str] = []
    citations: list[Citation] = []
    count = 0
    for lane in lanes:
        readings = [reading for reading in history.states.of(lane) if _number(reading) is not None]
        count += len(readings)
        steps = list(_backward(readings))
        if _begins_anew(history, lane.machine):
            steps = [step for step in steps if step[1] is readings[-1]]
        if steps:
            higher, lower = steps[0]
            seen.append(f"{lane.machine} went from {higher.value} back to {lower.value} at {lower.t:.1f}s")
            citations.append(Citation(lane, higher.t, lower.t, 2))
    if seen:
        at = min(citation.end for citation in citations)
        yield replace(
            outcome, standing=PromiseStatus.BROKEN, seen="; ".join(seen), at=at, evidence=tuple(citations)
        )
    elif count:
        yield replace(outcome, seen=f"no revision went back in {count} readings")
    else:
        yield replace(outcome, standing=PromiseStatus.UNJUDGED, seen="no member reported its revision")


def _linearizable(history: History) -> Iterator[PromiseOutcome]:
    """Nothing unless the scenario asks for it."""
    if not history.scenario.linearizable:
        return
    outcome = PromiseOutcome(
        PromiseKind.LINEARIZABLE, "linearizable", "reads and writes of etcd's keys are linearizable",
        "they were not checked", PromiseStatus.UNJUDGED,
    )  # fmt: skip
    for t, checked in history.events(Operations):
        counted = f"{checked.reads} reads and {checked.writes} writes, {checked.unknown} of unknown outcome"
        if checked.silent:
            counted += f"; no read was answered by etcd on {', '.join(checked.silent)}"
        outcome = replace(outcome, at=t, seen=counted)
        if checked.result is Linearity.ILLEGAL:
            # a later check cannot undo what an earlier one found
            yield replace(outcome, standing=PromiseStatus.BROKEN, seen=f"{checked.seen} ({counted})")
            return
        if checked.result is Linearity.UNKNOWN:
            outcome = replace(
                outcome, standing=PromiseStatus.UNJUDGED, seen=f"the check ran out of time: {counted}"
            )
        elif checked.reads and checked.writes:
            outcome = replace(outcome, standing=PromiseStatus.KEPT)
        else:
            outcome = replace(outcome, standing=PromiseStatus.UNJUDGED)
    yield outcome


def _watch(history: History) -> Iterator[PromiseOutcome]:
    """Nothing if the probe was not asked."""
    samples = history.samples.of(_RESUMED_WATCH)
    if not samples:
        return
    outcome = PromiseOutcome(
        PromiseKind.WATCH, "watch", "a watch that is resumed reports each write once",
        "it reported nothing", PromiseStatus.UNJUDGED,
    )  # fmt: skip
    wrong = [sample for sample in samples if not sample.ok and sample.detail.startswith(_WRONG)]
    good = sum(sample.ok for sample in samples)
    if wrong:
        seen = "; ".join(sample.detail for sample in wrong[:_MOST_WRONG])
        outcome = replace(outcome, standing=PromiseStatus.BROKEN, seen=seen, at=wrong[0].t)
    elif good:
        outcome = replace(outcome, standing=PromiseStatus.KEPT, seen="no write was missed or reported twice")
    yield outcome


def _backward(readings: Sequence[StateReading]) -> Iterator[tuple[StateReading, StateReading]]:
    """Pairs of readings: a higher one, and one that was asked for after the answer to the higher one and is lower.

    All values must be numbers.
    """
    by_end = sorted(readings, key=lambda reading: reading.end)
    answered, highest = 0, None
    for reading in readings:
        while answered < len(by_end) and by_end[answered].end <= reading.t:
            candidate = by_end[answered]
            if highest is None or _known(candidate) > _known(highest):
                highest = candidate
            answered += 1
        if highest is not None and _known(reading) < _known(highest):
            yield highest, reading


def _begins_anew(history: History, machine: str | None) -> bool:
    """True if a fault took that member's data: it may have been behind for a while, but not at the end."""
    losses = [(facts_of(fault.fault).loses_data, fault.machine) for fault in history.faults]
    return any(
        loss is DataLoss.EVERY_MEMBER or (loss is DataLoss.OWN_MEMBER and hit == machine)
        for loss, hit in losses
    )


def _number(reading: StateReading) -> int | None:
    value = reading.value
    return int(value) if value and value.isascii() and value.isdigit() and len(value) < 20 else None


def _known(reading: StateReading) -> int:
    number = _number(reading)
    assert number is not None
    return number


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:_MOST_LISTED])) + (" …" if len(numbers) > _MOST_LISTED else "")


def _values_by_machine(values: Mapping[str, int]) -> str:
    """The most frequent value first, so that the odd one out is last."""
    frequency = Counter(values.values())
    ordered = sorted(values.items(), key=lambda item: (-frequency[item[1]], item[0]))
    return ", ".join(f"{value} on {machine}" for machine, value in ordered)
