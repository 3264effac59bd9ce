"""Figures of the samples of one lane: outages, shares, answer times. Pure. Errors of measurement never favour the lab.

A time without samples is unknown: it is reported as a gap, and counts neither as good nor as bad.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from halab.scenario.record.events import Sample
from halab.scenario.record.lanes import Lane, Lanes, time_of

# The sampler asks several times a second, and a slow answer does not delay the next question: two seconds
# without a question mean that the sampler did not run.
GAP_SECONDS = 2.0
# A question is given up at its time limit, and recorded at once: of 12,000 questions on busy hosts, the latest was
# 40 ms late with a limit of 2 s. If one is later than this share of the limit, the sampler stood still.
OVERDUE_SHARE = 1 / 8
# A failed question counts against the server only if the sampler was able to read for most of the time limit. On two
# cores with other work, the sampler of a steady lab stood still for up to 0.9 s of a question with a limit of 2 s.
STALLED_SHARE = 1 / 2


@dataclass(frozen=True)
class Outage:
    """From the start of the first failed sample to the first ok answer to a question that was asked later.

    It does not end at the start of that question: a question that was asked while the lab hung would make the outage
    shorter by the time that it waited. If no answer was ok, `is_open` is true, and the outage is known to have lasted
    until `end`.
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
    """A time without samples that is longer than the sampler's rate explains."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass(frozen=True)
class Figures:
    """Figures of one lane between two times. The percentiles are of the answer times of ok samples.

    `outages` are those that began in that time, with their full length even if they ended later.
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
    """The samples that are evidence about the lab, by lane and in the order of their starts.

    `void` holds the others: failures recorded while the sampler stood still, because it was stopped or had no
    processor. It could not read an answer then, so they show nothing, and their time is a gap. An ok answer that it
    read is evidence. Earlier versions did not record stalls: there, a question that was given up long after
    `limit_seconds`, its time limit, is void. `limits` are the time limits of probes with one of their own, by name.
    """

    def __init__(
        self,
        samples: Iterable[Sample] = (),
        *,
        limit_seconds: float = math.inf,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.void: list[Sample] = []
        self.limits = dict(limits or {})
        self._limit_seconds = limit_seconds
        super().__init__(samples)

    def add(self, records: Iterable[Sample]) -> None:
        good: list[Sample] = []
        for sample in records:
            (good if self._is_evidence(sample) else self.void).append(sample)
        super().add(good)

    def _is_evidence(self, sample: Sample) -> bool:
        limit = self.limits.get(sample.probe, self._limit_seconds)
        # also a question with a longer limit is made of requests with the usual one
        was_read = sample.ok or sample.stalled <= STALLED_SHARE * min(limit, self._limit_seconds)
        return was_read and sample.seconds - limit <= OVERDUE_SHARE * limit

    @property
    def counts(self) -> dict[Lane, int]:
        """The number of samples by lane, including void ones."""
        counts = Counter(super().counts)
        counts.update(sample.lane for sample in self.void)
        return dict(counts)

    def between(self, lane: Lane, start: float, end: float) -> Sequence[Sample]:
        """The samples of a lane that started in [start, end)."""
        samples = self.of(lane)
        return samples[bisect_left(samples, start, key=time_of) : bisect_left(samples, end, key=time_of)]


def figures(samples: Sequence[Sample], start: float, end: float) -> Figures:
    """Figures of one lane in [start, end), in seconds; `samples` are in the order of their starts.

    An outage that began in that time is measured to its real end, by later samples. If it were cut at `end`, a short
    time would only show short outages.
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
    """The times in [start, end) without a question for longer than GAP_SECONDS."""
    moments = [start, *(sample.t for sample in samples if start <= sample.t < end), end]
    return [Gap(first, second) for first, second in pairwise(moments) if second - first > GAP_SECONDS]


def outages(samples: Sequence[Sample], end: float) -> list[Outage]:
    """The outages among samples, which are in the order of their starts. An outage ends at a gap, which is unknown."""
    known: list[Outage] = []
    failing: list[Sample] = []
    answered: float | None = None
    for sample in samples:
        if answered is not None and sample.t >= answered:
            known.append(_ended(failing, answered, end))
            failing, answered = [], None
        elif failing and answered is None and sample.t - failing[-1].t > GAP_SECONDS:
            known.append(_open(failing, min(end, sample.t)))
            failing = []
        if not sample.ok:
            failing.append(sample)
        elif failing:
            # a question that was asked later may be answered earlier than one that hung
            answered = sample.end if answered is None else min(answered, sample.end)
    if failing:
        known.append(_open(failing, end) if answered is None else _ended(failing, answered, end))
    return known


def _ended(failing: Sequence[Sample], answered: float, end: float) -> Outage:
    return Outage(failing[0].t, min(answered, end), len(failing), is_open=answered > end)


def _open(failing: Sequence[Sample], end: float) -> Outage:
    last = failing[-1]
    # the next question was due soon: the outage lasted until then, unless the sampler stopped
    known_until = end if end - last.t <= GAP_SECONDS else max(last.t, min(last.end, end))
    return Outage(failing[0].t, known_until, len(failing), is_open=True)


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """By nearest rank: always one of the values, or None without values. `ordered` is sorted."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
