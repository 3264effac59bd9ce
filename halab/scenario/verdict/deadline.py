"""Whether clients were answered as was promised from some moment on: `ok` and `fails`, `within` a limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from halab.config.expectation import ProbeExpectation
from halab.config.quantities import format_duration
from halab.scenario.record.events import Sample, spoken
from halab.scenario.record.outage import GAP_SECONDS, Samples, gaps
from halab.scenario.verdict.decision import Citation, Figure, Judgement, JudgementState, Unit

# How many answers in a row are no accident.
OK_IN_A_ROW = 5
FAILED_IN_A_ROW = 3
# A question is answered within the sampler's time limit of two seconds, or recorded as timed out soon after.
_ANSWER_SECONDS = 2.5
# A question that comes so much later than usual means that the one before it is still without an answer: the sampler
# asks at any moment of half a period, so that two follow each other after half of one to one and a half.
_LATE = 1.5
_FEWEST_SPACINGS = 3


def answered(samples: Sequence[Sample], now: float) -> Sequence[Sample]:
    """The samples whose answers were known at `now`, up to the first question that waited for one then.

    A question that hangs is written down when it times out, after the quick ones that were asked later.
    Without this, two good answers of three would look like three good ones until then.

    While the lab is watched, such a question shows only by what is missing. The verdict has what was written later,
    too, and sees whether one was asked: it must not take a pause of the sampler's for a question, and revoke what the
    run went on by.
    """
    known = [sample for sample in samples if sample.end <= now]
    waited = [sample.t for sample in samples if sample.t < now < sample.end]
    written_until = max([now, *(sample.end for sample in samples)])
    spacings = [second.t - first.t for first, second in pairwise(known)]
    if len(spacings) < _FEWEST_SPACINGS:
        return known
    usual = median(spacings)
    for number, spacing in enumerate(spacings):
        if spacing <= _LATE * usual:
            continue
        before, after = known[number].t, known[number + 1].t
        may_be_unwritten = before + usual > written_until - _ANSWER_SECONDS
        if may_be_unwritten or any(before < asked < after for asked in waited):
            return known[: number + 1]
    return known


def within(
    expectation: ProbeExpectation,
    samples: Samples,
    name: str,
    counts_from: float,
    patience: float,
    now: float,
) -> Judgement:
    """A promise with a limit, by the samples of one lane that were known at `now`."""
    promise = expectation.ok or expectation.fails
    assert promise is not None and promise.within_seconds is not None
    # a few from before, for the usual time between two questions
    recent = answered(samples.between(name, counts_from - 2 * GAP_SECONDS, math.inf), now)
    asked = [sample for sample in recent if sample.t >= counts_from]
    judge = ok_within if expectation.ok else fails_within
    return judge(asked, name, counts_from, promise.within_seconds * patience)


def ok_within(samples: Sequence[Sample], name: str, counts_from: float, limit_seconds: float) -> Judgement:
    """An unbroken run of ok samples must begin within the limit, and still go on."""
    latest = counts_from + limit_seconds
    if not samples:
        return Judgement(JudgementState.OPEN, f"no sample of {spoken(name)}")
    first = len(samples)
    while first > 0 and samples[first - 1].ok:
        first -= 1
        if _after_a_gap(samples, first, counts_from):
            break
    run, before = samples[first:], samples[:first]
    failed = [sample for sample in before if not sample.ok]
    # by the first answer, not by its question: that one may have been asked while nobody answered, and waited
    since = (
        min((sample.end for sample in run), default=math.inf) if failed else (run[0].t if run else math.inf)
    )
    seconds = since - counts_from
    if run and since <= latest:
        if len(run) < OK_IN_A_ROW:
            return Judgement(JudgementState.OPEN, f"{spoken(name)} ok {len(run)} times in a row")
        seen = (
            f"{spoken(name)} ok from {format_duration(seconds)} on"
            if failed
            else f"{spoken(name)} ok all along"
        )
        figures = _after("ok after", seconds if failed else 0.0, limit_seconds)
        return Judgement(JudgementState.MET, seen, run[0].t, (evidence(name, run),), figures)
    last_failed = failed[-1] if failed else None
    if last_failed and (last_failed.t > latest or (run and run[0].t - last_failed.t <= GAP_SECONDS)):
        shown = (evidence(name, failed),)
        if run:
            seen = f"{spoken(name)} ok only from {format_duration(seconds)} on: {last_failed.detail} before"
            figures = _after("ok after", seconds, limit_seconds)
            return Judgement(JudgementState.BROKEN, seen, last_failed.t, shown, figures)
        lasted = last_failed.t - counts_from
        seen = f"{spoken(name)} still failed after {format_duration(lasted)}: {last_failed.detail}"
        return Judgement(
            JudgementState.BROKEN, seen, last_failed.t, shown, _after("ok after", lasted, limit_seconds)
        )
    if run:
        return Judgement(
            JudgementState.OPEN,
            f"no sample of {spoken(name)} before {format_duration(run[0].t - counts_from)}",
        )
    return Judgement(JudgementState.OPEN, f"{spoken(name)} failed: {samples[-1].detail}")


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
            seen = f"{spoken(name)} failed from {format_duration(seconds)} on: {failing[0].detail}"
            figures = _after("failed after", seconds, limit_seconds)
            return Judgement(JudgementState.MET, seen, failing[0].t, (evidence(name, failing),), figures)
    if not samples:
        return Judgement(JudgementState.OPEN, f"no sample of {spoken(name)}")
    blind = [gap for gap in gaps(samples, counts_from, samples[-1].t) if gap.start < latest]
    if samples[-1].t > latest and not blind and (not failing or failing[0].t > latest):
        inside = [sample for sample in samples if sample.t <= latest]
        failed = sum(not sample.ok for sample in inside)
        seen = f"{spoken(name)} answered: {failed} of {len(inside)} samples failed, never {FAILED_IN_A_ROW} in a row"
        # with a limit shorter than the sampler's period there may be none within it
        return Judgement(JudgementState.BROKEN, seen, latest, (evidence(name, inside or samples[:1]),))
    if samples[-1].t > latest and blind:
        return Judgement(
            JudgementState.OPEN, f"no sample of {spoken(name)} for {format_duration(blind[0].seconds)}"
        )
    return Judgement(JudgementState.OPEN, f"{spoken(name)} has not failed {FAILED_IN_A_ROW} times in a row")


def evidence(name: str, samples: Sequence[Sample]) -> Citation:
    return Citation(name, samples[0].t, samples[-1].t, len(samples))


def _after(name: str, seconds: float, limit_seconds: float) -> tuple[Figure, ...]:
    return (Figure(name, Unit.SECONDS, seconds, limit_seconds),)


def _after_a_gap(samples: Sequence[Sample], number: int, counts_from: float) -> bool:
    """Whether nothing was asked for long before the sample of that number."""
    before = samples[number - 1].t if number > 0 else counts_from
    return samples[number].t - before > GAP_SECONDS
