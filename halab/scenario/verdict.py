"""The verdict on a run: pure, from its evidence alone.

Fail if a promise was broken on sound evidence; else error if anything that had to be judged was not; else
pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from halab.config.quantities import Promise, spelled, spelled_share
from halab.config.scenario import (
    Expect,
    Expectation,
    FactExpectation,
    Origin,
    Verdict,
)
from halab.scenario import events, judgement
from halab.scenario.check_results import CheckState
from halab.scenario.events import When
from halab.scenario.folder import Evidence
from halab.scenario.history import History
from halab.scenario.judgement import State
from halab.scenario.outage import figures
from halab.scenario.result import Kind, Lane, Outcome, Result, Standing

_STANDINGS = {
    State.MET: Standing.KEPT,
    State.BROKEN: Standing.BROKEN,
    State.OPEN: Standing.UNJUDGED,
}


def judge(evidence: Evidence) -> Result:
    """The verdict, and what became of every promise."""
    skipped = [record.what.why for record in evidence.records if isinstance(record.what, events.Skipped)]
    if skipped:
        return _result(evidence, Verdict.SKIP, tuple(skipped), ())
    outcomes = tuple(_outcomes(evidence))
    broken = [outcome for outcome in outcomes if outcome.standing is Standing.BROKEN]
    unjudged = [outcome for outcome in outcomes if outcome.standing is Standing.UNJUDGED]
    if broken:
        verdict = Verdict.FAIL
    elif unjudged:
        verdict = Verdict.ERROR
    else:
        verdict = Verdict.PASS
    reasons = tuple(f"{outcome.name}: {outcome.seen}" for outcome in broken or unjudged)
    return _result(evidence, verdict, reasons, outcomes)


def promised(expectation: Expectation) -> str:
    """An expectation in a sentence: `write-via-lb ok within 5s`."""
    where = f" on {expectation.target}" if expectation.target else ""
    if isinstance(expectation, FactExpectation):
        what = f"changed {expectation.changed}" if expectation.changed else "unchanged"
        return f"{expectation.fact}{where} {what}"
    parts = []
    if expectation.ok:
        parts.append(f"ok {expectation.ok}")
    if expectation.fails:
        parts.append(f"fails {expectation.fails}")
    if expectation.longest_outage is not None:
        parts.append(f"longest outage {spelled(expectation.longest_outage)}")
    if expectation.failed_share is not None:
        parts.append(f"failed share {spelled_share(expectation.failed_share)}")
    during = f" during {expectation.during}" if expectation.during else ""
    return f"{expectation.probe}{where} {', '.join(parts)}{during}"


def _outcomes(evidence: Evidence) -> Iterator[Outcome]:
    history = evidence.history
    before = _steady_before(history)
    yield before
    rest = [
        *_expectations(history),
        *_heals(history),
        _recovery(history),
        _ledger(history),
        *_checks(evidence),
        *_run(history),
    ]
    if before.standing is Standing.KEPT:
        yield from rest
        return
    # what a lab did that was not steady before shows nothing about the scenario
    for outcome in rest:
        if outcome.standing is Standing.LEFT_OUT:
            yield outcome
        else:
            seen = f"not judged, the lab was not steady before: {outcome.seen}"
            yield replace(outcome, standing=Standing.UNJUDGED, seen=seen)


def _steady_before(history: History) -> Outcome:
    found = history.steady(When.BEFORE)
    seen = found[1].seen if found else "the run ended before the lab was seen to be steady"
    standing = Standing.KEPT if found and found[1].ok else Standing.UNJUDGED
    at = found[0] if found else None
    return Outcome(Kind.STEADY, "steady before", "the lab is steady", seen, standing, at=at)


def _expectations(history: History) -> Iterator[Outcome]:
    for index, step in enumerate(history.scenario.steps):
        if isinstance(step, Expect):
            yield _expectation(history, index, step.expectation)


def _expectation(history: History, index: int, expectation: Expectation) -> Outcome:
    promise = _waiting(expectation)
    limit = promise.within_seconds if promise else getattr(expectation, "longest_outage", None)
    outcome = Outcome(
        Kind.EXPECTATION,
        f"step {index + 1}",
        promised(expectation),
        "",
        Standing.LEFT_OUT,
        step=index,
        limit_seconds=limit,
        patient_seconds=None if limit is None else limit * (history.patience if promise else 1.0),
    )
    unmet = history.unmet(index)
    if unmet:
        return replace(outcome, seen="; ".join(unmet))
    ended = history.ended(index)
    if ended is None:
        return replace(outcome, standing=Standing.UNJUDGED, seen="the run did not come so far")
    # a window may be closed long after the runner went on; what was waited for is judged as of then
    over_a_window = getattr(expectation, "during", None) is not None
    judged = judgement.satisfied(history, index, _end(history) if over_a_window else ended)
    return replace(
        outcome,
        seen=judged.seen,
        standing=_STANDINGS[judged.state],
        at=judged.at,
        measured=judged.measured,
        evidence=judged.evidence,
    )


def _waiting(expectation: Expectation) -> Promise | None:
    """The promise that the runner waited for, with a limit that patience stretches."""
    if isinstance(expectation, FactExpectation):
        return expectation.changed
    promise = expectation.ok or expectation.fails
    return promise if promise and not promise.always else None


def _heals(history: History) -> Iterator[Outcome]:
    for fault in history.faults():
        name = f"heal {fault.name}"
        promise = f"{fault.fault} on {fault.machine} can be healed"
        if fault.healed is not None:
            seen = f"healed at {fault.healed:.1f}s"
            yield Outcome(Kind.HEAL, name, promise, seen, Standing.KEPT, at=fault.healed)
        else:
            seen = fault.heal_failed or "not healed when the run ended"
            yield Outcome(Kind.HEAL, name, promise, seen, Standing.UNJUDGED, at=fault.heal_started)


def _recovery(history: History) -> Outcome:
    recover = history.scenario.recover
    limit = recover.steady.within_seconds or 0.0
    outcome = Outcome(
        Kind.RECOVERY,
        "recovery",
        f"steady {recover.steady} from the {recover.origin}",
        "",
        Standing.UNJUDGED,
        limit_seconds=limit,
        patient_seconds=limit * history.patience,
    )
    faults = history.faults()
    healed = [fault.heal_started for fault in faults if fault.healed is not None and fault.heal_started]
    found = history.steady(When.AFTER)
    if not faults or len(healed) < len(faults):
        return replace(outcome, seen="not everything was healed" if faults else "nothing was injected")
    if found is None:
        return replace(outcome, seen="the run ended before the lab was seen to be steady again")
    t, steady = found
    begun = max(healed) if recover.origin is Origin.HEAL else min(fault.started for fault in faults)
    seconds = t - begun
    outcome = replace(outcome, at=t, measured=seconds)
    if steady.ok and seconds <= limit * history.patience:
        return replace(outcome, standing=Standing.KEPT, seen=f"steady after {spelled(seconds)}")
    if steady.ok:
        return replace(outcome, standing=Standing.BROKEN, seen=f"steady only after {spelled(seconds)}")
    if seconds >= limit * history.patience:
        seen = f"not steady after {spelled(seconds)}: {steady.seen}"
        return replace(outcome, standing=Standing.BROKEN, seen=seen)
    return replace(outcome, seen=f"waited no longer than {spelled(seconds)}: {steady.seen}")


def _ledger(history: History) -> Outcome:
    outcome = Outcome(
        Kind.LEDGER, "ledger", "no acknowledged write is lost", "not read back", Standing.UNJUDGED
    )
    for record in history.records:
        read = record.what
        if not isinstance(read, events.Ledger):
            continue
        outcome = replace(outcome, at=record.t)
        if read.missing:
            shown = ", ".join(map(str, read.missing[:10])) + (" …" if len(read.missing) > 10 else "")
            seen = f"{len(read.missing)} of {read.acknowledged} acknowledged writes are lost: {shown}"
            outcome = replace(outcome, standing=Standing.BROKEN, seen=seen)
        elif read.acknowledged == 0:
            outcome = replace(outcome, seen="no write was acknowledged: there is nothing to read back")
        else:
            seen = f"all {read.acknowledged} acknowledged writes are there"
            outcome = replace(outcome, standing=Standing.KEPT, seen=seen)
    return outcome


def _checks(evidence: Evidence) -> Iterator[Outcome]:
    if not evidence.scenario.checks:
        return
    record = next((each.what for each in evidence.records if isinstance(each.what, events.Checks)), None)
    outcome = Outcome(
        Kind.CHECK, "checks", "every check passes", "the checks did not run", Standing.UNJUDGED
    )
    if record and record.error:
        yield replace(outcome, seen=record.error)
    elif record is None or not evidence.checks:
        yield outcome
    elif all(check.state is CheckState.SKIPPED for check in evidence.checks):
        yield replace(outcome, seen="every check was skipped")
    for check in evidence.checks or ():
        name = f"{check.file.rpartition('.')[2]}: {check.name.replace('_', ' ')}"
        standing = {
            CheckState.PASSED: Standing.KEPT,
            CheckState.FAILED: Standing.BROKEN,
            CheckState.ERROR: Standing.UNJUDGED,
            CheckState.SKIPPED: Standing.LEFT_OUT,
        }[check.state]
        seen = check.text or str(check.state)
        yield Outcome(Kind.CHECK, name, "the check passes", seen, standing, detail=check.detail)


def _run(history: History) -> Iterator[Outcome]:
    """What kept the run from being whole; nothing where nothing did."""
    found: dict[type[events.Event], str] = {}
    for record in history.records:
        what = record.what
        if isinstance(what, events.Error):
            found.setdefault(type(what), what.what)
        elif isinstance(what, events.Interrupted):
            found.setdefault(type(what), f"interrupted by {what.signal}")
        elif isinstance(what, events.RunEnded):
            found[type(what)] = ""
        elif isinstance(what, events.SamplerStopped):
            there, counted = history.samples.count, sum(what.samples.values())
            found[type(what)] = (
                "" if there == counted else f"{there} samples are there, {counted} were taken"
            )
    found.setdefault(events.SamplerStopped, "the sampler did not come to its end")
    found.setdefault(events.RunEnded, "the record ends before the run does: halab was killed")
    for seen in filter(None, found.values()):
        yield Outcome(Kind.RUN, "run", "the run is whole", seen, Standing.UNJUDGED)


def _result(
    evidence: Evidence, verdict: Verdict, reasons: tuple[str, ...], outcomes: tuple[Outcome, ...]
) -> Result:
    meta, history = evidence.meta, evidence.history
    recovery = next((outcome for outcome in outcomes if outcome.kind is Kind.RECOVERY), None)
    return Result(
        scenario=meta.scenario,
        title=evidence.scenario.title,
        lab=meta.lab,
        verdict=verdict,
        reasons=reasons,
        started=meta.started,
        seconds=_end(history),
        patience=meta.patience,
        is_twin=meta.is_twin,
        is_interrupted=any(isinstance(each.what, events.Interrupted) for each in evidence.records),
        outcomes=outcomes,
        lanes=tuple(_lane(history, name) for name in history.samples.lanes),
        recovery_seconds=recovery.measured if recovery else None,
    )


def _lane(history: History, name: str) -> Lane:
    samples = history.samples.of(name)
    found = figures(samples, samples[0].t, samples[-1].end + 1e-6)
    return Lane(
        name=name,
        samples=found.samples,
        failed=found.failed,
        outages=len(found.outages),
        longest_outage_seconds=found.longest_outage_seconds,
        longest_outage_start=found.longest.start if found.longest else None,
        p50_seconds=found.p50_seconds,
        p95_seconds=found.p95_seconds,
        unsampled_seconds=sum(gap.seconds for gap in found.gaps),
    )


def _end(history: History) -> float:
    return history.records[-1].t if history.records else 0.0
