"""Several judgements combined into one, and the figure that stands for all."""

from __future__ import annotations

import math

import pytest

from halab.config.quantities import Bounds
from halab.scenario.record.lanes import Lane
from halab.scenario.verdict.judgement import Citation, Figure, Judgement, JudgementState, Unit, combine

MET, BROKEN, OPEN = (
    Judgement(state, state.value)
    for state in (JudgementState.MET, JudgementState.BROKEN, JudgementState.OPEN)
)


def seconds(value: float, most: float | None = 5.0, least: float = 0.0) -> Figure:
    return Figure("outage", Unit.SECONDS, value, most, least)


@pytest.mark.parametrize(
    ("judgements", "state"),
    [
        ([MET, MET], JudgementState.MET),
        ([MET, OPEN], JudgementState.OPEN),
        ([OPEN, BROKEN, MET], JudgementState.BROKEN),
    ],
)
def test_one_broken_judgement_breaks_all_and_one_open_one_leaves_all_open(
    judgements: list[Judgement], state: JudgementState
) -> None:
    combined = combine(judgements)
    assert (combined.state, combined.seen) == (state, state.value)


def test_the_deciding_judgements_are_quoted_once() -> None:
    lanes = [Judgement(JudgementState.BROKEN, words) for words in ("cp1 failed", "cp2 failed", "cp1 failed")]
    assert combine([MET, *lanes]).seen == "cp1 failed; cp2 failed"


def test_the_time_is_that_of_the_worst_judgement_and_the_evidence_that_of_all_deciding_ones() -> None:
    shown = [Citation(Lane(lane), 0.0, 1.0, 5) for lane in ("a", "b", "c")]
    mild = Judgement(JudgementState.BROKEN, "mild", 3.0, (shown[0],), (seconds(6),))
    bad = Judgement(JudgementState.BROKEN, "bad", 4.0, (shown[1],), (seconds(9),))
    fine = Judgement(JudgementState.MET, "fine", 1.0, (shown[2],), (seconds(20, most=30),))
    combined = combine([fine, mild, bad])
    assert (combined.at, combined.evidence) == (4.0, (shown[0], shown[1]))
    # of those that do not decide, too, but none of them is as far out of its bounds
    assert combined.figures == (seconds(9),)


@pytest.mark.parametrize(
    ("figures", "at"),
    [
        # nothing measured is as bad as a figure on its bound
        ((seconds(5.5),), 2.0),
        ((seconds(4.5),), 1.0),
        # the worst of its figures tells how bad a judgement is
        ((seconds(1), seconds(9)), 2.0),
    ],
)
def test_the_time_is_that_of_the_judgement_with_the_worst_figure(
    figures: tuple[Figure, ...], at: float
) -> None:
    without, measured = (
        Judgement(JudgementState.BROKEN, "", 1.0),
        Judgement(JudgementState.BROKEN, "", 2.0, figures=figures),
    )
    assert combine([without, measured]).at == at


def test_of_equally_bad_figures_the_first_stays_and_figures_of_other_names_stay_too() -> None:
    share = Figure("failed share", Unit.SHARE, 0.1, 0.5)
    first, second = seconds(6), seconds(4, most=3.0)
    combined = combine(
        [
            Judgement(JudgementState.MET, "", figures=(first, share)),
            Judgement(JudgementState.MET, "", figures=(second,)),
        ]
    )
    assert combined.figures == (first, share)


@pytest.mark.parametrize(
    ("figure", "excess"),
    [
        (seconds(7), 2),
        (seconds(4), -1),
        (seconds(1, least=3), 2),
        (seconds(4, least=3), -1),
        (seconds(0.2, most=None, least=0.5), pytest.approx(0.3)),
        # with no lower bound only the upper one counts, and with neither more is worse
        (seconds(0), -5),
        (seconds(7, most=None), 7),
        (seconds(1, most=None, least=3), 2),
    ],
)
def test_how_far_a_figure_is_outside_its_bounds(figure: Figure, excess: float) -> None:
    assert figure.excess == excess


def test_a_figure_without_a_lower_bound_has_none_and_says_so() -> None:
    assert Figure("outage", Unit.SECONDS, 1.0, 5.0).least == 0.0
    assert Figure("outage", Unit.SECONDS, 1.0).most is None


def test_an_at_least_bound_has_no_upper_bound() -> None:
    assert Figure.within("outages", Unit.COUNT, 2, Bounds(math.inf, 1)).most is None
    assert Figure.within("outages", Unit.COUNT, 2, Bounds(4, 1)) == Figure("outages", Unit.COUNT, 2, 4, 1)
