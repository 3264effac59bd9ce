"""One promise of a scenario against what its runs measured: whether its bounds are loose or tight. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from halab.config.quantities import Bounds
from halab.report import wording
from halab.report.campaign import Spread
from halab.scenario.verdict.judgement import Figure, Unit
from halab.scenario.verdict.promises import Limit

# The next run is slower than all of N runs in 1 case of N + 1. With fewer than ten, the worst says little.
FEWEST_RUNS = 10
# A bound of more than this many times the worst does not notice if something becomes much slower.
LOOSE_FACTOR = 3
# The worst value may use at most this share of the bound. So half of the worst value is left as a margin. In the
# catalogue, the worst of three to five runs was more than 1.5 times their median for 30 % of the times of two seconds
# and more. So after ten runs, the next one breaks a bound with this margin in at most about 1/11 of 30 %: once in 36
# runs.
TIGHT_SHARE = 2 / 3
# A proposed bound is this many times the worst. Rounded up, it is neither loose nor tight.
PROPOSED_FACTOR = 2
# Bounds on both sides that are closer together than this factor are about one value: there is nothing to propose.
_APART_FACTOR = 3

# The amounts that people write, up to a day. From 1 s, 2 % and 2 on, each is at most 1.5 times the one before it: with
# larger gaps, a bound that is rounded up could be loose.
_SECONDS = (
    1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 60, 90,
    *(60 * minutes for minutes in (2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40)),
    *(3600 * hours for hours in (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24)),
)  # fmt: skip
_SHARES = (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1)
_COUNTS = (
    *range(7),
    *(digits * 10**power for power in range(10) for digits in (8, 10, 15, 20, 30, 40, 60)),
)
_WRITTEN: dict[Unit, Sequence[float]] = {
    Unit.SECONDS: _SECONDS,
    Unit.SHARE: _SHARES,
    Unit.COUNT: _COUNTS,
}


class Standing(StrEnum):
    """What the runs say about the bounds of a promise."""

    BROKEN = "broken"
    TIGHT = "tight"
    LOOSE = "loose"
    FITS = "fits"
    UNMEASURED = "unmeasured"


# What `is_like` also accepts.
FEW = "few"


@dataclass(frozen=True)
class MeasuredPromise:
    """One bounded amount of a promise, and what it was in each run.

    `name` is its step, `what` the promise without its bounds. `limit` has the bounds as the file has them; the lab's
    patience makes the upper one `stretch` times as large. In `never` runs it did not come true at all, so that there
    is no value. Smaller values than `resolution` count as zero.
    """

    name: str
    promised: str
    what: str
    limit: Limit
    values: tuple[float, ...]
    never: int
    stretch: float
    resolution: float

    @property
    def spread(self) -> Spread | None:
        """The figures together; None without any."""
        if not self.values:
            return None
        unit, least = self.limit.unit, self.limit.least
        return Spread(self.name, self.promised, unit, self.values, self.limit.most, least)

    @property
    def broken(self) -> int:
        """The number of runs that were outside the bounds."""
        most = math.inf if self.limit.most is None else self.limit.most * self.stretch
        bounds = Bounds(most, self.limit.least)
        return self.never + sum(not bounds.allow(value) for value in self.values)

    @property
    def is_few(self) -> bool:
        """True if there are too few runs to propose bounds."""
        return len(self.values) < FEWEST_RUNS

    def is_like(self, words: Collection[str]) -> bool:
        """True if one of the words is its standing, or `few` and it was measured in too few runs."""
        return self.standing in words or (FEW in words and self.is_few and bool(self.values))

    @property
    def standing(self) -> Standing:
        if self.broken:
            return Standing.BROKEN
        if not self.values:
            return Standing.UNMEASURED
        if self._is_near_most or self._is_near_least:
            return Standing.TIGHT
        return Standing.LOOSE if self._is_far_below_most else Standing.FITS

    @property
    def proposal(self) -> str:
        """Bounds as the file could have them: `5s`, `2s to 20s`. Empty without a reason or without enough runs."""
        limit = self.limit
        if self.is_few or (limit.most is not None and limit.most < _APART_FACTOR * limit.least):
            return ""
        most, least = limit.most, limit.least
        if self._is_near_most or self._is_far_below_most:
            worst = max(*self.values, self.resolution) / self.stretch
            most = _rounded_up(limit.unit, PROPOSED_FACTOR * worst)
        if self._is_near_least:
            least = _rounded_down(limit.unit, min(self.values) / PROPOSED_FACTOR)
        if (most, least) == (limit.most, limit.least):
            return ""
        return wording.bounds(Figure(limit.figure, limit.unit, 0.0, most, least))

    @property
    def _most(self) -> float | None:
        """The upper bound in effect. A share of 100 % is none."""
        if self.limit.most is None or (self.limit.unit is Unit.SHARE and self.limit.most >= 1):
            return None
        return self.limit.most * self.stretch

    @property
    def _is_near_most(self) -> bool:
        """True if the worst is in the last third of the bounds, or above them."""
        if self._most is None:
            return False
        return max(self.values) > self.limit.least + TIGHT_SHARE * (self._most - self.limit.least)

    @property
    def _is_near_least(self) -> bool:
        """True if the lowest value is below 1.5 times the lower bound, and in the third of the bounds next to it."""
        least, lowest = self.limit.least, min(self.values)
        if least <= self.resolution or least <= TIGHT_SHARE * lowest:
            return False
        most = 1.0 if self.limit.unit is Unit.SHARE else self._most
        return most is None or lowest < most - TIGHT_SHARE * (most - least)

    @property
    def _is_far_below_most(self) -> bool:
        return self._most is not None and self._most > LOOSE_FACTOR * max(*self.values, self.resolution)


def _rounded_up(unit: Unit, amount: float) -> float:
    """The next amount that people write, or the greatest of them."""
    written = _WRITTEN[unit]
    return written[min(bisect_left(written, amount), len(written) - 1)]


def _rounded_down(unit: Unit, amount: float) -> float:
    """The amount that people write before this one; 0 if it is smaller than all of them."""
    written = _WRITTEN[unit]
    place = bisect_right(written, amount)
    return written[place - 1] if place else 0.0
