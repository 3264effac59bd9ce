"""Whether two sets of measurements differ by more than noise.

Runs are few, and their times are not normally distributed: one slow restart makes a long tail. So nothing is assumed
about the distribution. The difference is the median of all differences between a value of one set and a value of the
other (Hodges and Lehmann), and its interval is that of the exact Mann-Whitney test.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

# The probability of an interval that misses the true difference, at most.
_ERROR = 0.05
# Quantiles of the normal distribution: for 95 % (both sides), and for a power of 80 %.
_CONFIDENCE_QUANTILE, _POWER_QUANTILE = 1.96, 0.84
# The efficiency of the Mann-Whitney test against the t-test for normal distributions.
_EFFICIENCY = 3 / math.pi
FEWEST_RUNS = 4


@dataclass(frozen=True)
class Difference:
    """How much larger the second set is, in the unit of the values, with an interval of at least 95 %.

    `low` and `high` are None if there are too few values for any such interval (fewer than 4 in both sets).
    `runs_needed` estimates how many values a set must have until a true difference of this size shows in four of five
    comparisons; None if it shows already, or if there is none.
    """

    shift: float
    low: float | None
    high: float | None
    runs_needed: int | None

    @property
    def is_clear(self) -> bool:
        """True if the interval does not contain zero: the difference is more than noise."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Compare two sets of at least one value each."""
    pairs = sorted(later - earlier for earlier, later in itertools.product(first, second))
    shift = statistics.median(pairs)
    outside = _pairs_outside(len(first), len(second))
    low, high = (None, None) if outside == 0 else (pairs[outside - 1], pairs[-outside])
    found = Difference(shift, low, high, None)
    return found if found.is_clear else Difference(shift, low, high, _runs_needed(first, second, shift))


def _pairs_outside(first: int, second: int) -> int:
    """How many of the smallest, and of the largest, differences do not belong to the interval, plus one; 0 if none do.

    Without a true difference, the number of pairs in which the second value is smaller has a known distribution.
    """
    total = math.comb(first + second, first)
    probability, number = 0.0, 0
    while True:
        probability += _orders(first, second, number) / total
        if 2 * probability > _ERROR:
            return number
        number += 1


@cache
def _orders(first: int, second: int, pairs: int) -> int:
    """In how many orders of two sets exactly so many pairs have the second value before the first."""
    if pairs < 0:
        return 0
    if first == 0 or second == 0:
        return 1 if pairs == 0 else 0
    # the largest value belongs to the first set, and all of the second are before it, or it belongs to the second
    return _orders(first - 1, second, pairs - second) + _orders(first, second - 1, pairs)


def _runs_needed(first: Sequence[float], second: Sequence[float], shift: float) -> int | None:
    if shift == 0 or len(first) < 2 or len(second) < 2:
        return None
    variance = (statistics.variance(first) + statistics.variance(second)) / 2
    needed = 2 * (_CONFIDENCE_QUANTILE + _POWER_QUANTILE) ** 2 * variance / shift**2 / _EFFICIENCY
    return max(FEWEST_RUNS, math.ceil(needed))
