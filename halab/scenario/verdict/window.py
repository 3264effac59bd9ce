"""Whether clients were answered as was promised while a fault lasted: always, or out for so long, so often, so much."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from halab.config.expectation import ProbeExpectation
from halab.config.quantities import Bounds, format_count, format_duration, format_share
from halab.scenario.record.events import Sample, spoken
from halab.scenario.record.history import Window
from halab.scenario.record.outage import GAP_SECONDS, Figures, Samples, figures
from halab.scenario.verdict.deadline import FAILED_IN_A_ROW, OK_IN_A_ROW, evidence
from halab.scenario.verdict.decision import Figure, Judgement, JudgementState, Unit, combine


def during(
    expectation: ProbeExpectation, samples: Samples, name: str, window: Window, now: float
) -> Judgement:
    """A promise over the window of a fault, by the samples of one lane."""
    start = window.start
    if expectation.fails:
        # until the effect is real, an answer breaks no promise
        if window.effective is None:
            return Judgement(JudgementState.OPEN, f"{expectation.during} has no effect yet")
        start = window.effective
    end = now if window.end is None else window.end
    later = samples.between(name, start, math.inf)
    if expectation.fails:
        # what was asked before the heal and is answered after it may have been answered because of it
        later = [sample for sample in later if sample.t >= end or not sample.ok or sample.end <= end]
    seen = _Seen(expectation, name, later, figures(later, start, end), is_closed=window.end is not None)
    judged = list(_judged(expectation, seen))
    return combine([each for each in judged if each.state is JudgementState.BROKEN] or judged)


@dataclass(frozen=True)
class _Seen:
    """What is known of one lane over a window; it is closed when the fault is being healed.

    `later` are the samples from the start of the window on, those after its end as well.
    """

    expectation: ProbeExpectation
    name: str
    later: Sequence[Sample]
    found: Figures
    is_closed: bool

    @cached_property
    def samples(self) -> list[Sample]:
        return [sample for sample in self.later if sample.t < self.found.end]

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.samples if not sample.ok]

    @cached_property
    def unseen(self) -> str:
        """Why it is not known that there was no more of anything; empty where it is."""
        fewest = FAILED_IN_A_ROW if self.expectation.fails else OK_IN_A_ROW
        during, name = self.expectation.during, spoken(self.name)
        if not self.is_closed:
            return f"{self.expectation.fault} is not healed yet"
        if not self.samples:
            return f"no sample of {name} during {during}"
        if self.found.gaps:
            unseen = format_duration(sum(gap.seconds for gap in self.found.gaps))
            return f"no sample of {name} for {unseen} during {during}"
        if len(self.samples) < fewest:
            return (
                f"only {len(self.samples)} of the {fewest} samples of {name} that are needed during {during}"
            )
        return ""

    @property
    def certain_share(self) -> float:
        """The share that failed if all that was not asked had been answered; 0 where that cannot be told yet."""
        if not self.is_closed or len(self.samples) < OK_IN_A_ROW:
            return 0.0
        usual = median(second.t - first.t for first, second in pairwise(self.samples))
        missed = sum(gap.seconds for gap in self.found.gaps) / max(usual, 1e-3)
        return self.found.failed / (self.found.samples + missed)

    @property
    def certain_outages(self) -> int:
        """How many there are at least: two that a gap lies between may be one."""
        return len(self.found.outages) - sum(each.is_open for each in self.found.outages[:-1])

    def unmeasured(self, bounds: Bounds) -> str:
        """Why the longest outage is not known, though all of the window is; empty where it is."""
        lasted, needed = self.found.end - self.found.start, self.expectation.fault_seconds
        if lasted < needed:
            had, wants = format_duration(lasted), format_duration(needed)
            return f"{self.expectation.during} lasted {had}: an outage of {wants} had no room"
        last = self.found.outages[-1] if self.found.outages else None
        if last and last.is_open and (last.seconds < bounds.least or not math.isinf(bounds.most)):
            out = f"{spoken(self.name)} was out for {format_duration(last.seconds)} and went on"
            return f"{out}: no sample of it after {last.end:.1f}s"
        # an outage that began after the last question of the window may have gone on until the next one, and beyond
        asked = self.samples[-1].t
        following = next((sample.t for sample in self.later if sample.t >= self.found.end), asked)
        if following - asked > GAP_SECONDS and not math.isinf(bounds.most):
            return f"no sample of {spoken(self.name)} for {format_duration(following - asked)} from {asked:.1f}s on"
        return ""


def _judged(expectation: ProbeExpectation, seen: _Seen) -> Iterator[Judgement]:
    """What was promised against what was seen, however little that is: broken only where that is certain."""
    if expectation.ok or expectation.fails:
        yield _always(seen, fails=bool(expectation.fails))
    if expectation.longest_outage is not None:
        yield _longest_outage(seen, expectation.longest_outage)
    if expectation.failed_share is not None:
        yield _failed_share(seen, expectation.failed_share)
    if expectation.outages is not None:
        yield _outages(seen, expectation.outages)


def _always(seen: _Seen, *, fails: bool) -> Judgement:
    wrong = [sample for sample in seen.samples if sample.ok is fails]
    if not wrong and seen.unseen:
        return Judgement(JudgementState.OPEN, seen.unseen)
    said = "answered" if fails else "failed"
    words = f"{spoken(seen.name)} {said} in {len(wrong)} of {len(seen.samples)} samples"
    if wrong:
        words += f", first {wrong[0].detail} at {wrong[0].t:.1f}s"
    return _verdict(
        seen, JudgementState.BROKEN if wrong else JudgementState.MET, words, wrong or seen.samples
    )


def _longest_outage(seen: _Seen, bounds: Bounds) -> Judgement:
    longest, seconds = seen.found.longest, seen.found.longest_outage_seconds
    unknown = seen.unseen or seen.unmeasured(bounds)
    if unknown and seconds <= bounds.most:
        return Judgement(JudgementState.OPEN, unknown)
    figure = Figure.within("longest outage", Unit.SECONDS, seconds, bounds)
    too_little = _too_little(bounds, seconds, format_duration)
    state = _state(bounds, seconds)
    if longest is None:
        return _verdict(seen, state, f"{spoken(seen.name)} was never out{too_little}", seen.samples, figure)
    shown = [each for each in seen.later if not each.ok and longest.start <= each.t < longest.end]
    lasted = f"only {format_duration(seconds)}" if too_little else format_duration(seconds)
    at_least = ", at least" if longest.is_open and not too_little else ""
    words = f"{spoken(seen.name)} was out for {lasted}{at_least}, from {longest.start:.1f}s"
    words += f" ({shown[0].detail}){too_little}"
    return _verdict(seen, state, words, shown, figure)


def _failed_share(seen: _Seen, bounds: Bounds) -> Judgement:
    share = seen.found.failed_share
    if seen.unseen and seen.certain_share <= bounds.most:
        return Judgement(JudgementState.OPEN, seen.unseen)
    too_little = _too_little(bounds, share, format_share)
    part = f"only {format_share(share)}" if too_little else format_share(share)
    words = f"{spoken(seen.name)} failed in {part} of {seen.found.samples} samples{too_little}"
    figure = Figure.within("failed share", Unit.SHARE, share, bounds)
    return _verdict(seen, _state(bounds, share), words, seen.failed or seen.samples, figure)


def _outages(seen: _Seen, bounds: Bounds) -> Judgement:
    count = len(seen.found.outages)
    if seen.unseen and seen.certain_outages <= bounds.most:
        return Judgement(JudgementState.OPEN, seen.unseen)
    too_little = _too_little(bounds, count, _times)
    words = f"{spoken(seen.name)} was never out"
    if count:
        often = f"only {_times(count)}" if too_little else _times(count)
        words = f"{spoken(seen.name)} was out {often}, first at {seen.found.outages[0].start:.1f}s"
    figure = Figure.within("outages", Unit.COUNT, count, bounds)
    return _verdict(seen, _state(bounds, count), words + too_little, seen.failed or seen.samples, figure)


def _state(bounds: Bounds, amount: float) -> JudgementState:
    return JudgementState.MET if bounds.allow(amount) else JudgementState.BROKEN


def _too_little(bounds: Bounds, amount: float, spell: Callable[[float], str]) -> str:
    """What to add where a fault showed less than it should have; empty where it did not."""
    return f", at least {spell(bounds.least)} was promised" if amount < bounds.least else ""


def _times(count: float) -> str:
    return "once" if count == 1 else f"{format_count(count)} times"


def _verdict(
    seen: _Seen, state: JudgementState, words: str, shown: Sequence[Sample], figure: Figure | None = None
) -> Judgement:
    return Judgement(
        state,
        words,
        shown[0].t if shown else None,
        (evidence(seen.name, shown),) if shown else (),
        (figure,) if figure else (),
    )
