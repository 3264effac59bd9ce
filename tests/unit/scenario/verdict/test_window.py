"""What is promised over the window of a fault: always, longest outage, failed share, number of outages."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.config.expectation import ProbeExpectation
from halab.scenario.record.events import Sample
from halab.scenario.record.history import Window
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Samples
from halab.scenario.verdict.judgement import Figure, Judgement, JudgementState, Unit, combine
from halab.scenario.verdict.window import during

P = Lane("p")

MET, BROKEN, OPEN = JudgementState.MET, JudgementState.BROKEN, JudgementState.OPEN

HERTZ = 5
WHOLE = "+" * 10


def lane(pattern: str, *, start: float = 0.0) -> list[Sample]:
    """`+` ok, `-` failed, `.` not asked, `h` asked, and answered after two seconds."""
    made = []
    for number, mark in enumerate(pattern):
        if mark != ".":
            seconds = 2.0 if mark == "h" else 0.01
            made.append(Sample(start + number / HERTZ, seconds, "p", None, mark != "-", "refused"))
    return made


def judged(
    pattern: str, after: str = "", *, effective: float | None = 0.0, end: float | None = -1, **promised: Any
) -> Judgement:
    """Over a window from the first sample to the end of `pattern`, and samples after it; None: it is still open."""
    expectation = ProbeExpectation.model_validate({"probe": "write-via-lb", "during": "f", **promised})
    length = len(pattern) / HERTZ
    window = Window(0.0, effective, length if end == -1 else end)
    return during(expectation, Samples(lane(pattern + after)), P, window, length)


OUT_2S = "+++++" + "-" * 10 + "+++++"


@pytest.mark.parametrize(
    ("pattern", "promised", "state", "seen"),
    [
        # at most
        (OUT_2S, {"longest_outage": "3s"}, MET, "p was out for 2s, from 1.0s (refused)"),
        (OUT_2S, {"longest_outage": "1s"}, BROKEN, "p was out for 2s, from 1.0s (refused)"),
        (WHOLE, {"longest_outage": "0s"}, MET, "p was never out"),
        # at least
        (
            OUT_2S,
            {"longest_outage": "1s to 3s"},
            MET,
            "p was out for 2s, from 1.0s (refused)",
        ),
        (
            OUT_2S,
            {"longest_outage": "3s to 4s"},
            BROKEN,
            "p was out for only 2s, from 1.0s (refused), at least 3s was promised",
        ),
        (
            WHOLE,
            {"longest_outage": "1s to 2s"},
            BROKEN,
            "p was never out, at least 1s was promised",
        ),
        (
            OUT_2S,
            {"longest_outage": "1s to 1500ms"},
            BROKEN,
            "p was out for 2s, from 1.0s (refused)",
        ),
        (
            OUT_2S,
            {"longest_outage": "at least 2s"},
            MET,
            "p was out for 2s, from 1.0s (refused)",
        ),
        (
            OUT_2S,
            {"longest_outage": "at least 3s"},
            BROKEN,
            "p was out for only 2s, from 1.0s (refused), at least 3s was promised",
        ),
        (
            "+++++" + "-" * 5,
            {"longest_outage": "at least 1s"},
            MET,
            "p was out for at least 1s, from 1.0s (refused)",
        ),
        # shares
        ("+++++---++", {"failed_share": "30%"}, MET, "p failed in 30% of 10 samples"),
        ("+++++---++", {"failed_share": "20%"}, BROKEN, "p failed in 30% of 10 samples"),
        ("+++++---++", {"failed_share": "30% to 60%"}, MET, "p failed in 30% of 10 samples"),
        (
            "+++++---++",
            {"failed_share": "40% to 60%"},
            BROKEN,
            "p failed in only 30% of 10 samples, at least 40% was promised",
        ),
        # counts
        ("++-++-++++", {"outages": 2}, MET, "p was out 2 times, first at 0.4s"),
        ("++-++-++++", {"outages": 1}, BROKEN, "p was out 2 times, first at 0.4s"),
        ("++---+++++", {"outages": "1 to 2"}, MET, "p was out once, first at 0.4s"),
        (
            "++---+++++",
            {"outages": "2 to 4"},
            BROKEN,
            "p was out only once, first at 0.4s, at least 2 times was promised",
        ),
        (WHOLE, {"outages": 0}, MET, "p was never out"),
        (WHOLE, {"outages": "1 to 2"}, BROKEN, "p was never out, at least once was promised"),
        # always
        (WHOLE, {"ok": "always"}, MET, "p failed in 0 of 10 samples"),
        (
            "++++-+++++",
            {"ok": "always"},
            BROKEN,
            "p failed in 1 of 10 samples, first at 0.8s (refused)",
        ),
        ("-----", {"fails": "always"}, MET, "p answered in 0 of 5 samples"),
        (
            "--+--",
            {"fails": "always"},
            BROKEN,
            "p answered in 1 of 5 samples, first at 0.4s (refused)",
        ),
    ],
)
def test_a_window_without_gaps(
    pattern: str, promised: dict[str, Any], state: JudgementState, seen: str
) -> None:
    judgement = judged(pattern, **promised)
    assert (judgement.state, judgement.seen) == (state, seen)
    assert judgement.evidence


GAP = "+++++" + "." * 15
LONG_GAP = "+++++" + "." * 60


@pytest.mark.parametrize(
    ("pattern", "promised", "state"),
    [
        # what was seen is enough to break a promise
        (GAP + "-" * 10 + "++", {"longest_outage": "1s"}, BROKEN),
        (GAP + "-+-+-+++++", {"outages": 2}, BROKEN),
        (GAP + "-++++", {"ok": "always"}, BROKEN),
        (GAP + "+++++", {"fails": "always"}, BROKEN),
        (GAP + "-" * 40, {"failed_share": "50%"}, BROKEN),
        # what was not asked might have kept it
        (LONG_GAP + "-" * 40, {"failed_share": "50%"}, OPEN),
        (GAP + "+++++", {"longest_outage": "1s to 9s"}, OPEN),
        (GAP + "+++++", {"failed_share": "10% to 90%"}, OPEN),
        (GAP + "+++++", {"outages": "1 to 9"}, OPEN),
        # what was not asked might have broken it
        (GAP + "+++++", {"longest_outage": "1s"}, OPEN),
        (GAP + "+++++", {"outages": 0}, OPEN),
        (GAP + "+++++", {"ok": "always"}, OPEN),
        # two outages on both sides of a gap may be one
        ("++---" + "." * 15 + "---+++++", {"outages": 1}, OPEN),
        ("++---" + "." * 15 + "---++-++", {"outages": 1}, BROKEN),
        # nothing was asked
        ("." * 10, {"longest_outage": "1s"}, OPEN),
        ("." * 10, {"longest_outage": "1s to 2s"}, OPEN),
        ("." * 10, {"outages": "1 to 2"}, OPEN),
        ("." * 10, {"fails": "always"}, OPEN),
        # so few samples are an accident
        ("----", {"failed_share": "50%"}, OPEN),
        ("-----", {"failed_share": "50%"}, BROKEN),
        ("++++", {"failed_share": "50%"}, OPEN),
        ("++++", {"failed_share": "50% to 100%"}, OPEN),
        ("++++", {"outages": 1}, OPEN),
        ("++++", {"outages": "1 to 2"}, OPEN),
        ("-+-+", {"outages": 1}, BROKEN),
        ("+", {"ok": "always"}, OPEN),
        ("++++", {"ok": "always"}, OPEN),
        ("+++++", {"ok": "always"}, MET),
        ("-", {"ok": "always"}, BROKEN),
        ("-", {"fails": "always"}, OPEN),
        ("--", {"fails": "always"}, OPEN),
        ("---", {"fails": "always"}, MET),
        ("+", {"fails": "always"}, BROKEN),
    ],
)
def test_a_window_with_a_gap(pattern: str, promised: dict[str, Any], state: JudgementState) -> None:
    assert judged(pattern, **promised).state is state


@pytest.mark.parametrize(
    ("pattern", "promised", "state"),
    [
        (WHOLE, {"ok": "always"}, OPEN),
        (OUT_2S, {"longest_outage": "1s"}, BROKEN),
        (OUT_2S, {"longest_outage": "3s to 9s"}, OPEN),
        (OUT_2S, {"longest_outage": "at least 9s"}, OPEN),
        # the share goes down again when more is asked
        ("-" * 10, {"failed_share": "50%"}, OPEN),
        ("+-+-+-+", {"outages": 1}, BROKEN),
        ("+-+-+-+", {"outages": "5 to 9"}, OPEN),
    ],
)
def test_a_window_that_is_not_closed_yet(
    pattern: str, promised: dict[str, Any], state: JudgementState
) -> None:
    judgement = judged(pattern, end=None, **promised)
    assert judgement.state is state
    if state is OPEN:
        assert judgement.seen == "f is not healed yet"


@pytest.mark.parametrize(
    ("after", "promised", "state", "seen"),
    [
        ("-" * 20 + "+++", {"longest_outage": "2s"}, BROKEN, "p was out for 5s, from 1.0s (refused)"),
        ("-" * 4 + "+++", {"longest_outage": "2s"}, MET, "p was out for 1.8s, from 1.0s (refused)"),
        (
            "-" * 20 + "+++", {"longest_outage": "at least 3s"}, OPEN,
            "the fault `f` lasted only 2s, too short for an outage of 3s: "
            "make it longer with a `wait` before its heal, or lower the bound",
        ),
        # one that begins later is no matter of this window
        ("++" + "-" * 20 + "+++", {"longest_outage": "2s"}, MET, "p was out for 1s, from 1.0s (refused)"),
        # nobody knows how long it was
        ("---", {"longest_outage": "2s"}, OPEN, "p was out for at least 1.4s: no sample of it after 2.4s"),
        ("", {"longest_outage": "2s"}, OPEN, "p was out for at least 1s: no sample of it after 2.0s"),
        ("..." * 15 + "+", {"longest_outage": "2s"}, OPEN, "p was out for at least 810ms: no sample of it"),
        ("-" * 20, {"longest_outage": "2s"}, BROKEN, "p was out for at least 4.8s, from 1.0s (refused)"),
    ],
)  # fmt: skip
def test_an_outage_that_began_in_a_window_counts_to_its_real_end(
    after: str, promised: dict[str, Any], state: JudgementState, seen: str
) -> None:
    judgement = judged("+++++-----", after, **promised)
    assert (judgement.state, judgement.seen[: len(seen)]) == (state, seen)


def test_a_gap_over_the_end_of_a_window_hides_the_length_of_an_outage() -> None:
    """Of the window only half a second is missing; what began then may have lasted far longer than that."""
    blind = "......." + "." * 5
    for after in ("+++", "-----+++"):
        judgement = judged("+++++++...", blind + after, longest_outage="2s")
        assert (judgement.state, judgement.seen) == (OPEN, "no sample of p for 3.2s after 1.2s")
        assert judged("+++++++...", blind + after, ok="always").state is MET
        assert judged("+++++++...", blind + after, failed_share="50%").state is MET
    assert judged("+++++++...", "......+++", longest_outage="2s").state is MET


def test_samples_after_the_window_only_change_the_length_of_an_outage() -> None:
    for promised in ({"failed_share": "50%"}, {"outages": 1}, {"ok": "always"}, {"fails": "always"}):
        for pattern in ("+++++-----", "-" * 10, "+" * 10):
            here, there = judged(pattern, "+" * 20, **promised), judged(pattern, "+-" * 20, **promised)
            assert (here.state, here.figures) == (there.state, there.figures), promised


@pytest.mark.parametrize(
    ("pattern", "promised", "state"),
    [
        (WHOLE, {"longest_outage": "2s"}, MET),
        (WHOLE, {"longest_outage": "2100ms"}, OPEN),
        # no outage at all: the lower bound is broken
        (WHOLE, {"longest_outage": "1s to 3s"}, BROKEN),
        (WHOLE, {"longest_outage": "2100ms to 3s"}, OPEN),
        (WHOLE, {"longest_outage": "at least 2s"}, BROKEN),
        (WHOLE, {"longest_outage": "at least 2100ms"}, OPEN),
        # what is broken is broken, however short the window is
        (WHOLE, {"longest_outage": "3s", "outages": "1 to 2"}, BROKEN),
    ],
)
def test_a_fault_that_is_shorter_than_a_bound_shows_nothing_about_it(
    pattern: str, promised: dict[str, Any], state: JudgementState
) -> None:
    assert judged(pattern, "+++++", **promised).state is state


def test_a_short_heal_still_shows_its_cost() -> None:
    assert judged(WHOLE, "+++++", during="heal f", longest_outage="9s").state is MET
    assert judged("+++++-----", "-" * 60 + "+", during="heal f", longest_outage="9s").state is BROKEN


def test_a_fault_without_an_effect_breaks_no_promise_to_fail() -> None:
    judgement = judged(WHOLE, effective=None, fails="always")
    assert (judgement.state, judgement.seen) == (OPEN, "f has no effect yet")


def test_an_answer_before_the_effect_breaks_no_promise_to_fail() -> None:
    assert judged("+++-----", effective=0.6, fails="always").state is MET


def test_a_question_before_the_heal_answered_after_it_breaks_no_promise_to_fail() -> None:
    """A frozen machine answers when it thaws."""
    assert judged("----h----h", fails="always").state is MET
    assert judged("h" + "-" * 15, fails="always").state is BROKEN


def test_all_broken_amounts_are_named() -> None:
    judgement = judged("+-+-+-++++", longest_outage="1s to 2s", failed_share="10%", outages="4 to 5")
    assert judgement.state is BROKEN
    assert "out for only" in judgement.seen
    assert "failed in 30%" in judgement.seen
    assert "out only 3 times" in judgement.seen


def test_every_amount_is_measured_with_its_bounds() -> None:
    judgement = judged(OUT_2S, longest_outage="1s to 3s", failed_share="60%", outages=1)
    assert [(each.name, each.unit, each.least, each.most) for each in judgement.figures] == [
        ("longest outage", Unit.SECONDS, 1.0, 3.0),
        ("failed share", Unit.SHARE, 0.0, 0.6),
        ("outages", Unit.COUNT, 0.0, 1),
    ]
    assert [each.value for each in judgement.figures] == [pytest.approx(2.01), 0.5, 1]


PATTERNS = st.text("+-.", min_size=1, max_size=80)
PROMISES = st.sampled_from(
    [
        {"longest_outage": "1s"},
        {"longest_outage": "1s to 3s"},
        {"failed_share": "30%"},
        {"failed_share": "10% to 30%"},
        {"outages": 2},
        {"outages": "1 to 3"},
        {"ok": "always"},
        {"fails": "always"},
    ]
)


@given(PATTERNS, PROMISES, st.integers(0, 79))
def test_another_failure_never_repairs_an_upper_bound(
    pattern: str, promised: dict[str, Any], place: int
) -> None:
    """A count of outages is not among them: two may become one."""
    if "fails" in promised or "outages" in promised or "to" in str(promised):
        return
    place %= len(pattern)
    if pattern[place] == ".":
        return
    worse = f"{pattern[:place]}-{pattern[place + 1 :]}"
    if judged(pattern, **promised).state is BROKEN:
        assert judged(worse, **promised).state is BROKEN


@given(PATTERNS, PROMISES)
def test_lost_samples_never_make_a_promise_met(pattern: str, promised: dict[str, Any]) -> None:
    """Where two seconds of samples are missing, a promise over the window is broken, or nobody can tell."""
    assert judged(pattern + "." * 15 + "+", **promised).state is not MET


@given(PATTERNS, PROMISES)
def test_every_judgement_of_a_window_is_explained(pattern: str, promised: dict[str, Any]) -> None:
    judgement = judged(pattern, **promised)
    assert judgement.seen
    if judgement.state is not OPEN:
        assert judgement.evidence
    if judgement.state is BROKEN:
        bounds = [each for each in judgement.figures if each.excess > 0]
        assert bounds or "ok" in promised or "fails" in promised


@given(st.text("+-", min_size=1, max_size=60), PROMISES, st.floats(0, 1e4))
def test_shifting_all_times_changes_nothing(pattern: str, promised: dict[str, Any], shift: float) -> None:
    expectation = ProbeExpectation.model_validate({"probe": "write-via-lb", "during": "f", **promised})
    length = len(pattern) / HERTZ
    shifted = Window(shift, shift, shift + length)
    judgement = during(expectation, Samples(lane(pattern, start=shift)), P, shifted, shift + length)
    assert judgement.state is judged(pattern, **promised).state


@pytest.mark.parametrize(
    ("values", "most", "least", "worst"),
    [
        # as on a lab: the longer of two outages stands for both, however far both are from the bound
        ((0.848, 0.837), 8.0, 0.0, 0.848),
        ((3.0, 9.0, 5.0), 8.0, 0.0, 9.0),
        ((3.0, 1.0, 9.0), 10.0, 2.0, 1.0),
        ((3.0, 4.0), None, 2.0, 3.0),
        ((3.0, 4.0), None, 0.0, 4.0),
    ],
)
def test_the_worst_figure_of_several_lanes_stays(
    values: tuple[float, ...], most: float | None, least: float, worst: float
) -> None:
    each = [Judgement(MET, "", figures=(Figure("f", Unit.SECONDS, value, most, least),)) for value in values]
    for order in (each, each[::-1]):
        assert [figure.value for figure in combine(order).figures] == [worst]


# what is at an edge, and what is shown

GAP = "." * 12


def test_an_open_promise_is_not_outweighed_by_a_met_one() -> None:
    assert judged("+++++-----", longest_outage="2s", failed_share="60%").state is OPEN
    assert judged(OUT_2S, longest_outage="1s", failed_share="90%").state is BROKEN


def test_a_question_at_the_end_of_the_window_is_outside_it() -> None:
    assert judged(WHOLE, "-", ok="always").state is MET


def test_an_answer_at_the_very_start_of_the_heal_was_not_given_because_of_it() -> None:
    failing = [Sample(number / HERTZ, 0.01, "p", None, False, "refused") for number in range(9)]
    answered = Sample(1.8, 0.2, "p", None, True, "200")
    expectation = ProbeExpectation.model_validate(
        {"probe": "write-via-lb", "during": "f", "fails": "always"}
    )
    judgement = during(expectation, Samples([*failing, answered]), P, Window(0.0, 0.0, 2.0), 2.0)
    assert judgement.state is BROKEN


def test_a_question_that_hangs_beyond_the_heal_has_failed() -> None:
    hanging = [Sample(number / HERTZ, 2.0, "p", None, False, "timed out") for number in range(5)]
    expectation = ProbeExpectation.model_validate(
        {"probe": "write-via-lb", "during": "f", "fails": "always"}
    )
    assert during(expectation, Samples(hanging), P, Window(0.0, 0.0, 1.0), 1.0).state is MET


def test_a_question_at_the_end_of_the_window_closes_the_gap_before_it() -> None:
    """Two seconds without a question, up to one at the very end of the window."""
    assert judged("+++++++.........", "+++", longest_outage="2s").state is MET


@pytest.mark.parametrize("promised", [{"longest_outage": "0s"}, {"failed_share": "0%"}, {"outages": "0"}])
def test_zero_outages_cannot_be_shown_over_a_gap(promised: dict[str, Any]) -> None:
    assert judged("+" * 10 + GAP + "+" * 10, **promised).state is OPEN


@pytest.mark.parametrize(
    ("pattern", "bound", "state"),
    [
        # of about 25 questions that were due, at least 5 failed
        ("-" * 5 + "." * 20, "10%", BROKEN),
        ("-" * 4 + "." * 20, "10%", OPEN),
        # of about 32, at least 20
        ("-" * 20 + GAP, "70%", OPEN),
        ("-" * 20 + GAP, "50%", BROKEN),
    ],
)
def test_questions_missing_in_a_gap_count_as_answered(
    pattern: str, bound: str, state: JudgementState
) -> None:
    assert judged(pattern, failed_share=bound).state is state


def test_questions_asked_at_the_same_time_show_no_rate() -> None:
    at_once = [Sample(0.0, 0.01, "p", None, False, "refused") for _ in range(5)]
    expectation = ProbeExpectation.model_validate(
        {"probe": "write-via-lb", "during": "f", "failed_share": "10%"}
    )
    assert during(expectation, Samples(at_once), P, Window(0.0, 0.0, 5.0), 5.0).state is OPEN


def test_two_outages_with_a_gap_between_them_may_be_one() -> None:
    assert judged("+-+-" + GAP + "-+++", outages="2").state is OPEN
    assert judged("+-+-" + GAP + "-+++", outages="1").state is BROKEN


def test_the_last_outage_is_the_one_that_may_have_gone_on() -> None:
    assert judged("+-+++---", longest_outage="1500ms").state is OPEN


def test_a_window_without_a_sample_says_so() -> None:
    assert judged("....", ok="always").seen == "no sample of p during f"


def test_a_window_counts_from_its_start_whenever_that_is() -> None:
    expectation = ProbeExpectation.model_validate(
        {"probe": "write-via-lb", "during": "f", "longest_outage": "5s"}
    )
    judgement = during(expectation, Samples(lane(WHOLE, start=100)), P, Window(100.0, 100.0, 102.0), 102.0)
    assert (judgement.state, judgement.seen) == (
        OPEN,
        "the fault `f` lasted only 2s, too short for an outage of 5s: make it longer with a `wait` before its heal, "
        "or lower the bound",
    )


TWO_OUTAGES = "+-++---+++"


@pytest.mark.parametrize(
    ("promised", "at", "shown"),
    [
        # the samples that failed, or all of them where none did; of an outage, those that failed in it
        ({"ok": "always"}, 0.2, 4),
        ({"failed_share": "90%"}, 0.2, 4),
        ({"outages": "9"}, 0.2, 4),
        ({"longest_outage": "1500ms"}, 0.8, 3),
    ],
)
def test_the_samples_cited_for_a_judgement(promised: dict[str, Any], at: float, shown: int) -> None:
    judgement = judged(TWO_OUTAGES, **promised)
    assert (judgement.at, [each.samples for each in judgement.evidence]) == (at, [shown])
    calm = judged(WHOLE, **promised)
    assert (calm.at, [each.samples for each in calm.evidence]) == (0.0, [10])


def test_a_failure_at_the_moment_an_outage_ends_belongs_to_the_next_outage() -> None:
    """The question asked at 1 s is answered at 3 s; the one asked then fails."""
    judgement = judged("++++" + "-h---------" + "-" + "++++", longest_outage="3s")
    assert judgement.seen == "p was out for 2.2s, from 0.8s (refused)"
    assert [(each.start, each.end, each.samples) for each in judgement.evidence] == [(0.8, 2.8, 10)]


def test_the_first_failure_is_quoted() -> None:
    samples = lane("+++---+++++")
    told = [
        Sample(each.t, 0.01, "p", None, each.ok, f"answer {number}") for number, each in enumerate(samples)
    ]
    for promised, seen in (
        ({"ok": "always"}, "p failed in 3 of 11 samples, first at 0.6s (answer 3)"),
        ({"longest_outage": "2s"}, "p was out for 610ms, from 0.6s (answer 3)"),
    ):
        expectation = ProbeExpectation.model_validate({"probe": "write-via-lb", "during": "f", **promised})
        assert during(expectation, Samples(told), P, Window(0.0, 0.0, 2.2), 2.2).seen == seen
