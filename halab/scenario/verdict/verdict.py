"""The verdict on a run: pure, from its evidence alone.

Fail if sound evidence shows a broken promise; else error if a promise could not be judged; else pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from halab.config.expectation import Expectation
from halab.config.step import Expect, Join
from halab.config.twin import Verdict
from halab.printable import one_line
from halab.scenario.record import events
from halab.scenario.record.events import SteadyCheckPoint
from halab.scenario.record.folder import Evidence
from halab.scenario.record.history import History
from halab.scenario.verdict import impact, joins, postconditions, safety
from halab.scenario.verdict.evaluation import evaluate
from halab.scenario.verdict.judgement import Judgement, JudgementState
from halab.scenario.verdict.promises import limit_seconds, promised, waiting
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result, measured

_STANDINGS = {
    JudgementState.MET: PromiseStatus.KEPT,
    JudgementState.BROKEN: PromiseStatus.BROKEN,
    JudgementState.OPEN: PromiseStatus.UNJUDGED,
}
_NOT_REACHED = "the run did not reach this step"


def judge(evidence: Evidence) -> Result:
    """The verdict, and the outcome of every promise."""
    skipped = _skipped(evidence.history)
    if skipped:
        return _result(evidence, Verdict.SKIP, skipped, ())
    outcomes = tuple(_outcomes(evidence))
    broken = [outcome for outcome in outcomes if outcome.standing is PromiseStatus.BROKEN]
    unjudged = [outcome for outcome in outcomes if outcome.standing is PromiseStatus.UNJUDGED]
    if broken:
        verdict = Verdict.FAIL
    elif unjudged:
        verdict = Verdict.ERROR
    else:
        verdict = Verdict.PASS
    reasons = tuple(f"{outcome.name}: {one_line(outcome.seen)}" for outcome in broken or unjudged)
    return _result(evidence, verdict, reasons, outcomes)


def _skipped(history: History) -> tuple[str, ...]:
    """Why the run did nothing: the lab lacks what is needed, or the first fault was refused. Else empty."""
    lacking = tuple(skipped.why for _, skipped in history.events(events.Skipped))
    refused = tuple(refusal.seen for refusal in postconditions.refusals(history))
    disturbed = any(postconditions.completeness(history)) or any(
        audit.standing is not PromiseStatus.KEPT for audit in postconditions.audit(history)
    )
    return lacking or (() if history.faults or disturbed else refused)


def _outcomes(evidence: Evidence) -> Iterator[PromiseOutcome]:
    history = evidence.history
    before = _steady_before(history)
    yield before
    rest = [
        *_expectations(history),
        *postconditions.heals(history),
        postconditions.recovery(history),
        *safety.outcomes(history),
        *postconditions.checks(evidence),
        *postconditions.stops(history),
        *postconditions.refusals(history),
        *postconditions.completeness(history),
        # a game day promises what clients see at most: breaks that nobody notices are no error
        *(() if evidence.meta.is_game_day else postconditions.fault_is_shown(history)),
        *postconditions.audit(history),
    ]
    if before.standing is PromiseStatus.KEPT:
        yield from rest
        return
    # a lab that was not steady before the run shows nothing about the scenario
    for outcome in rest:
        if outcome.standing is PromiseStatus.LEFT_OUT:
            yield outcome
        else:
            seen = f"not judged, because the lab was not steady before: {outcome.seen}"
            yield replace(outcome, standing=PromiseStatus.UNJUDGED, seen=seen)


def _steady_before(history: History) -> PromiseOutcome:
    waited = history.steady(SteadyCheckPoint.BEFORE)
    seen = waited[1].seen if waited else "the run ended before the lab was steady"
    standing = PromiseStatus.UNJUDGED
    if waited and waited[1].ok:
        seen, standing = f"leaders: {seen}", PromiseStatus.KEPT
    at = waited[0] if waited else None
    return PromiseOutcome(PromiseKind.STEADY, "steady before", "the lab is steady", seen, standing, at=at)


def _expectations(history: History) -> Iterator[PromiseOutcome]:
    for index, step in enumerate(history.scenario.steps):
        if isinstance(step, Expect):
            yield _expectation(history, index, step.expectation)
        elif isinstance(step, Join):
            yield _join(history, index, step)


def _join(history: History, index: int, step: Join) -> PromiseOutcome:
    limit = step.limit_seconds
    outcome = PromiseOutcome(
        PromiseKind.EXPECTATION,
        _name(history, index),
        step.promised,
        "",
        PromiseStatus.LEFT_OUT,
        step=index,
        limit_seconds=limit,
        patient_seconds=limit * history.patience,
    )
    unmet = history.unmet(index)
    if unmet:
        return replace(outcome, seen="; ".join(unmet))
    if not any(started.index == index for _, started in history.events(events.StepStarted)):
        return replace(outcome, standing=PromiseStatus.UNJUDGED, seen=_NOT_REACHED)
    return _judged(outcome, joins.evaluate(history, index))


def _name(history: History, index: int) -> str:
    """The name of a step, numbered as in the file, which has no steps that a twin adds."""
    return f"step {index + 1 - history.scenario.added}"


def _judged(outcome: PromiseOutcome, judgement: Judgement) -> PromiseOutcome:
    return replace(
        outcome,
        seen=judgement.seen,
        standing=_STANDINGS[judgement.state],
        at=judgement.at,
        measured=measured(judgement.figures),
        evidence=judgement.evidence,
        figures=judgement.figures,
    )


def _expectation(history: History, index: int, expectation: Expectation) -> PromiseOutcome:
    limit = limit_seconds(expectation)
    stretch = history.patience if waiting(expectation) else 1.0
    outcome = PromiseOutcome(
        PromiseKind.EXPECTATION,
        _name(history, index),
        promised(expectation),
        "",
        PromiseStatus.LEFT_OUT,
        step=index,
        limit_seconds=limit,
        patient_seconds=None if limit is None else limit * stretch,
    )
    unmet = history.unmet(index)
    if unmet:
        return replace(outcome, seen="; ".join(unmet))
    ended = history.ended(index)
    if ended is None:
        return replace(outcome, standing=PromiseStatus.UNJUDGED, seen=_NOT_REACHED)
    # a window may close long after the runner went on; a wait is judged by what was known when it ended
    now = _end(history) if expectation.during is not None else ended
    return _judged(outcome, evaluate(history, index, now))


def _result(
    evidence: Evidence, verdict: Verdict, reasons: tuple[str, ...], outcomes: tuple[PromiseOutcome, ...]
) -> Result:
    meta, history = evidence.meta, evidence.history
    stopped = history.events(events.SamplerStopped)
    recovery = next((outcome for outcome in outcomes if outcome.kind is PromiseKind.RECOVERY), None)
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
        is_interrupted=bool(history.events(events.RunInterrupted)),
        outcomes=outcomes,
        lanes=tuple(impact.lanes(history)),
        recovery_seconds=recovery.measured if recovery else None,
        impacts=tuple(impact.impacts(history)),
        host_busy=stopped[-1][1].host_busy if stopped else None,
        provider=meta.provider_in_words,
    )


def _end(history: History) -> float:
    return max((record.t for record in history.records), default=0.0)
