"""Arithmetic over the samples of one lane: outages, shares, answer times. Pure, and never generous.

Where there are no samples, nothing is known: a gap is reported as one, and neither good nor bad.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from halab.scenario.record.events import Sample
from halab.scenario.record.lanes import Lanes, time_of

# The sampler asks several times a second, and a slow answer does not delay the next question: two seconds
# without a question mean that it did not run.
GAP_SECONDS = 2.0
# A question is given up at its time limit, and that is written down at once: of 12,000 on busy hosts the latest was
# 40 ms late with a limit of 2 s. Beyond this share of the limit, the sampler stood still.
OVERDUE_SHARE = 1 / 8
# A question that failed is the server's failure only if the sampler could read an answer for most of its limit. On two
# cores beside other work, the sampler of a steady lab stood still for up to 0.9 s of a question with a limit of 2 s.
STALLED_SHARE = 1 / 2


@dataclass(frozen=True)
class Outage:
    """From the start of the first failed sample to the first answer that was ok, to a question that was asked later.

    Not to the start of that question: one that was asked while the lab hung, and answered when it did no more, would
    make the outage shorter by all the time that it waited. Where no answer was ok, `is_open`: `end` is as long as it is
    known to have lasted.
    """

    start: float
    end: float
    failed: int
    is_open: bool

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Gap:
    """A time without samples, longer than the sampler's rate explains."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Figures:
    """What one lane saw between two moments. Answer times are those of samples that were ok.

    `outages` are those that began in that time, each as long as it really lasted.
    """

    start: float
    end: float
    samples: int
    failed: int
    outages: tuple[Outage, ...]
    gaps: tuple[Gap, ...]
    p50_seconds: float | None
    p95_seconds: float | None

    @property
    def longest(self) -> Outage | None:
        return max(self.outages, key=lambda outage: outage.seconds, default=None)

    @property
    def longest_outage_seconds(self) -> float:
        return self.longest.seconds if self.longest else 0.0

    @property
    def failed_share(self) -> float:
        return self.failed / self.samples if self.samples else 0.0


class Samples(Lanes[Sample]):
    """Samples by lane, in the order of their starts, as far as they are evidence of the lab.

    `void` are those of a sampler that stood still: stopped, or kept from the processor. It could not see an answer, so
    a failure shows nothing, and the time is a gap. A good answer that it did see is evidence. Records of earlier
    versions tell it by questions that were given up long after `limit_seconds`, the time that each of them has.
    """

    def __init__(self, samples: Iterable[Sample] = (), *, limit_seconds: float = math.inf) -> None:
        self.void: list[Sample] = []
        self._limit_seconds = limit_seconds
        super().__init__(samples)

    def add(self, records: Iterable[Sample]) -> None:
        good: list[Sample] = []
        for sample in records:
            (good if self._is_evidence(sample) else self.void).append(sample)
        super().add(good)

    def _is_evidence(self, sample: Sample) -> bool:
        limit = self._limit_seconds
        was_read = sample.ok or sample.stalled <= STALLED_SHARE * limit
        return was_read and sample.seconds - limit <= OVERDUE_SHARE * limit

    @property
    def counts(self) -> dict[str, int]:
        """How many were taken of each lane, those that are no evidence among them."""
        found = Counter(super().counts)
        found.update(sample.lane for sample in self.void)
        return dict(found)

    def between(self, lane: str, start: float, end: float) -> Sequence[Sample]:
        """The samples of a lane that started in [start, end)."""
        samples = self.of(lane)
        return samples[bisect_left(samples, start, key=time_of) : bisect_left(samples, end, key=time_of)]


def figures(samples: Sequence[Sample], start: float, end: float) -> Figures:
    """Figures of the time [start, end) of one lane, by its samples in the order of their starts.

    An outage that began in that time and went on is measured to its real end, by the samples that came later. Cut at
    `end`, it would look as short as the time that was looked at.
    """
    later = [sample for sample in samples if start <= sample.t]
    inside = [sample for sample in later if sample.t < end]
    known_until = max([end, *(sample.end for sample in later)])
    times = sorted(sample.seconds for sample in inside if sample.ok)
    return Figures(
        start=start,
        end=end,
        samples=len(inside),
        failed=sum(not sample.ok for sample in inside),
        outages=tuple(outage for outage in outages(later, known_until) if outage.start < end),
        gaps=tuple(gaps(inside, start, end)),
        p50_seconds=percentile(times, 50),
        p95_seconds=percentile(times, 95),
    )


def gaps(samples: Sequence[Sample], start: float, end: float) -> list[Gap]:
    """The times in [start, end) in which nothing was asked for longer than GAP_SECONDS."""
    moments = [start, *(sample.t for sample in samples if start <= sample.t < end), end]
    return [Gap(first, second) for first, second in pairwise(moments) if second - first > GAP_SECONDS]


def outages(samples: Sequence[Sample], end: float) -> list[Outage]:
    """The outages among samples in the order of their starts. None spans a gap: nothing is known of it."""
    found: list[Outage] = []
    failing: list[Sample] = []
    answered: float | None = None
    for sample in samples:
        if answered is not None and sample.t >= answered:
            found.append(_ended(failing, answered, end))
            failing, answered = [], None
        elif failing and answered is None and sample.t - failing[-1].t > GAP_SECONDS:
            found.append(_open(failing, min(end, sample.t)))
            failing = []
        if not sample.ok:
            failing.append(sample)
        elif failing:
            # what hung until the end was asked before it: a question that was asked later may be answered sooner
            answered = sample.end if answered is None else min(answered, sample.end)
    if failing:
        found.append(_open(failing, end) if answered is None else _ended(failing, answered, end))
    return found


def _ended(failing: Sequence[Sample], answered: float, end: float) -> Outage:
    return Outage(failing[0].t, min(answered, end), len(failing), is_open=answered > end)


def _open(failing: Sequence[Sample], end: float) -> Outage:
    last = failing[-1]
    # the question after the last one is due at once: up to there it goes on, unless the sampler stopped
    known_until = end if end - last.t <= GAP_SECONDS else max(last.t, min(last.end, end))
    return Outage(failing[0].t, known_until, len(failing), is_open=True)


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """By nearest rank: always a time that was measured."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
