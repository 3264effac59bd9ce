"""Promises with a limit: a probe is `ok` or `fails` `within` some seconds of a moment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from halab.config.expectation import ProbeExpectation
from halab.config.quantities import format_duration
from halab.printable import counted
from halab.scenario.record.events import Sample
from halab.scenario.record.lanes import TIME_LIMIT_SECONDS, Lane
from halab.scenario.record.outage import GAP_SECONDS, Samples, gaps
from halab.scenario.verdict.judgement import Citation, Figure, Judgement, JudgementState, Unit

# So many equal answers in a row are no accident.
OK_IN_A_ROW = 5
FAILED_IN_A_ROW = 3
# A question is answered within the sampler's time limit of two seconds, or recorded as timed out soon after.
_LATEST_RECORD_SECONDS = 0.5
_ANSWER_SECONDS = TIME_LIMIT_SECONDS + _LATEST_RECORD_SECONDS
# The sampler asks at a random moment in the first half of each period, so two questions are half a period to one and a
# half periods apart. A longer pause means that the question in between still waits for its answer.
_LATE = 1.5
_FEWEST_SPACINGS = 3


def answered(
    samples: Sequence[Sample], now: float, answer_seconds: float = _ANSWER_SECONDS
) -> Sequence[Sample]:
    """The samples whose answers were known at `now`, up to the first question that was still waiting then.

    A question that hangs is written down when it times out, after quick questions that were asked later.
    Without this, two good answers of three would look like three good ones until then.

    During the run, such a question shows only as a missing sample. The verdict also has the samples that were written
    later and knows whether there was a question. It must not mistake a pause of the sampler for a question: that would
    revoke the decision by which the run went on.
    """
    known = [sample for sample in samples if sample.end <= now]
    waited = [sample.t for sample in samples if sample.end > now]
    written_until = max([now, *(sample.end for sample in samples)])
    spacings = [second.t - first.t for first, second in pairwise(known)]
    if len(spacings) < _FEWEST_SPACINGS:
        return known
    usual = median(spacings)
    for number, spacing in enumerate(spacings):
        if spacing <= _LATE * usual:
            continue
        before, after = known[number].t, known[number + 1].t
        may_be_unwritten = before + usual > written_until - answer_seconds
        if may_be_unwritten or any(before < asked < after for asked in waited):
            return known[: number + 1]
    return known


def within(
    expectation: ProbeExpectation,
    samples: Samples,
    lane: Lane,
    counts_from: float,
    patience: float,
    now: float,
) -> Judgement:
    """Judge a promise with a limit by the samples of one lane that were known at `now`; times in seconds."""
    promise = expectation.ok or expectation.fails
    assert promise is not None and promise.within_seconds is not None
    # also a few earlier samples, to know the usual time between two questions
    answer_seconds = max(_ANSWER_SECONDS, samples.limits.get(lane.name, 0.0) + _LATEST_RECORD_SECONDS)
    recent = answered(samples.between(lane, counts_from - 2 * GAP_SECONDS, math.inf), now, answer_seconds)
    asked = [sample for sample in recent if sample.t >= counts_from]
    judge_lane = ok_within if expectation.ok else fails_within
    return judge_lane(asked, lane, counts_from, promise.within_seconds * patience)


def ok_within(samples: Sequence[Sample], lane: Lane, counts_from: float, limit_seconds: float) -> Judgement:
    """An unbroken series of ok samples must begin within the limit and last until now."""
    latest = counts_from + limit_seconds
    if not samples:
        return Judgement(JudgementState.OPEN, f"no sample of {lane.in_words}")
    good: list[Sample] = []
    for sample in reversed(samples):
        if not sample.ok or (good and _is_gap(sample, good[0])):
            break
        good.insert(0, sample)
    failed = [sample for sample in samples if not sample.ok]
    # counted to the first answer: its question may have been asked, and waited, while nothing answered
    since = (
        min((sample.end for sample in good), default=math.inf)
        if failed
        else (good[0].t if good else math.inf)
    )
    seconds = since - counts_from
    if good and since <= latest:
        if len(good) < OK_IN_A_ROW:
            return Judgement(
                JudgementState.OPEN,
                f"{lane.in_words} was ok only {counted(len(good), 'time')} in a row, and {OK_IN_A_ROW} are needed",
            )
        seen = (
            f"{lane.in_words} was ok after {format_duration(seconds)}"
            if failed
            else f"{lane.in_words} was ok all the time"
        )
        figures = _after("ok after", seconds if failed else 0.0, limit_seconds)
        return Judgement(JudgementState.MET, seen, good[0].t, (cite(lane, good),), figures)
    last_failed = failed[-1] if failed else None
    if last_failed and (last_failed.t > latest or (good and good[0].t - last_failed.t <= GAP_SECONDS)):
        cited = (cite(lane, failed),)
        if good:
            seen = f"{lane.in_words} was ok only after {format_duration(seconds)}: {last_failed.detail} before that"
            figures = _after("ok after", seconds, limit_seconds)
            return Judgement(JudgementState.BROKEN, seen, last_failed.t, cited, figures)
        lasted = last_failed.t - counts_from
        seen = f"{lane.in_words} still failed after {format_duration(lasted)}: {last_failed.detail}"
        return Judgement(
            JudgementState.BROKEN, seen, last_failed.t, cited, _after("ok after", lasted, limit_seconds)
        )
    if good:
        return Judgement(
            JudgementState.OPEN,
            f"no sample of {lane.in_words} before {format_duration(good[0].t - counts_from)}",
        )
    return Judgement(JudgementState.OPEN, f"{lane.in_words} failed: {samples[-1].detail}")


def fails_within(
    samples: Sequence[Sample], lane: Lane, counts_from: float, limit_seconds: float
) -> Judgement:
    """A series of failed samples must begin within the limit."""
    latest = counts_from + limit_seconds
    failing: list[Sample] = []
    for sample in samples:
        if sample.ok or (failing and _is_gap(failing[-1], sample)):
            failing = []
        if not sample.ok:
            failing.append(sample)
        if len(failing) == FAILED_IN_A_ROW and failing[0].t <= latest:
            seconds = failing[0].t - counts_from
            seen = f"{lane.in_words} failed after {format_duration(seconds)}: {failing[0].detail}"
            figures = _after("failed after", seconds, limit_seconds)
            return Judgement(JudgementState.MET, seen, failing[0].t, (cite(lane, failing),), figures)
    if not samples:
        return Judgement(JudgementState.OPEN, f"no sample of {lane.in_words}")
    unsampled = [gap for gap in gaps(samples, counts_from, samples[-1].t) if gap.start < latest]
    if samples[-1].t > latest and not unsampled and (not failing or failing[0].t > latest):
        inside = [sample for sample in samples if sample.t <= latest]
        failed = sum(not sample.ok for sample in inside)
        seen = f"{lane.in_words} answered: {failed} of {len(inside)} samples failed, never {FAILED_IN_A_ROW} in a row"
        # a limit that is shorter than the sampler's period may have no sample within it
        return Judgement(JudgementState.BROKEN, seen, latest, (cite(lane, inside or samples[:1]),))
    if samples[-1].t > latest and unsampled:
        return Judgement(
            JudgementState.OPEN, f"no sample of {lane.in_words} for {format_duration(unsampled[0].seconds)}"
        )
    return Judgement(JudgementState.OPEN, f"{lane.in_words} has not failed {FAILED_IN_A_ROW} times in a row")


def cite(lane: Lane, samples: Sequence[Sample]) -> Citation:
    return Citation(lane, samples[0].t, samples[-1].t, len(samples))


def _after(name: str, seconds: float, limit_seconds: float) -> tuple[Figure, ...]:
    return (Figure(name, Unit.SECONDS, seconds, limit_seconds),)


def _is_gap(before: Sample, sample: Sample) -> bool:
    """True if there was no question for a long time between two samples."""
    return sample.t - before.t > GAP_SECONDS
