"""Whether clients were answered as was promised while a fault lasted: always, or out for so long, so often, so much."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from halab.config.expectation import ProbeExpectation
from halab.config.quantities import Bounds, spelled, spelled_count, spelled_share
from halab.scenario.answers import evidence
from halab.scenario.decision import Figure, Judgement, State, Unit, together
from halab.scenario.events import Sample, spoken
from halab.scenario.history import Window
from halab.scenario.outage import Figures, Samples, figures


def during(
    expectation: ProbeExpectation, samples: Samples, name: str, window: Window, now: float
) -> Judgement:
    """A promise over the window of a fault, by the samples of one lane."""
    start = window.start
    if expectation.fails:
        # until the effect is real, an answer breaks no promise
        if window.effective is None:
            return Judgement(State.OPEN, f"{expectation.during} has no effect yet")
        start = window.effective
    end = now if window.end is None else window.end
    inside = samples.between(name, start, end)
    if expectation.fails:
        # what was asked before the heal and is answered after it may have been answered because of it
        inside = [sample for sample in inside if not sample.ok or sample.end <= end]
    seen = _Seen(name, inside, figures(inside, start, end), is_closed=window.end is not None)
    judged = list(_judged(expectation, seen))
    broken = [each for each in judged if each.state is State.BROKEN]
    return together(broken or [_unseen(expectation, seen)] if broken or not seen.is_whole else judged)


@dataclass(frozen=True)
class _Seen:
    """What is known of one lane over a window; it is closed when the fault is being healed."""

    name: str
    samples: Sequence[Sample]
    found: Figures
    is_closed: bool

    @property
    def is_whole(self) -> bool:
        """Only then is it known that there was no more of anything."""
        return self.is_closed and bool(self.samples) and not self.found.gaps

    @property
    def failed(self) -> list[Sample]:
        return [sample for sample in self.samples if not sample.ok]

    @property
    def certain_share(self) -> float:
        """The share that failed if all that was not asked had been answered; none while the window is open."""
        if self.is_whole or not self.found.samples:
            return self.found.failed_share
        if not self.is_closed or len(self.samples) < 2:
            return 0.0
        usual = median(second.t - first.t for first, second in pairwise(self.samples))
        missed = sum(gap.seconds for gap in self.found.gaps) / max(usual, 1e-3)
        return self.found.failed / (self.found.samples + missed)

    @property
    def certain_outages(self) -> int:
        """How many there are at least: two that a gap lies between may be one."""
        return len(self.found.outages) - sum(each.is_open for each in self.found.outages[:-1])


def _unseen(expectation: ProbeExpectation, seen: _Seen) -> Judgement:
    """Why what was seen is not enough to tell."""
    if not seen.is_closed:
        return Judgement(State.OPEN, f"{expectation.fault} is not healed yet")
    blind = "" if not seen.samples else f" for {spelled(sum(gap.seconds for gap in seen.found.gaps))}"
    return Judgement(State.OPEN, f"no sample of {spoken(seen.name)}{blind} during {expectation.during}")


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
    said = "answered" if fails else "failed"
    words = f"{spoken(seen.name)} {said} in {len(wrong)} of {len(seen.samples)} samples"
    if wrong:
        words += f", first {wrong[0].detail} at {wrong[0].t:.1f}s"
    return _verdict(seen, State.BROKEN if wrong else State.MET, words, wrong or seen.samples)


def _longest_outage(seen: _Seen, bounds: Bounds) -> Judgement:
    longest, seconds = seen.found.longest, seen.found.longest_outage_seconds
    state = _state(bounds, seconds, seconds, seen.is_whole)
    figure = Figure.within("longest outage", Unit.SECONDS, seconds, bounds)
    too_little = _too_little(seen, bounds, seconds, spelled)
    if longest is None:
        return _verdict(seen, state, f"{spoken(seen.name)} was never out{too_little}", seen.samples, figure)
    shown = [each for each in seen.failed if longest.start <= each.t < longest.end]
    lasted = f"only {spelled(seconds)}" if too_little else spelled(seconds)
    at_least = ", at least" if longest.is_open and not too_little else ""
    words = f"{spoken(seen.name)} was out for {lasted}{at_least}, from {longest.start:.1f}s"
    words += f" ({shown[0].detail}){too_little}"
    return _verdict(seen, state, words, shown, figure)


def _failed_share(seen: _Seen, bounds: Bounds) -> Judgement:
    share = seen.found.failed_share
    state = _state(bounds, share, seen.certain_share, seen.is_whole)
    too_little = _too_little(seen, bounds, share, spelled_share)
    part = f"only {spelled_share(share)}" if too_little else spelled_share(share)
    words = f"{spoken(seen.name)} failed in {part} of {seen.found.samples} samples{too_little}"
    figure = Figure.within("failed share", Unit.SHARE, share, bounds)
    return _verdict(seen, state, words, seen.failed or seen.samples, figure)


def _outages(seen: _Seen, bounds: Bounds) -> Judgement:
    count = len(seen.found.outages)
    state = _state(bounds, count, seen.certain_outages, seen.is_whole)
    too_little = _too_little(seen, bounds, count, _times)
    words = f"{spoken(seen.name)} was never out"
    if count:
        often = f"only {_times(count)}" if too_little else _times(count)
        words = f"{spoken(seen.name)} was out {often}, first at {seen.found.outages[0].start:.1f}s"
    figure = Figure.within("outages", Unit.COUNT, count, bounds)
    return _verdict(seen, state, words + too_little, seen.failed or seen.samples, figure)


def _state(bounds: Bounds, amount: float, certain: float, is_whole: bool) -> State:
    """`certain` is how much of it there is at least; how much at most is known of a whole window alone."""
    if certain > bounds.most or (is_whole and amount < bounds.least):
        return State.BROKEN
    return State.MET


def _too_little(seen: _Seen, bounds: Bounds, amount: float, spell: Callable[[float], str]) -> str:
    """What to add where a fault showed less than it should have; empty where it did not, or nobody knows."""
    is_known = seen.is_whole and amount < bounds.least
    return f", at least {spell(bounds.least)} was promised" if is_known else ""


def _times(count: float) -> str:
    return "once" if count == 1 else f"{spelled_count(count)} times"


def _verdict(
    seen: _Seen, state: State, words: str, shown: Sequence[Sample], figure: Figure | None = None
) -> Judgement:
    return Judgement(
        state,
        words,
        shown[0].t if shown else None,
        (evidence(seen.name, shown),) if shown else (),
        (figure,) if figure else (),
    )
