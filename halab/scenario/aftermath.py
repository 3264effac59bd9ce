"""What had to come after the steps of a scenario: heals, recovery, checks, nothing left behind, a whole record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from halab.config.quantities import spelled
from halab.config.scenario import Origin
from halab.scenario import events
from halab.scenario.check_results import CheckState
from halab.scenario.decision import Figure, Unit
from halab.scenario.events import When
from halab.scenario.folder import Evidence
from halab.scenario.history import History
from halab.scenario.result import Kind, Outcome, Standing

_OF_CHECKS = {
    CheckState.PASSED: Standing.KEPT,
    CheckState.FAILED: Standing.BROKEN,
    CheckState.ERROR: Standing.UNJUDGED,
    CheckState.SKIPPED: Standing.LEFT_OUT,
}


def heals(history: History) -> Iterator[Outcome]:
    for fault in history.faults():
        name = f"heal {fault.name}"
        promise = f"{fault.fault} on {fault.machine} can be healed"
        if fault.healed is not None:
            seen = f"healed at {fault.healed:.1f}s"
            yield Outcome(Kind.HEAL, name, promise, seen, Standing.KEPT, at=fault.healed)
        else:
            seen = fault.heal_failed or "not healed when the run ended"
            yield Outcome(Kind.HEAL, name, promise, seen, Standing.UNJUDGED, at=fault.heal_started)


def recovery(history: History) -> Outcome:
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
    figure = Figure("steady after", Unit.SECONDS, seconds, limit * history.patience)
    outcome = replace(outcome, at=t, measured=seconds, figures=(figure,))
    if steady.ok and seconds <= limit * history.patience:
        return replace(outcome, standing=Standing.KEPT, seen=f"steady after {spelled(seconds)}")
    if steady.ok:
        return replace(outcome, standing=Standing.BROKEN, seen=f"steady only after {spelled(seconds)}")
    if seconds >= limit * history.patience:
        seen = f"not steady after {spelled(seconds)}: {steady.seen}"
        return replace(outcome, standing=Standing.BROKEN, seen=seen)
    return replace(outcome, seen=f"waited no longer than {spelled(seconds)}: {steady.seen}")


def checks(evidence: Evidence) -> Iterator[Outcome]:
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
        seen = check.text or str(check.state)
        yield Outcome(
            Kind.CHECK, name, "the check passes", seen, _OF_CHECKS[check.state], detail=check.detail
        )


def audit(history: History) -> Iterator[Outcome]:
    """Nothing where none was made: the run says itself why it ended before."""
    for record in history.records:
        if not isinstance(record.what, events.Audit):
            continue
        left = record.what.leftovers
        yield Outcome(
            Kind.AUDIT,
            "audit",
            "healed faults leave nothing behind",
            f"left behind: {'; '.join(left)}" if left else "nothing is left behind",
            Standing.UNJUDGED if left else Standing.KEPT,
            at=record.t,
        )


def refusals(history: History) -> Iterator[Outcome]:
    """Faults that this lab cannot do: the run ended with the first of them."""
    for record in history.records:
        what = record.what
        if isinstance(what, events.FaultRefused):
            promise = f"{what.fault} can be injected on {what.machine}"
            seen = f"{what.fault} was refused on {what.machine}: {what.why}"
            yield Outcome(Kind.RUN, what.name, promise, seen, Standing.UNJUDGED, at=record.t)


def run(history: History) -> Iterator[Outcome]:
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
