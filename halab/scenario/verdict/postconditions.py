"""Promises about the time after the steps: heals, recovery, checks, nothing left behind, a complete record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from halab.config.quantities import format_duration
from halab.config.scenario import Origin
from halab.scenario.record import events, game_day_events
from halab.scenario.record.check_results import CheckResult, CheckState
from halab.scenario.record.events import SteadyCheckPoint
from halab.scenario.record.folder import Evidence
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane
from halab.scenario.verdict.judgement import Figure, Unit
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus

_OF_CHECKS = {
    CheckState.PASSED: PromiseStatus.KEPT,
    CheckState.FAILED: PromiseStatus.BROKEN,
    CheckState.ERROR: PromiseStatus.UNJUDGED,
    CheckState.SKIPPED: PromiseStatus.LEFT_OUT,
}


def heals(history: History) -> Iterator[PromiseOutcome]:
    for fault in history.faults:
        name = f"heal {fault.name}"
        promise = f"{fault.fault} on {fault.machine} can be healed"
        if fault.healed is not None:
            seen = f"healed at {fault.healed:.1f}s"
            yield PromiseOutcome(PromiseKind.HEAL, name, promise, seen, PromiseStatus.KEPT, at=fault.healed)
        else:
            seen = fault.heal_failed or "not healed when the run ended"
            yield PromiseOutcome(
                PromiseKind.HEAL, name, promise, seen, PromiseStatus.UNJUDGED, at=fault.heal_started
            )


def recovery(history: History) -> PromiseOutcome:
    recover = history.scenario.recover
    limit = recover.steady.within_seconds or 0.0
    outcome = PromiseOutcome(
        PromiseKind.RECOVERY,
        "recovery",
        f"steady {recover.steady} from the {recover.origin}",
        "",
        PromiseStatus.UNJUDGED,
        limit_seconds=limit,
        patient_seconds=limit * history.patience,
    )
    faults = history.faults
    healed = [fault.heal_started for fault in faults if fault.healed is not None and fault.heal_started]
    waited = history.steady(SteadyCheckPoint.AFTER)
    if not faults or len(healed) < len(faults):
        return replace(outcome, seen="some faults were not healed" if faults else "no fault was injected")
    if waited is None:
        return replace(outcome, seen="the run ended before the lab was steady again")
    t, steady = waited
    begun = max(healed) if recover.origin is Origin.HEAL else min(fault.started for fault in faults)
    seconds = t - begun
    figure = Figure("steady after", Unit.SECONDS, seconds, limit * history.patience)
    outcome = replace(outcome, at=t, measured=seconds, figures=(figure,))
    if steady.ok and seconds <= limit * history.patience:
        return replace(outcome, standing=PromiseStatus.KEPT, seen=f"steady after {format_duration(seconds)}")
    if steady.ok:
        return replace(
            outcome, standing=PromiseStatus.BROKEN, seen=f"steady only after {format_duration(seconds)}"
        )
    if seconds >= limit * history.patience:
        seen = f"not steady after {format_duration(seconds)}: {steady.seen}"
        return replace(outcome, standing=PromiseStatus.BROKEN, seen=seen)
    return replace(outcome, seen=f"the run stopped waiting after {format_duration(seconds)}: {steady.seen}")


def checks(evidence: Evidence) -> Iterator[PromiseOutcome]:
    recorded = [checks for _, checks in evidence.history.events(events.Checks)]
    results = evidence.checks or ()
    if not (evidence.scenario.checks or recorded or results):
        return
    outcome = PromiseOutcome(PromiseKind.CHECK, "checks", "every check passes", "", PromiseStatus.UNJUDGED)
    for seen in _missing_results(evidence.scenario.checks, recorded, results):
        yield replace(outcome, seen=seen)
    contradiction = _contradiction(recorded, results)
    if contradiction:
        yield replace(outcome, seen=contradiction)
    for check in results:
        name = f"{check.file.rpartition('.')[2]}: {check.name.replace('_', ' ')}"
        seen = check.text or str(check.state)
        # two records that contradict each other show nothing
        standing = PromiseStatus.UNJUDGED if contradiction else _OF_CHECKS[check.state]
        yield PromiseOutcome(
            PromiseKind.CHECK, name, "the check passes", seen, standing, detail=check.detail
        )


def _missing_results(
    files: Sequence[str], recorded: Sequence[events.Checks], results: Sequence[CheckResult]
) -> Iterator[str]:
    """Why results of checks are missing."""
    errors = [run.error for run in recorded if run.error]
    yield from errors
    if errors:
        return
    if not results:
        yield "the checks did not run"
    if results and all(check.state is CheckState.SKIPPED for check in results):
        yield "every check was skipped"
    for file in files:
        if results and not any(check.is_of(file) for check in results):
            yield f"no check of {file} ran: does it have a function whose name begins with test_?"


def _contradiction(recorded: Sequence[events.Checks], results: Sequence[CheckResult]) -> str:
    """How the timeline and checks.xml contradict each other; empty if they do not."""
    states = Counter(result.state for result in results)
    passed, failed = states[CheckState.PASSED], states[CheckState.FAILED]
    if results and not recorded:
        return "checks.xml has results, but the timeline has no checks"
    for run in recorded:
        if run.error is None and (run.passed, run.failed) != (passed, failed):
            counted = f"the timeline has {run.passed} passed and {run.failed} failed checks"
            return f"{counted}, checks.xml has {passed} and {failed}"
    return ""


def audit(history: History) -> Iterator[PromiseOutcome]:
    """Nothing without an audit: the run ended before it, and the record says why."""
    for t, recorded in history.events(events.Audit):
        left = recorded.leftovers
        yield PromiseOutcome(
            PromiseKind.AUDIT,
            "audit",
            "healed faults leave nothing behind",
            f"left behind: {'; '.join(left)}" if left else "nothing is left behind",
            PromiseStatus.UNJUDGED if left else PromiseStatus.KEPT,
            at=t,
        )


def stops(history: History) -> Iterator[PromiseOutcome]:
    """The stop condition of a game day that came true."""
    for t, stopped in history.events(game_day_events.Stopped):
        promise = "no stop condition comes true"
        yield PromiseOutcome(PromiseKind.RUN, "stop", promise, stopped.why, PromiseStatus.BROKEN, at=t)


def refusals(history: History) -> Iterator[PromiseOutcome]:
    """Faults that this lab does not support: the run ended at the first one."""
    for t, refused in history.events(events.FaultRefused):
        promise = f"{refused.fault} can be injected on {refused.machine}"
        seen = f"{refused.fault} was refused on {refused.machine}: {refused.why}"
        yield PromiseOutcome(PromiseKind.RUN, refused.name, promise, seen, PromiseStatus.UNJUDGED, at=t)


def completeness(history: History) -> Iterator[PromiseOutcome]:
    """Problems of the run itself: errors, an interrupt, a record with gaps; nothing without problems."""
    problems: dict[type[events.Event], str] = {}
    for record in history.records:
        match record.what:
            case events.Error() as error:
                problems.setdefault(events.Error, error.in_words)
            case events.RunInterrupted(signal=signal):
                problems.setdefault(events.RunInterrupted, f"interrupted by {signal}")
            case events.RunEnded():
                problems[events.RunEnded] = ""
            case events.SamplerStopped(samples=taken):
                problem = _miscounted(history, taken) or _sampled_too_late(history, record.t)
                problems[events.SamplerStopped] = problem
    problems.setdefault(events.SamplerStopped, "the sampler did not finish")
    problems.setdefault(events.RunEnded, "the record ends before the run does: halab was killed")
    backwards = next((b.t for a, b in pairwise(history.records) if b.t < a.t), None)
    reversed_time = "" if backwards is None else f"the timeline goes back in time at {backwards:.1f}s"
    for seen in filter(None, [*problems.values(), reversed_time]):
        yield PromiseOutcome(
            PromiseKind.RUN, "run", "the run completes without problems", seen, PromiseStatus.UNJUDGED
        )


def _miscounted(history: History, taken: Mapping[str, int]) -> str:
    """The first lane whose samples the timeline and the file of samples count differently; empty without one."""
    counts = {str(lane): count for lane, count in history.samples.counts.items()}
    wrong = [name for name in sorted({*counts, *taken}) if counts.get(name, 0) != taken.get(name, 0)]
    if not wrong:
        return ""
    name = wrong[0]
    lane = Lane.parse(name)
    return f"the record has {counts.get(name, 0)} samples of {lane.in_words}, but {taken.get(name, 0)} were taken"


def _sampled_too_late(history: History, stopped: float) -> str:
    """A sample that was taken after the sampler stopped, because a clock stepped; empty without one."""
    for lane in history.samples.lanes:
        last = max(sample.t for sample in history.samples.of(lane))
        if last > stopped:
            return (
                f"a sample of {lane.in_words} is from {last:.1f}s, but the sampler stopped at {stopped:.1f}s"
            )
    return ""


def fault_is_shown(history: History) -> Iterator[PromiseOutcome]:
    """At least one expectation shows the fault: if all of them are left out on this lab, the run shows nothing."""
    if not history.scenario.shows_a_fault_on(history.setting):
        seen = f"no expectation shows a fault on a lab with {history.setting.in_words}"
        yield PromiseOutcome(PromiseKind.RUN, "run", "the fault is shown", seen, PromiseStatus.UNJUDGED)
