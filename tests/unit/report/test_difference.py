"""Whether a difference is more than noise: an exact interval that assumes nothing about the distribution."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from halab.report.difference import difference


@pytest.mark.parametrize(
    ("first", "second", "rank"),
    # one more than the critical values of U for 5 %, both sides, as tables of the Mann-Whitney test have them
    [(4, 4, 1), (4, 5, 2), (5, 5, 3), (3, 5, 1), (5, 10, 9), (8, 8, 14), (10, 10, 24), (20, 20, 128)],
)
def test_the_interval_has_the_rank_that_tables_have(first: int, second: int, rank: int) -> None:
    # all differences are different: 1, 2, …, first times second
    earlier = [-float(number * second) for number in range(first)]
    later = [float(number) for number in range(1, second + 1)]
    pairs = sorted(b - a for a, b in itertools.product(earlier, later))
    seen = difference(earlier, later)
    assert (seen.low, seen.high) == (pairs[rank - 1], pairs[-rank])


@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 3), (2, 5), (1, 30)])
def test_with_too_few_values_there_is_no_interval(first: int, second: int) -> None:
    seen = difference([0.0] * first, [10.0] * second)
    assert (seen.low, seen.high, seen.is_clear) == (None, None, False)
    assert seen.shift == 10


def test_sets_far_apart_differ_clearly() -> None:
    seen = difference([1.0, 1.1, 1.2, 1.3], [10.0, 10.1, 10.4, 12.0])
    assert seen.is_clear and seen.runs_needed is None
    assert seen.low is not None and seen.high is not None
    assert 0 < seen.low < seen.shift < seen.high
    assert seen.shift == pytest.approx(9.05, abs=0.1)


def test_the_sign_turns_with_the_order() -> None:
    slow, fast = [20.0, 21.5, 26.0, 30.0, 22.0], [3.0, 4.5, 4.0, 3.5, 9.0]
    one, other = difference(fast, slow), difference(slow, fast)
    assert one.shift == -other.shift > 0
    assert one.low is not None and other.high is not None and one.low == -other.high
    assert one.is_clear and other.is_clear


def test_equal_sets_do_not_differ() -> None:
    seen = difference([0.0] * 5, [0.0] * 5)
    assert (seen.shift, seen.low, seen.high, seen.is_clear, seen.runs_needed) == (0, 0, 0, False, None)


def test_an_unclear_difference_says_how_many_runs_it_takes() -> None:
    few = difference([10.0, 14.0, 9.0, 13.0], [11.0, 15.0, 12.0, 14.5])
    assert not few.is_clear
    assert few.runs_needed is not None and 4 < few.runs_needed < 100
    # the same difference with a tenth of the noise takes fewer runs
    quiet = difference([10.0, 10.4, 9.9, 10.3], [10.2, 10.35, 10.25, 10.5])
    assert quiet.is_clear or (quiet.runs_needed or 0) < few.runs_needed


def test_it_takes_more_runs_than_those_that_did_not_show_the_difference() -> None:
    """Four values of each set would be enough for their shift and deviation, if the sets did not touch."""
    close = difference([1.0, 2.0, 3.0, 4.0], [4.0, 5.9, 6.0, 7.0])
    assert (close.is_clear, close.runs_needed) == (False, 5)
    fewer = difference([1.0, 2.0, 3.0, 4.0, 3.5, 2.5], [3.4, 5.9, 6.0])
    assert (fewer.is_clear, fewer.runs_needed) == (False, 6)


def test_thousands_of_values_are_compared() -> None:
    seen = difference([float(number) for number in range(1000)], [0.5])
    # the one value has 1001 places among the others: 25 at each end are 2.5 % at the most
    assert (seen.low, seen.high) == (-974.5, -23.5)


def share_of_clear(draws: Sequence[tuple[list[float], list[float]]]) -> float:
    return sum(difference(first, second).is_clear for first, second in draws) / len(draws)


def test_noise_alone_looks_like_a_difference_in_at_most_one_of_twenty() -> None:
    """With a long tail, as the times of restarts have it."""
    source = random.Random(7)

    def values() -> list[float]:
        return [source.lognormvariate(3, 0.8) for _ in range(6)]

    assert share_of_clear([(values(), values()) for _ in range(2000)]) <= 0.06


def test_the_estimated_number_of_runs_shows_the_difference_in_four_of_five_comparisons() -> None:
    source = random.Random(11)
    # two sets whose deviation is 3 and whose difference is 2
    deviations = [3 * number / 2.5**0.5 for number in (-2, -1, 0, 1, 2)]
    needed = difference([20 + part for part in deviations], [22 + part for part in deviations]).runs_needed
    assert needed is not None and 30 < needed < 45

    def values(mean: float) -> list[float]:
        return [source.gauss(mean, 3) for _ in range(needed)]

    assert 0.7 < share_of_clear([(values(20), values(22)) for _ in range(300)]) < 0.9
