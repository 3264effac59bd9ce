"""What had to come after the steps of a scenario: heals, recovery, checks, nothing left behind, a whole record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from halab.config.quantities import format_duration
from halab.config.scenario import Origin
from halab.scenario.record import events
from halab.scenario.record.check_results import CheckResult, CheckState
from halab.scenario.record.events import SteadyCheckPoint, spoken
from halab.scenario.record.folder import Evidence
from halab.scenario.record.history import History
from halab.scenario.verdict.decision import Figure, Unit
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus

_OF_CHECKS = {
    CheckState.PASSED: PromiseStatus.KEPT,
    CheckState.FAILED: PromiseStatus.BROKEN,
    CheckState.ERROR: PromiseStatus.UNJUDGED,
    CheckState.SKIPPED: PromiseStatus.LEFT_OUT,
}


def heals(history: History) -> Iterator[PromiseOutcome]:
    for fault in history.faults():
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
    faults = history.faults()
    healed = [fault.heal_started for fault in faults if fault.healed is not None and fault.heal_started]
    found = history.steady(SteadyCheckPoint.AFTER)
    if not faults or len(healed) < len(faults):
        return replace(outcome, seen="not everything was healed" if faults else "nothing was injected")
    if found is None:
        return replace(outcome, seen="the run ended before the lab was seen to be steady again")
    t, steady = found
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
    return replace(outcome, seen=f"waited no longer than {format_duration(seconds)}: {steady.seen}")


def checks(evidence: Evidence) -> Iterator[PromiseOutcome]:
    recorded = [each.what for each in evidence.records if isinstance(each.what, events.Checks)]
    found = evidence.checks or ()
    if not (evidence.scenario.checks or recorded or found):
        return
    outcome = PromiseOutcome(PromiseKind.CHECK, "checks", "every check passes", "", PromiseStatus.UNJUDGED)
    for seen in _unchecked(evidence.scenario.checks, recorded, found):
        yield replace(outcome, seen=seen)
    contradiction = _contradiction(recorded, found)
    if contradiction:
        yield replace(outcome, seen=contradiction)
    for check in found:
        name = f"{check.file.rpartition('.')[2]}: {check.name.replace('_', ' ')}"
        seen = check.text or str(check.state)
        # of two records that contradict each other, neither shows anything
        standing = PromiseStatus.UNJUDGED if contradiction else _OF_CHECKS[check.state]
        yield PromiseOutcome(
            PromiseKind.CHECK, name, "the check passes", seen, standing, detail=check.detail
        )


def _unchecked(
    files: Sequence[str], recorded: Sequence[events.Checks], found: Sequence[CheckResult]
) -> Iterator[str]:
    """Why the results of the checks are not all that there should be."""
    errors = [each.error for each in recorded if each.error]
    yield from errors
    if errors:
        return
    if not found:
        yield "the checks did not run"
    if found and all(check.state is CheckState.SKIPPED for check in found):
        yield "every check was skipped"
    for file in files:
        if found and not any(check.is_of(file) for check in found):
            yield f"no check ran of {file}: has it a function whose name begins with test_?"


def _contradiction(recorded: Sequence[events.Checks], found: Sequence[CheckResult]) -> str:
    """What the timeline and checks.xml do not agree on; empty where they do."""
    states = Counter(each.state for each in found)
    passed, failed = states[CheckState.PASSED], states[CheckState.FAILED]
    if found and not recorded:
        return "checks.xml has results, and in the timeline no checks ran"
    for each in recorded:
        if each.error is None and (each.passed, each.failed) != (passed, failed):
            there = f"{each.passed} passed and {each.failed} failed in the timeline"
            return f"{there}, {passed} passed and {failed} failed in checks.xml"
    return ""


def audit(history: History) -> Iterator[PromiseOutcome]:
    """Nothing where none was made: the run says itself why it ended before."""
    for record in history.records:
        if not isinstance(record.what, events.Audit):
            continue
        left = record.what.leftovers
        yield PromiseOutcome(
            PromiseKind.AUDIT,
            "audit",
            "healed faults leave nothing behind",
            f"left behind: {'; '.join(left)}" if left else "nothing is left behind",
            PromiseStatus.UNJUDGED if left else PromiseStatus.KEPT,
            at=record.t,
        )


def refusals(history: History) -> Iterator[PromiseOutcome]:
    """Faults that this lab cannot do: the run ended with the first of them."""
    for record in history.records:
        what = record.what
        if isinstance(what, events.FaultRefused):
            promise = f"{what.fault} can be injected on {what.machine}"
            seen = f"{what.fault} was refused on {what.machine}: {what.why}"
            yield PromiseOutcome(
                PromiseKind.RUN, what.name, promise, seen, PromiseStatus.UNJUDGED, at=record.t
            )


def run(history: History) -> Iterator[PromiseOutcome]:
    """What kept the run from being whole; nothing where nothing did."""
    found: dict[type[events.Event], str] = {}
    for record in history.records:
        what = record.what
        if isinstance(what, events.Error):
            found.setdefault(type(what), what.what)
        elif isinstance(what, events.RunInterrupted):
            found.setdefault(type(what), f"interrupted by {what.signal}")
        elif isinstance(what, events.RunEnded):
            found[type(what)] = ""
        elif isinstance(what, events.SamplerStopped):
            found[type(what)] = _miscounted(history.samples.counts, what.samples) or _late(history, record.t)
    found.setdefault(events.SamplerStopped, "the sampler did not come to its end")
    found.setdefault(events.RunEnded, "the record ends before the run does: halab was killed")
    backwards = next((b.t for a, b in pairwise(history.records) if b.t < a.t), None)
    turned = "" if backwards is None else f"the timeline goes back in time at {backwards:.1f}s"
    for seen in filter(None, [*found.values(), turned]):
        yield PromiseOutcome(PromiseKind.RUN, "run", "the run is whole", seen, PromiseStatus.UNJUDGED)


def _miscounted(there: Mapping[str, int], taken: Mapping[str, int]) -> str:
    """Which samples the timeline and the file of samples do not agree on; empty where they do."""
    wrong = [name for name in sorted({*there, *taken}) if there.get(name, 0) != taken.get(name, 0)]
    if not wrong:
        return ""
    name = wrong[0]
    return f"{there.get(name, 0)} samples of {spoken(name)} are there, {taken.get(name, 0)} were taken"


def _late(history: History, stopped: float) -> str:
    """Which samples were taken after the sampler stopped: one of the two clocks stepped. Empty where none was."""
    for name in history.samples.lanes:
        last = max(sample.t for sample in history.samples.of(name))
        if last > stopped:
            return (
                f"a sample of {spoken(name)} is from {last:.1f}s, and the sampler stopped at {stopped:.1f}s"
            )
    return ""


def judged(history: History) -> Iterator[PromiseOutcome]:
    """That something was expected of the fault: a run of which all of that is left out shows nothing."""
    if not history.scenario.shows_a_fault_on(history.setting):
        seen = f"nothing that was expected shows a fault on a lab with {history.setting.in_words}"
        yield PromiseOutcome(PromiseKind.RUN, "run", "the fault is shown", seen, PromiseStatus.UNJUDGED)
