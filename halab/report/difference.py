"""Whether two sets of measurements differ by more than noise.

Runs are few, and their times are not normally distributed: one slow restart makes a long tail. So nothing is assumed
about the distribution. The difference is the median of all differences between a value of one set and a value of the
other (Hodges and Lehmann), and its interval comes from the exact Mann-Whitney test.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

# The probability of an interval that misses the true difference, at most. Exact, as the numbers of orders are.
_ERROR = Fraction(5, 100)
# Quantiles of the normal distribution: for 95 % (both sides), and for a power of 80 %.
_CONFIDENCE_QUANTILE, _POWER_QUANTILE = 1.96, 0.84
# The efficiency of the Mann-Whitney test against the t-test for normal distributions.
_EFFICIENCY = 3 / math.pi
FEWEST_RUNS = 4


@dataclass(frozen=True)
class Difference:
    """How much larger the second set is, in the unit of the values, with an interval of at least 95 %.

    `low` and `high` are None if there are too few values for any such interval. 4 in each set are enough.
    `runs_needed` estimates how many values each set must have until a true difference of this size shows in four of
    five comparisons; None if it shows already, if there is none, or if a set has only one value.
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
    rank = _rank(len(first), len(second))
    low, high = (pairs[rank - 1], pairs[-rank]) if rank else (None, None)
    found = Difference(shift, low, high, None)
    return found if found.is_clear else replace(found, runs_needed=_runs_needed(first, second, shift))


@cache
def _rank(first: int, second: int) -> int:
    """The place of the interval's ends, from 1, among the smallest and the largest differences; 0 if there is none.

    Without a true difference, the number of pairs in which the second value is smaller has a known distribution.
    """
    most = _ERROR / 2 * math.comb(first + second, first)
    orders = itertools.accumulate(_orders(first, second))
    return next(pairs for pairs, so_far in enumerate(orders) if so_far > most)


def _orders(first: int, second: int) -> list[int]:
    """In how many orders of two sets so many pairs have the second value before the first: 0 pairs, 1, up to half.

    They are the coefficients of the Gaussian binomial: the product of (1 - q^(second + i)) / (1 - q^i), i to `first`.
    """
    half = first * second // 2
    orders = [1] + [0] * half
    for i in range(1, first + 1):
        for pairs in range(half, second + i - 1, -1):
            orders[pairs] -= orders[pairs - second - i]
        for pairs in range(i, half + 1):
            orders[pairs] += orders[pairs - i]
    return orders


def _runs_needed(first: Sequence[float], second: Sequence[float], shift: float) -> int | None:
    fewest, most = sorted((len(first), len(second)))
    if shift == 0 or fewest < 2:
        return None
    variance = (statistics.variance(first) + statistics.variance(second)) / 2
    needed = 2 * (_CONFIDENCE_QUANTILE + _POWER_QUANTILE) ** 2 * variance / shift**2 / _EFFICIENCY
    # an estimate from few values may be no more than there were, which did not show it
    more = fewest + 1 if fewest == most else most
    return max(FEWEST_RUNS, more, math.ceil(needed))
