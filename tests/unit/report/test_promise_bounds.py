"""When the bounds of a promise are loose, tight or broken, and what is proposed instead."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.config.quantities import count_of, seconds_of, share_of
from halab.report.promise_bounds import FEWEST_RUNS, MeasuredPromise, Standing
from halab.scenario.verdict.judgement import Unit
from halab.scenario.verdict.promises import Limit

SECONDS, SHARE, COUNT = Unit.SECONDS, Unit.SHARE, Unit.COUNT
RESOLUTION = {SECONDS: 2.0, SHARE: 0.05, COUNT: 1.0}
READERS = {SECONDS: seconds_of, SHARE: share_of, COUNT: count_of}


def of(
    unit: Unit,
    most: float | None,
    *values: float,
    least: float = 0.0,
    runs: int = FEWEST_RUNS,
    never: int = 0,
    stretch: float = 1.0,
) -> MeasuredPromise:
    """A promise with these values and, up to the number of runs, more of the first."""
    values = (*values, *values[:1] * (runs - len(values)))
    limit = Limit("longest outage", unit, most, least)
    return MeasuredPromise("step 2", "words", "what", limit, values, never, stretch, RESOLUTION[unit])


@pytest.mark.parametrize(
    ("promise", "standing", "proposal"),
    [
        # three times the worst is not more than three times
        (of(SECONDS, 30, 10), Standing.FITS, ""),
        (of(SECONDS, 30, 9.9, 4), Standing.LOOSE, "20s"),
        (of(SECONDS, 30, 20), Standing.FITS, ""),
        (of(SECONDS, 30, 4, 20.1), Standing.TIGHT, "60s"),
        (of(SECONDS, 30, 4, 30.1), Standing.BROKEN, "90s"),
        # an outage that is shorter than the time limit of one question is as good as none
        (of(SECONDS, 6, 0), Standing.FITS, ""),
        (of(SECONDS, 8, 0), Standing.LOOSE, "4s"),
        (of(SHARE, 0.15, 0), Standing.FITS, ""),
        (of(SHARE, 0.2, 0.01), Standing.LOOSE, "10%"),
        (of(COUNT, 3, 0), Standing.FITS, ""),
        (of(COUNT, 0, 0), Standing.FITS, ""),
        (of(COUNT, 0, 0, 1), Standing.BROKEN, "2"),
        (of(COUNT, 10, 2), Standing.LOOSE, "4"),
        # every share is at most 100 %
        (of(SHARE, 1, 0.99, least=0.1), Standing.FITS, ""),
        (of(SHARE, 0.7, 0.6), Standing.TIGHT, "100%"),
        # lower bounds
        (of(SECONDS, None, 30, least=10), Standing.FITS, ""),
        (of(SECONDS, None, 30, 14, least=10), Standing.TIGHT, "at least 6s"),
        (of(SECONDS, None, 30, 9, least=10), Standing.BROKEN, "at least 4s"),
        (of(SHARE, None, 0.95, least=0.8), Standing.FITS, ""),
        (of(SHARE, None, 0.81, least=0.8), Standing.TIGHT, "at least 40%"),
        (of(SHARE, 0.6, 0.12, least=0.1), Standing.TIGHT, "6% to 30%"),
        (of(SHARE, 0.6, 0.18, least=0.1), Standing.LOOSE, "10% to 40%"),
        # "at least 1" only says that there was something
        (of(COUNT, 3, 1, least=1), Standing.FITS, ""),
        # far from both bounds for their distance, and bounds that are about one value
        (of(COUNT, 1_001_000_000, 1_000_000_900, least=999_000_000), Standing.FITS, ""),
        (of(COUNT, 1_001_000_000, 1_000_990_000, least=999_000_000), Standing.TIGHT, ""),
        # nothing was measured, or the promise never came true
        (of(SECONDS, 5), Standing.UNMEASURED, ""),
        (of(SECONDS, 5, never=2), Standing.BROKEN, ""),
        (of(SECONDS, 5, 2.0, never=1), Standing.BROKEN, ""),
        # nothing is proposed without enough runs
        (of(SECONDS, 30, 4, runs=9), Standing.LOOSE, ""),
        # the patience of the lab stretches the bound, but not the one in the file
        (of(SECONDS, 10, 25, stretch=4), Standing.FITS, ""),
        (of(SECONDS, 10, 8, stretch=4), Standing.LOOSE, "4s"),
        (of(SECONDS, 10, 30, stretch=4), Standing.TIGHT, "15s"),
    ],
)  # fmt: skip
def test_standing_and_proposal(promise: MeasuredPromise, standing: Standing, proposal: str) -> None:
    assert (promise.standing, promise.proposal) == (standing, proposal)


def test_the_runs_outside_of_the_bounds_are_counted() -> None:
    assert of(SECONDS, 5, 4, 5, 6, 7, never=2).broken == 4
    assert of(SECONDS, None, 4, 5, 6, least=5).broken == 8
    assert of(SECONDS, 5, 19, 21, stretch=4).broken == 1


def test_figures_are_measured_values() -> None:
    spread = of(SECONDS, 30, *range(1, 21)).spread
    assert spread is not None
    assert (spread.p50, spread.p95, spread.worst) == (10, 19, 20)
    assert of(SECONDS, 30).spread is None


def test_what_a_promise_is_like() -> None:
    few = of(SECONDS, 30, 15, runs=9)
    assert few.is_like(["few"]) and few.is_like(["loose", "fits"]) and not few.is_like(["loose"])
    assert not of(SECONDS, 30, 15).is_like(["few"])
    # that of a promise without a value is a reason of its own
    assert not of(SECONDS, 30).is_like(["few"]) and of(SECONDS, 30).is_like(["unmeasured"])


AMOUNTS: dict[Unit, Any] = {
    SECONDS: st.floats(0, 6 * 3600),
    SHARE: st.floats(0, 1),
    COUNT: st.integers(0, 10**9),
}


@given(st.sampled_from(list(Unit)).flatmap(
    lambda unit: st.tuples(st.just(unit), AMOUNTS[unit], st.lists(AMOUNTS[unit], min_size=10, max_size=12))
))  # fmt: skip
def test_a_proposed_upper_bound_can_be_written_and_fits(case: tuple[Unit, float, list[float]]) -> None:
    unit, most, values = case
    proposal = of(unit, most, *values).proposal
    if proposal:
        proposed = of(unit, READERS[unit](proposal), *values)
        assert proposed.standing is Standing.FITS
        assert proposed.proposal == ""


@given(st.sampled_from(list(Unit)).flatmap(
    lambda unit: st.tuples(st.just(unit), st.lists(AMOUNTS[unit], min_size=10, max_size=12))
))  # fmt: skip
def test_a_proposed_lower_bound_is_at_most_half_of_the_lowest(case: tuple[Unit, list[float]]) -> None:
    unit, values = case
    least = min(values) or 1e-9
    proposal = of(unit, None, *values, least=least).proposal
    if proposal:
        proposed = READERS[unit](proposal.removeprefix("at least "))
        assert 0 < proposed <= least / 2 or math.isclose(proposed, least / 2)
