"""Whether one expectation holds, by the evidence up to a moment.

The runner asks while a scenario runs, to know when it may go on; the verdict asks afterwards, with the same
functions and the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from statistics import median

from halab.config.quantities import spelled, spelled_share
from halab.config.scenario import Expect, FactExpectation, ProbeExpectation
from halab.scenario import events
from halab.scenario.events import Sample, lane, spoken
from halab.scenario.history import History, Window
from halab.scenario.outage import GAP_SECONDS, Figures, figures, gaps

# How many answers in a row are no accident.
OK_IN_A_ROW = 5
FAILED_IN_A_ROW = 3
# A question is answered within the sampler's time limit of two seconds, or recorded as timed out soon after.
_ANSWER_SECONDS = 2.5
# A question that comes so much later than usual means that the one before it is still without an answer.
_LATE = 1.75
_FEWEST_SPACINGS = 3


class State(StrEnum):
    MET = "met"
    BROKEN = "broken"
    OPEN = "open"  # cannot be told yet; or, when the run is over, not at all


@dataclass(frozen=True)
class Evidence:
    """The samples of one lane that show something, by the starts of the first and the last of them."""

    lane: str
    start: float
    end: float
    samples: int


@dataclass(frozen=True)
class Judgement:
    """`measured` is in seconds, for a failed share a number from 0 to 1; `at` is when it was decided."""

    state: State
    seen: str
    measured: float | None = None
    at: float | None = None
    evidence: tuple[Evidence, ...] = ()


def satisfied(history: History, index: int, now: float) -> Judgement:
    """The expectation of a step, by what was known at `now`."""
    step = history.scenario.steps[index]
    assert isinstance(step, Expect)
    expectation = step.expectation
    machines = history.machines_asked(index, expectation)
    if not machines:
        return Judgement(State.OPEN, f"no fault hit a machine that {expectation.target} could mean")
    if isinstance(expectation, FactExpectation):
        return together([_fact(history, index, expectation, machine, now) for machine in machines])
    if expectation.during is not None:
        window = history.window(expectation.during)
        if window is None:
            return Judgement(State.OPEN, f"{expectation.during} was not injected")
        lanes = [lane(expectation.probe, machine) for machine in machines]
        return together([_during(history, expectation, name, window, now) for name in lanes])
    counts_from = history.counts_from(index)
    if counts_from is None:
        return Judgement(State.OPEN, "the step before did not end")
    return together(
        [_within(history, expectation, lane(expectation.probe, each), counts_from, now) for each in machines]
    )


def together(judgements: Sequence[Judgement]) -> Judgement:
    """All must be met; one that is broken breaks the whole."""
    for state in (State.BROKEN, State.OPEN, State.MET):
        deciding = [judgement for judgement in judgements if judgement.state is state]
        if deciding:
            break
    worst = max(deciding, key=lambda judgement: judgement.measured or 0.0)
    return Judgement(
        state,
        "; ".join(dict.fromkeys(judgement.seen for judgement in deciding)),
        worst.measured,
        worst.at,
        tuple(evidence for judgement in deciding for evidence in judgement.evidence),
    )


def answered(samples: Sequence[Sample], now: float) -> Sequence[Sample]:
    """The samples whose answers were known at `now`, up to the first question that may still wait for one.

    A question that hangs is written down when it times out, after the quick ones that were asked later.
    Without this, two good answers of three would look like three good ones until then.
    """
    known = [sample for sample in samples if sample.end <= now]
    spacings = [second.t - first.t for first, second in pairwise(known)]
    if len(spacings) < _FEWEST_SPACINGS:
        return known
    usual = median(spacings)
    for number, spacing in enumerate(spacings):
        was_due = known[number].t + usual
        if spacing > _LATE * usual and was_due > now - _ANSWER_SECONDS:
            return known[: number + 1]
    return known


def _within(
    history: History, expectation: ProbeExpectation, name: str, counts_from: float, now: float
) -> Judgement:
    promise = expectation.ok or expectation.fails
    assert promise is not None and promise.within_seconds is not None
    # a few from before, for the usual time between two questions
    recent = answered(history.samples.between(name, counts_from - 2 * GAP_SECONDS, now), now)
    samples = [sample for sample in recent if sample.t >= counts_from]
    judge = ok_within if expectation.ok else fails_within
    return judge(samples, name, counts_from, promise.within_seconds * history.patience)


def ok_within(samples: Sequence[Sample], name: str, counts_from: float, limit_seconds: float) -> Judgement:
    """An unbroken run of ok samples must begin within the limit, and still go on."""
    latest = counts_from + limit_seconds
    if not samples:
        return Judgement(State.OPEN, f"no sample of {spoken(name)}")
    first = len(samples)
    while first > 0 and samples[first - 1].ok:
        first -= 1
        if _after_a_gap(samples, first, counts_from):
            break
    run, before = samples[first:], samples[:first]
    failed = [sample for sample in before if not sample.ok]
    seconds = run[0].t - counts_from if run else None
    if run and seconds is not None and run[0].t <= latest:
        if len(run) < OK_IN_A_ROW:
            return Judgement(State.OPEN, f"{spoken(name)} ok {len(run)} times in a row")
        seen = f"{spoken(name)} ok from {spelled(seconds)} on" if failed else f"{spoken(name)} ok all along"
        return Judgement(State.MET, seen, seconds if failed else 0.0, run[0].t, (_evidence(name, run),))
    last_failed = failed[-1] if failed else None
    if last_failed and (last_failed.t > latest or (run and run[0].t - last_failed.t <= GAP_SECONDS)):
        evidence = (_evidence(name, failed),)
        if run and seconds is not None:
            seen = f"{spoken(name)} ok only from {spelled(seconds)} on: {last_failed.detail} before"
            return Judgement(State.BROKEN, seen, seconds, last_failed.t, evidence)
        lasted = last_failed.t - counts_from
        seen = f"{spoken(name)} still failed after {spelled(lasted)}: {last_failed.detail}"
        return Judgement(State.BROKEN, seen, lasted, last_failed.t, evidence)
    if run:
        return Judgement(State.OPEN, f"no sample of {spoken(name)} before {spelled(run[0].t - counts_from)}")
    return Judgement(State.OPEN, f"{spoken(name)} failed: {samples[-1].detail}")


def fails_within(
    samples: Sequence[Sample], name: str, counts_from: float, limit_seconds: float
) -> Judgement:
    """A run of failed samples must begin within the limit."""
    latest = counts_from + limit_seconds
    failing: list[Sample] = []
    for number, sample in enumerate(samples):
        if sample.ok or _after_a_gap(samples, number, counts_from):
            failing = []
        if not sample.ok:
            failing.append(sample)
        if len(failing) == FAILED_IN_A_ROW and failing[0].t <= latest:
            seconds = failing[0].t - counts_from
            seen = f"{spoken(name)} failed from {spelled(seconds)} on: {failing[0].detail}"
            return Judgement(State.MET, seen, seconds, failing[0].t, (_evidence(name, failing),))
    if not samples:
        return Judgement(State.OPEN, f"no sample of {spoken(name)}")
    blind = [gap for gap in gaps(samples, counts_from, samples[-1].t) if gap.start < latest]
    if samples[-1].t > latest and not blind and (not failing or failing[0].t > latest):
        inside = [sample for sample in samples if sample.t <= latest]
        failed = sum(not sample.ok for sample in inside)
        seen = f"{spoken(name)} answered: {failed} of {len(inside)} samples failed, never {FAILED_IN_A_ROW} in a row"
        return Judgement(State.BROKEN, seen, limit_seconds, latest, (_evidence(name, inside),))
    if samples[-1].t > latest and blind:
        return Judgement(State.OPEN, f"no sample of {spoken(name)} for {spelled(blind[0].seconds)}")
    return Judgement(State.OPEN, f"{spoken(name)} has not failed {FAILED_IN_A_ROW} times in a row")


def _during(
    history: History, expectation: ProbeExpectation, name: str, window: Window, now: float
) -> Judgement:
    start = window.start
    if expectation.fails:
        # until the effect is real, an answer breaks no promise
        if window.effective is None:
            return Judgement(State.OPEN, f"{expectation.during} has no effect yet")
        start = window.effective
    end = now if window.end is None else window.end
    samples = history.samples.between(name, start, end)
    found = figures(samples, start, end)
    broken = [each for each in _amounts(expectation, name, samples, found) if each.state is State.BROKEN]
    if broken:
        return together(broken)
    if window.end is None:
        return Judgement(State.OPEN, f"{expectation.during} is not healed yet")
    if not samples:
        return Judgement(State.OPEN, f"no sample of {spoken(name)} during {expectation.during}")
    if found.gaps:
        blind = sum(gap.seconds for gap in found.gaps)
        return Judgement(
            State.OPEN, f"no sample of {spoken(name)} for {spelled(blind)} during {expectation.during}"
        )
    return together(_amounts(expectation, name, samples, found))


def _amounts(
    expectation: ProbeExpectation, name: str, samples: Sequence[Sample], found: Figures
) -> list[Judgement]:
    """What was promised over a window against what was seen, however little that is."""
    judged = []
    if expectation.ok or expectation.fails:
        wrong = [sample for sample in samples if sample.ok == bool(expectation.fails)]
        said = "answered" if expectation.fails else "failed"
        seen = f"{spoken(name)} {said} in {len(wrong)} of {len(samples)} samples"
        if wrong:
            seen += f", first {wrong[0].detail} at {wrong[0].t:.1f}s"
        judged.append(_judged(not wrong, seen, None, name, wrong or samples))
    if expectation.longest_outage is not None:
        longest = found.longest
        seconds = found.longest_outage_seconds
        shown = [] if longest is None else [s for s in samples if longest.start <= s.t < longest.end]
        seen = (
            f"{spoken(name)} was never out"
            if longest is None
            else f"{spoken(name)} was out for {spelled(seconds)}"
        )
        if longest:
            seen += (", at least" if longest.is_open else "") + f", from {longest.start:.1f}s"
        if shown:
            seen += f" ({shown[0].detail})"
        judged.append(_judged(seconds <= expectation.longest_outage, seen, seconds, name, shown or samples))
    if expectation.failed_share is not None:
        share = found.failed_share
        seen = f"{spoken(name)} failed in {spelled_share(share)} of {found.samples} samples"
        failed = [sample for sample in samples if not sample.ok]
        # one figure is reported: seconds where there are any
        measured = share if expectation.longest_outage is None else None
        judged.append(_judged(share <= expectation.failed_share, seen, measured, name, failed or samples))
    return judged


def _judged(kept: bool, seen: str, measured: float | None, name: str, shown: Sequence[Sample]) -> Judgement:
    evidence = (_evidence(name, shown),) if shown else ()
    at = shown[0].t if shown else None
    return Judgement(State.MET if kept else State.BROKEN, seen, measured, at, evidence)


def _fact(
    history: History, index: int, expectation: FactExpectation, machine: str | None, now: float
) -> Judgement:
    name = f"{expectation.fact} on {machine}" if machine else str(expectation.fact)
    counts_from = history.counts_from(index)
    fault = history.fault_before(index)
    window = history.window(expectation.target or "") or history.window(fault or "")
    if counts_from is None or window is None:
        return Judgement(State.OPEN, "the step before did not end")
    readings = [
        (record.t, record.what.value)
        for record in history.records
        if isinstance(record.what, events.Fact)
        and (record.what.fact, record.what.machine) == (expectation.fact, machine)
        and record.t <= now
    ]
    earlier = [value for t, value in readings if t < window.start]
    later = [(t, value) for t, value in readings if t >= window.start]
    if not earlier or earlier[-1] is None:
        return Judgement(State.OPEN, f"{name} was not read before the fault")
    if expectation.changed is None:
        return _unchanged(name, earlier[-1], later)
    assert expectation.changed.within_seconds is not None
    limit_seconds = expectation.changed.within_seconds * history.patience
    return _changed(name, earlier[-1], later, counts_from, limit_seconds)


def _unchanged(name: str, before: str, later: Sequence[tuple[float, str | None]]) -> Judgement:
    if not later:
        return Judgement(State.OPEN, f"{name} was not read after the fault")
    for t, value in later:
        if value != before:
            return Judgement(State.BROKEN, f"{name} was {before} and is {value or 'gone'}", None, t)
    return Judgement(State.MET, f"{name} is still {before}", None, later[-1][0])


def _changed(
    name: str, before: str, later: Sequence[tuple[float, str | None]], counts_from: float, limit: float
) -> Judgement:
    for t, value in later:
        # nothing to read is in between: a process that has ended is not yet one that has started again
        if value is not None and value != before:
            seconds = max(0.0, t - counts_from)
            seen = f"{name} was {before} and is {value} after {spelled(seconds)}"
            kept = t <= counts_from + limit
            return Judgement(State.MET if kept else State.BROKEN, seen, seconds, t)
    if later and later[-1][0] > counts_from + limit:
        t, value = later[-1]
        seen = f"{name} is still {before}" if value else f"{name} is gone, and was not seen again"
        return Judgement(State.BROKEN, f"{seen} after {spelled(t - counts_from)}", t - counts_from, t)
    return Judgement(State.OPEN, f"{name} has not changed")


def _after_a_gap(samples: Sequence[Sample], number: int, counts_from: float) -> bool:
    """Whether nothing was asked for long before the sample of that number."""
    before = samples[number - 1].t if number > 0 else counts_from
    return samples[number].t - before > GAP_SECONDS


def _evidence(name: str, samples: Sequence[Sample]) -> Evidence:
    return Evidence(name, samples[0].t, samples[-1].t, len(samples))
