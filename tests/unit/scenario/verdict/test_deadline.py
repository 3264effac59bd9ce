"""`ok` and `fails` within a limit, at the edges: samples that count, questions that may still hang, and texts."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from halab.config.expectation import ProbeExpectation
from halab.scenario.record.events import Sample
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Samples
from halab.scenario.verdict.deadline import answered, fails_within, ok_within, within
from halab.scenario.verdict.judgement import JudgementState

P = Lane("p")


def answer(t: float, seconds: float = 0.01, *, ok: bool = True, detail: str = "refused") -> Sample:
    return Sample(t, seconds, "p", None, ok, "200" if ok else detail)


def good(*times: float) -> list[Sample]:
    return [answer(t) for t in times]


def bad(*times: float) -> list[Sample]:
    return [answer(t, ok=False) for t in times]


def known(samples: Iterable[Sample], now: float) -> list[float]:
    return [each.t for each in answered(sorted(samples, key=lambda each: each.t), now)]


# which answers were known, and which question may still wait for one


def test_an_answer_is_known_when_it_arrives() -> None:
    assert known([answer(0, 1.0)], 1.0) == [0]
    assert known([answer(0, 1.0)], 0.9) == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        # between the two known ones that are far apart
        (0.6, [0, 0.2, 0.4]),
        # elsewhere: the sampler made a pause, and nothing hides in it
        (0.1, [0, 0.2, 0.4, 5.0, 5.2]),
        (0.4, [0, 0.2, 0.4, 5.0, 5.2]),
        (5.0, [0, 0.2, 0.4, 5.0, 5.2]),
        (5.1, [0, 0.2, 0.4, 5.0, 5.2]),
    ],
)
def test_answers_after_a_hanging_question_are_not_known_yet(asked: float, expected: list[float]) -> None:
    assert known([*good(0, 0.2, 0.4, 5.0, 5.2), answer(asked, 9.0)], 5.5) == expected


def test_four_questions_show_the_usual_time_between_two() -> None:
    assert known([*good(0, 0.2, 0.4, 5.0), answer(0.6, 9.0)], 5.1) == [0, 0.2, 0.4]
    assert known([*good(0, 0.2, 5.0), answer(0.4, 9.0)], 5.1) == [0, 0.2, 5.0]


def test_a_question_is_late_after_more_than_one_and_a_half_usual_times() -> None:
    assert known([*good(0, 1, 2, 3.5), answer(2.5, 9.0)], 4.0) == [0, 1, 2, 3.5]
    assert known([*good(0, 1, 2, 3.6), answer(2.5, 9.0)], 4.0) == [0, 1, 2]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        # one that was due at 3 s has been written down 2.5 s later, or there was none
        (5.4, [0, 1, 2]),
        (5.5, [0, 1, 2, 4.5]),
        (4.6, [0, 1, 2]),
    ],
)
def test_a_hanging_question_is_recorded_within_two_and_a_half_seconds(
    now: float, expected: list[float]
) -> None:
    assert known(good(0, 1, 2, 4.5), now) == expected


def test_later_samples_show_that_no_question_hung() -> None:
    assert known([*good(0, 1, 2, 4.5), answer(5.4, 3.0)], 4.6) == [0, 1, 2, 4.5]


def test_the_first_question_after_the_step_counts() -> None:
    """Four of five would not be enough."""
    expectation = ProbeExpectation.model_validate({"probe": "write-via-lb", "ok": "within 5s"})
    judgement = within(expectation, Samples(good(10, 10.2, 10.4, 10.6, 10.8)), P, 10.0, 1.0, 11.0)
    assert (judgement.state, judgement.at) == (JudgementState.MET, 10)


def test_patience_stretches_a_limit() -> None:
    """Ok seven seconds after the step."""
    expectation = ProbeExpectation.model_validate({"probe": "write-via-lb", "ok": "within 5s"})
    samples = Samples([*bad(10, 12, 14, 16), *good(17, 17.2, 17.4, 17.6, 17.8)])
    assert within(expectation, samples, P, 10.0, 1.0, 30.0).state is JudgementState.BROKEN
    assert within(expectation, samples, P, 10.0, 2.0, 30.0).state is JudgementState.MET


def test_the_last_four_seconds_before_a_step_show_the_usual_time_between_two_questions() -> None:
    """It is 0.75 s, so none is missing. If it was 0.1 s, as earlier and later, one could still wait for its answer."""
    expectation = ProbeExpectation.model_validate({"probe": "write-via-lb", "ok": "within 5s"})
    earlier = good(*(4 + number / 10 for number in range(20)))
    before = good(6, 6.75, 7.5, 8.25, 9, 9.75)
    judgement = within(
        expectation, Samples([*earlier, *before, *good(10.5, 10.6, 10.7, 10.8, 10.9)]), P, 10.0, 1.0, 11.0
    )
    assert judgement.state is JudgementState.MET


# ok within


@pytest.mark.parametrize(
    ("samples", "limit", "state", "seen"),
    [
        (good(10, 10.2, 10.4, 10.6, 10.8), 2, JudgementState.MET, "p was ok all the time"),
        ([*bad(10), *good(10.2, 10.4, 10.6, 10.8, 11)], 2, JudgementState.MET, "p was ok after 210ms"),
        # it begins within the limit, and goes on after it
        (good(11.9, 12.1, 12.3, 12.5, 12.7), 2, JudgementState.MET, "p was ok all the time"),
        (
            [*bad(10), *good(10.2, 10.4, 10.6, 10.8)],
            2,
            JudgementState.OPEN,
            "p was ok only 4 times in a row, and 5 are needed",
        ),
        (good(13, 13.2, 13.4, 13.6, 13.8), 2, JudgementState.OPEN, "no sample of p before 3s"),
        # a gap ends a series of ok answers, and two seconds without a question are none
        (good(10, 12.1, 12.3, 12.5, 12.7, 12.9), 2, JudgementState.OPEN, "no sample of p before 2.1s"),
        (good(10, 12, 12.2, 12.4, 12.6), 1, JudgementState.MET, "p was ok all the time"),
        (bad(10, 15), 2, JudgementState.BROKEN, "p still failed after 5s: refused"),
        # at the last moment it may still become good
        (bad(12), 2, JudgementState.OPEN, "p failed: refused"),
        (bad(12.1), 2, JudgementState.BROKEN, "p still failed after 2.1s: refused"),
        # two seconds without a question are no gap yet
        (
            [*bad(11.5), *good(13.5, 13.7, 13.9, 14.1, 14.3)],
            2,
            JudgementState.BROKEN,
            "p was ok only after 3.5s: refused before that",
        ),
        (
            [*bad(11), *good(13.5, 13.7, 13.9, 14.1, 14.3)],
            2,
            JudgementState.OPEN,
            "no sample of p before 3.5s",
        ),
        ([], 2, JudgementState.OPEN, "no sample of p"),
    ],
)
def test_ok_again_within_a_limit(
    samples: list[Sample], limit: float, state: JudgementState, seen: str
) -> None:
    judgement = ok_within(samples, P, 10.0, limit)
    assert (judgement.state, judgement.seen) == (state, seen)


def test_ok_again_cites_the_series_of_ok_answers_and_not_the_last_failure() -> None:
    samples = [*bad(10), *good(10.2, 10.4, 10.6, 10.8, 11)]
    met = ok_within(samples, P, 10.0, 2.0)
    assert (met.at, [(each.start, each.end, each.samples) for each in met.evidence]) == (
        10.2,
        [(10.2, 11, 5)],
    )
    late = ok_within(samples, P, 10.0, 0.1)
    assert (late.at, [(each.start, each.end, each.samples) for each in late.evidence]) == (10, [(10, 10, 1)])
    two = [answer(10, ok=False, detail="first"), answer(10.2, ok=False, detail="last")]
    assert ok_within(two, P, 10.0, 5.0).seen == "p failed: last"
    assert ok_within([*two, *good(10.4, 10.6, 10.8, 11, 11.2)], P, 10.0, 0.1).seen.endswith(
        "last before that"
    )


# fails within


@pytest.mark.parametrize(
    ("samples", "limit", "state", "seen"),
    [
        (bad(10, 10.2, 10.4), 2, JudgementState.MET, "p failed after 0s: refused"),
        ([*good(10), *bad(12, 12.2, 12.4)], 2, JudgementState.MET, "p failed after 2s: refused"),
        ([*good(10), *bad(12.1, 12.3, 12.5)], 2, JudgementState.OPEN, "no sample of p for 2.1s"),
        ([*good(10, 11.9), *bad(12.1, 12.3, 12.5)], 2, JudgementState.BROKEN,
         "p answered: 0 of 2 samples failed, never 3 in a row"),
        (bad(10, 10.2), 2, JudgementState.OPEN, "p has not failed 3 times in a row"),
        ([*bad(10, 10.2), *good(10.4, 11.9, 12.1)], 2, JudgementState.BROKEN,
         "p answered: 2 of 4 samples failed, never 3 in a row"),
        # a run of failures that began in time may still become long enough
        ([*good(10), *bad(11.9, 12.1)], 2, JudgementState.OPEN, "p has not failed 3 times in a row"),
        ([*good(10, 11), *bad(12, 12.1)], 2, JudgementState.OPEN, "p has not failed 3 times in a row"),
        # the limit is over only after its last moment
        (good(10, 15), 5, JudgementState.OPEN, "p has not failed 3 times in a row"),
        (good(10, 12), 2, JudgementState.OPEN, "p has not failed 3 times in a row"),
        # what nobody asked after the limit hides nothing
        (good(10, 12, 14.5), 2, JudgementState.BROKEN, "p answered: 0 of 2 samples failed, never 3 in a row"),
        (good(10, 11.9, 14.5), 2, JudgementState.OPEN, "no sample of p for 2.6s"),
        # a gap ends a run of failures, and two seconds without a question are none
        (bad(10, 12, 12.2), 5, JudgementState.MET, "p failed after 0s: refused"),
        (bad(10, 10.2, 12.3), 5, JudgementState.OPEN, "p has not failed 3 times in a row"),
        ([], 2, JudgementState.OPEN, "no sample of p"),
    ],
)  # fmt: skip
def test_failed_within_a_limit(
    samples: list[Sample], limit: float, state: JudgementState, seen: str
) -> None:
    judgement = fails_within(samples, P, 10.0, limit)
    assert (judgement.state, judgement.seen) == (state, seen)


def test_failing_cites_its_first_three_failures_and_answering_cites_the_questions_within_the_limit() -> None:
    met = fails_within([*good(10), *bad(10.2, 10.4, 10.6, 10.8)], P, 10.0, 2.0)
    assert (met.at, [(each.start, each.end, each.samples) for each in met.evidence]) == (
        10.2,
        [(10.2, 10.6, 3)],
    )
    wrong = fails_within(good(10, 11.8, 12, 12.4), P, 10.0, 2.0)
    assert (wrong.at, [(each.start, each.end, each.samples) for each in wrong.evidence]) == (
        12,
        [(10, 12, 3)],
    )
    # with a limit shorter than the time between two questions, the first one after it
    none = fails_within(good(10.2, 10.4), P, 10.0, 0.1)
    assert [(each.start, each.end, each.samples) for each in none.evidence] == [(10.2, 10.2, 1)]


def test_the_first_failure_of_the_series_and_the_first_gap_are_reported() -> None:
    run = [answer(10 + number / 5, ok=False, detail=f"answer {number}") for number in range(3)]
    assert fails_within(run, P, 10.0, 2.0).seen == "p failed after 0s: answer 0"
    assert fails_within(good(10, 13, 17), P, 10.0, 4.0).seen == "no sample of p for 3s"


@pytest.mark.parametrize(("limit", "state"), [(15.0, JudgementState.OPEN), (2.0, JudgementState.MET)])
def test_a_question_with_a_longer_limit_may_wait_longer_for_its_answer(
    limit: float, state: JudgementState
) -> None:
    """The one that was due at 3 s is not written yet at 10.5 s: for a pod that may take 15 s, it may still fail."""
    samples = Samples(good(0, 1, 2, 4, 5, 6, 7, 8, 9), limits={"p": limit})
    expectation = ProbeExpectation.model_validate({"probe": "pod-starts", "ok": "within 5s"})
    assert within(expectation, samples, P, 0.0, 1.0, 10.5).state is state
