"""Promises over the window of a fault: ok or failing always, the longest outage, the number of outages, the share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from halab.config.expectation import ProbeExpectation
from halab.config.quantities import Bounds, format_count, format_duration, format_share
from halab.scenario.record.events import Sample
from halab.scenario.record.history import Window
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import GAP_SECONDS, Figures, Samples, figures
from halab.scenario.verdict.deadline import FAILED_IN_A_ROW, OK_IN_A_ROW, cite
from halab.scenario.verdict.judgement import Figure, Judgement, JudgementState, Unit, combine


def during(
    expectation: ProbeExpectation, samples: Samples, lane: Lane, window: Window, now: float
) -> Judgement:
    """Judge a promise over the window of a fault by the samples of one lane that were known at `now`, in seconds."""
    start = window.start
    if expectation.fails:
        # until the effect is real, an answer breaks no promise
        if window.effective is None:
            return Judgement(JudgementState.OPEN, f"{expectation.during} has no effect yet")
        start = window.effective
    end = now if window.end is None else window.end
    later = samples.between(lane, start, math.inf)
    if expectation.fails:
        # a question asked before the heal and answered after it may have been answered because of the heal
        later = [sample for sample in later if not sample.ok or sample.end <= end]
    sampled = _SampledWindow(
        expectation, lane, later, figures(later, start, end), is_closed=window.end is not None
    )
    judgements = list(_judgements(expectation, sampled))
    broken = [judgement for judgement in judgements if judgement.state is JudgementState.BROKEN]
    return combine(broken or judgements)


@dataclass(frozen=True)
class _SampledWindow:
    """What is known about one lane over a window, which is closed once the heal of the fault begins.

    `later` are all samples since the start of the window, also those after its end.
    """

    expectation: ProbeExpectation
    lane: Lane
    later: Sequence[Sample]
    figures: Figures
    is_closed: bool

    @cached_property
    def samples(self) -> list[Sample]:
        return [sample for sample in self.later if sample.t < self.figures.end]

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.samples if not sample.ok]

    @cached_property
    def unknown_because(self) -> str:
        """Why the samples do not show all of the window; empty if they do."""
        fewest = FAILED_IN_A_ROW if self.expectation.fails else OK_IN_A_ROW
        during, name = self.expectation.during, self.lane.in_words
        if not self.is_closed:
            return f"{self.expectation.fault} is not healed yet"
        if not self.samples:
            return f"no sample of {name} during {during}"
        if self.figures.gaps:
            seconds = format_duration(sum(gap.seconds for gap in self.figures.gaps))
            return f"no sample of {name} for {seconds} during {during}"
        if len(self.samples) < fewest:
            return f"only {len(self.samples)} samples of {name} during {during}, {fewest} are needed"
        return ""

    @property
    def least_failed_share(self) -> float:
        """The failed share if every question missing in the gaps had been answered; 0 if there are too few samples."""
        if not self.is_closed or len(self.samples) < OK_IN_A_ROW:
            return 0.0
        usual = median(second.t - first.t for first, second in pairwise(self.samples))
        missed = sum(gap.seconds for gap in self.figures.gaps) / max(usual, 1e-3)
        return self.figures.failed / (self.figures.samples + missed)

    @property
    def least_outages(self) -> int:
        """The least number of outages: two outages with a gap between them may be one."""
        return len(self.figures.outages) - sum(outage.is_open for outage in self.figures.outages[:-1])

    def outage_unknown_because(self, bounds: Bounds) -> str:
        """Why the longest outage is unknown although all of the window was sampled; empty if it is known."""
        lasted, needed = self.figures.end - self.figures.start, self.expectation.fault_seconds
        if lasted < needed:
            had, wants = format_duration(lasted), format_duration(needed)
            short = (
                f"the fault `{self.expectation.fault}` lasted only {had}, too short for an outage of {wants}"
            )
            return f"{short}: make it longer with a `wait` before its heal, or lower the bound"
        last = self.figures.outages[-1] if self.figures.outages else None
        if last and last.is_open and (last.seconds < bounds.least or not math.isinf(bounds.most)):
            out = f"{self.lane.in_words} was out for at least {format_duration(last.seconds)}"
            return f"{out}: no sample of it after {last.end:.1f}s"
        # an outage that began after the last question of the window may have lasted until the next question or longer
        asked = self.samples[-1].t
        following = next((sample.t for sample in self.later if sample.t >= self.figures.end), asked)
        if following - asked > GAP_SECONDS and not math.isinf(bounds.most):
            return f"no sample of {self.lane.in_words} for {format_duration(following - asked)} after {asked:.1f}s"
        return ""


def _judgements(expectation: ProbeExpectation, sampled: _SampledWindow) -> Iterator[Judgement]:
    """Judge each promise by the samples there are, even if they are few: broken only if that is certain."""
    if expectation.ok or expectation.fails:
        yield _always(sampled, fails=bool(expectation.fails))
    if expectation.longest_outage is not None:
        yield _longest_outage(sampled, expectation.longest_outage)
    if expectation.failed_share is not None:
        yield _failed_share(sampled, expectation.failed_share)
    if expectation.outages is not None:
        yield _outages(sampled, expectation.outages)


def _always(sampled: _SampledWindow, *, fails: bool) -> Judgement:
    wrong = [sample for sample in sampled.samples if sample.ok is fails]
    if not wrong and sampled.unknown_because:
        return Judgement(JudgementState.OPEN, sampled.unknown_because)
    said = "answered" if fails else "failed"
    words = f"{sampled.lane.in_words} {said} in {len(wrong)} of {len(sampled.samples)} samples"
    if wrong:
        words += f", first at {wrong[0].t:.1f}s ({wrong[0].detail})"
    return _judgement(
        sampled, JudgementState.BROKEN if wrong else JudgementState.MET, words, wrong or sampled.samples
    )


def _longest_outage(sampled: _SampledWindow, bounds: Bounds) -> Judgement:
    longest, seconds = sampled.figures.longest, sampled.figures.longest_outage_seconds
    unknown = sampled.unknown_because or sampled.outage_unknown_because(bounds)
    if unknown and seconds <= bounds.most:
        return Judgement(JudgementState.OPEN, unknown)
    figure = Figure.within("longest outage", Unit.SECONDS, seconds, bounds)
    too_little = _too_little(bounds, seconds, format_duration)
    state = _state(bounds, seconds)
    if longest is None:
        return _judgement(
            sampled, state, f"{sampled.lane.in_words} was never out{too_little}", sampled.samples, figure
        )
    cited = [sample for sample in sampled.later if not sample.ok and longest.start <= sample.t < longest.end]
    qualifier = "only " if too_little else "at least " if longest.is_open else ""
    words = f"{sampled.lane.in_words} was out for {qualifier}{format_duration(seconds)}, from {longest.start:.1f}s"
    words += f" ({cited[0].detail}){too_little}"
    return _judgement(sampled, state, words, cited, figure)


def _failed_share(sampled: _SampledWindow, bounds: Bounds) -> Judgement:
    share = sampled.figures.failed_share
    if sampled.unknown_because and sampled.least_failed_share <= bounds.most:
        return Judgement(JudgementState.OPEN, sampled.unknown_because)
    too_little = _too_little(bounds, share, format_share)
    failed = f"only {format_share(share)}" if too_little else format_share(share)
    words = f"{sampled.lane.in_words} failed in {failed} of {sampled.figures.samples} samples{too_little}"
    figure = Figure.within("failed share", Unit.SHARE, share, bounds)
    return _judgement(sampled, _state(bounds, share), words, sampled.failed or sampled.samples, figure)


def _outages(sampled: _SampledWindow, bounds: Bounds) -> Judgement:
    count = len(sampled.figures.outages)
    if sampled.unknown_because and sampled.least_outages <= bounds.most:
        return Judgement(JudgementState.OPEN, sampled.unknown_because)
    too_little = _too_little(bounds, count, _times)
    words = f"{sampled.lane.in_words} was never out"
    if count:
        often = f"only {_times(count)}" if too_little else _times(count)
        words = f"{sampled.lane.in_words} was out {often}, first at {sampled.figures.outages[0].start:.1f}s"
    figure = Figure.within("outages", Unit.COUNT, count, bounds)
    return _judgement(
        sampled, _state(bounds, count), words + too_little, sampled.failed or sampled.samples, figure
    )


def _state(bounds: Bounds, amount: float) -> JudgementState:
    return JudgementState.MET if bounds.allow(amount) else JudgementState.BROKEN


def _too_little(bounds: Bounds, amount: float, spell: Callable[[float], str]) -> str:
    """What to add if the fault showed less than it should have; empty if not."""
    return f", at least {spell(bounds.least)} was promised" if amount < bounds.least else ""


def _times(count: float) -> str:
    return "once" if count == 1 else f"{format_count(count)} times"


def _judgement(
    sampled: _SampledWindow,
    state: JudgementState,
    words: str,
    cited: Sequence[Sample],
    figure: Figure | None = None,
) -> Judgement:
    return Judgement(
        state,
        words,
        cited[0].t if cited else None,
        (cite(sampled.lane, cited),) if cited else (),
        (figure,) if figure else (),
    )
