from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.run_builder import samples

from halab.scenario.record.events import Sample
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Gap, Outage, Samples, figures, gaps, outages, percentile

P = Lane("p")


def test_an_outage_lasts_from_the_first_failed_start_to_the_first_answer() -> None:
    (outage,) = outages(samples(end=10, out=[(3, 5)]), 10)
    assert outage == Outage(start=3.0, end=5.02, failed=10, is_open=False)


def asked(*answers: tuple[float, float, bool]) -> list[Sample]:
    """Samples of (start, end, ok)."""
    return [Sample(start, end - start, "p", None, ok, "") for start, end, ok in answers]


def test_a_question_that_hung_until_the_end_of_an_outage_does_not_shorten_it() -> None:
    hung = asked((0, 0.1, True), (1, 3, False), (2, 4, False), (3, 5, True), (4, 5, True), (5, 5.1, True))
    assert outages(hung, 6) == [Outage(start=1, end=5, failed=2, is_open=False)]


def test_a_later_question_that_is_answered_sooner_ends_an_outage() -> None:
    waited = asked((1, 3, False), (1.5, 3.4, True), (2, 2.1, True))
    assert outages(waited, 4) == [Outage(start=1, end=2.1, failed=1, is_open=False)]


def test_a_question_from_before_the_first_failure_does_not_end_an_outage() -> None:
    under_way = asked((0.5, 1.5, True), (1, 3, False), (2.5, 2.6, True))
    assert outages(under_way, 4) == [Outage(start=1, end=2.6, failed=1, is_open=False)]


def test_a_failure_before_the_first_answer_is_part_of_the_same_outage() -> None:
    mixed = asked((1, 3, False), (2, 3.9, True), (3, 5, False), (4, 4.1, True))
    assert outages(mixed, 6) == [Outage(start=1, end=3.9, failed=2, is_open=False)]


def test_an_answer_after_the_window_leaves_an_outage_open() -> None:
    late = asked((1, 3, False), (2, 3.9, True))
    assert outages(late, 3) == [Outage(start=1, end=3, failed=1, is_open=True)]


def test_a_single_failed_sample_is_an_outage_of_one_period() -> None:
    (outage,) = outages(samples(end=10, out=[(3, 3.1)]), 10)
    assert outage.seconds == pytest.approx(0.22)


def test_an_outage_without_an_end_is_open_and_lasts_to_the_end_of_the_window() -> None:
    (outage,) = outages(samples(end=10, out=[(8, 99)]), 10)
    assert outage == Outage(start=8.0, end=10, failed=10, is_open=True)


def test_a_slow_failure_does_not_lengthen_an_outage_beyond_the_window() -> None:
    (outage,) = outages(samples(end=10, out=[(8, 99)], timeout=5), 10)
    assert outage.end == 10


def test_an_outage_that_meets_a_gap_is_open_and_counts_no_second_of_the_gap() -> None:
    made = samples(end=20, out=[(3, 5)], missing=[(5, 12)])
    (outage,) = outages(made, 20)
    assert outage.is_open
    assert outage.start == 3.0
    assert outage.end == pytest.approx(4.802)


def test_failures_on_both_sides_of_a_gap_are_two_outages() -> None:
    made = samples(end=20, out=[(3, 14)], missing=[(5, 12)])
    assert [outage.is_open for outage in outages(made, 20)] == [True, False]


def test_flapping_is_many_outages_and_the_longest_is_named() -> None:
    result = figures(samples(end=20, out=[(3, 3.5), (6, 8), (10, 10.4)]), 0, 20)
    assert len(result.outages) == 3
    assert result.longest is not None
    assert result.longest.start == 6.0
    assert result.longest_outage_seconds == pytest.approx(2.02)


def test_a_share_counts_samples() -> None:
    result = figures(samples(end=10, out=[(0, 1)]), 0, 10)
    assert (result.samples, result.failed, result.failed_share) == (50, 5, 0.1)


def test_only_samples_that_start_in_the_window_count() -> None:
    result = figures(samples(end=10, out=[(0, 3)]), 2, 4)
    assert (result.samples, result.failed) == (10, 5)


def test_an_outage_that_began_in_the_window_is_measured_to_its_real_end() -> None:
    made = samples(end=30, out=[(0, 1), (3, 13), (20, 22)])
    (outage,) = figures(made, 2, 4).outages
    assert (outage.start, outage.is_open) == (3.0, False)
    assert outage.end == pytest.approx(13.02)
    assert figures(made, 14, 19).outages == ()
    (still,) = figures(made[: 12 * 5], 2, 4).outages
    assert still.end == pytest.approx(11.802)
    assert still.is_open


def test_a_time_without_samples_is_a_gap_and_no_outage() -> None:
    result = figures([], 0, 10)
    assert result.gaps == (Gap(0, 10),)
    assert (result.samples, result.outages, result.p50_seconds) == (0, (), None)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ([(4, 5)], []),
        ([(4, 8)], [Gap(3.8, 8.0)]),
        ([(0, 3)], [Gap(0, 3.0)]),
        ([(7, 10)], [Gap(6.8, 10)]),
        ([(2, 5), (6, 9)], [Gap(1.8, 5.0), Gap(5.8, 9.0)]),
    ],
)
def test_gaps_are_found_at_the_edges_as_well(
    missing: list[tuple[float, float]], expected: list[Gap]
) -> None:
    assert gaps(samples(end=10, missing=missing), 0, 10) == expected


def test_answer_times_are_those_of_ok_samples() -> None:
    made = [Sample(t / 5, t / 100, "p", None, t != 99, "") for t in range(100)]
    result = figures(made, 0, 100)
    assert (result.p50_seconds, result.p95_seconds) == (0.49, 0.94)


def test_samples_are_sorted_as_they_arrive() -> None:
    late, early = Sample(1, 0, "p", None, True, ""), Sample(0, 2, "p", None, False, "")
    held = Samples([late])
    held.add([early, Sample(0.5, 0, "q", "cp1", True, "")])
    assert held.of(P) == [early, late]
    assert held.lanes == (P, Lane("q", "cp1"))
    assert held.between(P, 0.5, 1.5) == [late]
    assert held.counts == {P: 2, Lane("q", "cp1"): 1}


@pytest.mark.parametrize(
    ("ok", "seconds", "stalled", "is_evidence"),
    [
        (False, 2.25, 0.0, True),
        (False, 2.26, 0.0, False),
        (False, 2.0, 1.0, True),
        (False, 2.0, 1.01, False),
        (False, 1.1, 1.05, False),
        # whatever kept it from reading: this is an answer
        (True, 1.4, 1.2, True),
        # it was read long after its limit, so nobody knows when it came
        (True, 2.26, 1.2, False),
    ],
)
def test_a_sampler_that_stood_still_gives_no_evidence(
    ok: bool, seconds: float, stalled: float, is_evidence: bool
) -> None:
    made = Sample(1, seconds, "p", "cp1", ok, "200" if ok else "timed out", stalled=stalled)
    held = Samples([made], limit_seconds=2.0)
    assert list(held.of(Lane("p", "cp1"))) == [made] * is_evidence
    assert held.void == [made] * (not is_evidence)
    assert held.counts == {Lane("p", "cp1"): 1}
    assert Samples([made]).void == []


answers = st.lists(st.booleans(), min_size=1, max_size=80)


def lane(oks: list[bool]) -> list[Sample]:
    return [Sample(number / 5, 0, "p", None, ok, "") for number, ok in enumerate(oks)]


@given(answers)
def test_every_failed_sample_lies_in_exactly_one_outage(oks: list[bool]) -> None:
    made = lane(oks)
    result = outages(made, len(made) / 5)
    assert sum(outage.failed for outage in result) == oks.count(False)
    for sample in made:
        inside = [outage for outage in result if outage.start <= sample.t < outage.end]
        assert len(inside) == (not sample.ok)


@given(answers, st.integers(0, 79))
def test_a_further_failure_shortens_no_outage_and_lowers_no_share(oks: list[bool], place: int) -> None:
    place %= len(oks)
    worse = [*oks[:place], False, *oks[place + 1 :]]
    end = len(oks) / 5
    before, after = figures(lane(oks), 0, end), figures(lane(worse), 0, end)
    assert after.longest_outage_seconds >= before.longest_outage_seconds
    assert after.failed_share >= before.failed_share


@given(answers, st.sets(st.integers(0, 79)))
def test_a_time_without_samples_lengthens_no_outage(oks: list[bool], lost: set[int]) -> None:
    """Samples that are lost may hide an outage, and a gap then says so; they never make one."""
    made = lane(oks)
    some = [sample for number, sample in enumerate(made) if number not in lost]
    certain = sum(outage.seconds for outage in outages(some, len(oks) / 5) if not outage.is_open)
    assert certain <= len(oks) / 5


# Times that are exact in binary, so that adding to them changes nothing.
mixed = st.lists(
    st.tuples(
        st.booleans(), st.sampled_from([1 / 64, 0.25, 1.0, 2.0]), st.sampled_from([0.125, 0.25, 0.25, 3.0])
    ),
    min_size=1,
    max_size=60,
)


def hanging(answers: list[tuple[bool, float, float]], start: float = 0.0) -> list[Sample]:
    """Whether it was ok, how long the answer took, how long until the next question."""
    made, t = [], start
    for ok, seconds, pause in answers:
        made.append(Sample(t, seconds, "p", None, ok, ""))
        t += pause
    return made


@given(mixed, st.floats(0, 30))
def test_outages_come_in_order_and_begin_in_the_window(
    answers: list[tuple[bool, float, float]], end: float
) -> None:
    made = hanging(answers)
    result = figures(made, 0, end)
    assert all(0 <= outage.start <= outage.end and outage.start < end for outage in result.outages)
    assert all(first.end <= second.start for first, second in pairwise(result.outages))
    assert sum(outage.failed for outage in result.outages) >= result.failed
    whole = figures(made, 0, 1e6).outages
    assert [each.start for each in result.outages] == [each.start for each in whole if each.start < end]
    assert bool(result.outages) is bool(result.failed)


@given(mixed, st.integers(0, 1000))
def test_shifting_all_samples_changes_no_figure(
    answers: list[tuple[bool, float, float]], shift: int
) -> None:
    end = sum(pause for _ok, _seconds, pause in answers) + 1
    here, there = hanging(answers), [replace(each, t=each.t + shift) for each in hanging(answers)]
    before, after = figures(here, 0, end), figures(there, shift, end + shift)
    assert after.failed == before.failed
    assert len(after.outages) == len(before.outages)
    assert after.longest_outage_seconds == pytest.approx(before.longest_outage_seconds)


@given(mixed)
def test_an_outage_ends_with_an_answer_or_is_open(answers: list[tuple[bool, float, float]]) -> None:
    made = hanging(answers)
    end = made[-1].end + 3
    answered = {sample.end for sample in made if sample.ok}
    for outage in outages(made, end):
        assert outage.is_open or outage.end in answered


# at the edges


def answer(t: float, seconds: float = 0.01, *, ok: bool = True) -> Sample:
    return Sample(t, seconds, "p", None, ok, "200" if ok else "refused")


def test_two_seconds_between_two_questions_are_not_a_gap_yet() -> None:
    (outage,) = outages([answer(0, ok=False), answer(2.0, ok=False), answer(2.2)], 5.0)
    assert (outage.start, outage.end, outage.failed) == (0, 2.21, 2)
    assert len(outages([answer(0, ok=False), answer(2.1, ok=False), answer(2.2)], 5.0)) == 2


def test_a_question_at_the_moment_of_the_answer_counts_as_after_it() -> None:
    result = outages([answer(0, ok=False), answer(0.5, 0.5), answer(1.0, ok=False), answer(1.2)], 5.0)
    assert [(each.start, each.end) for each in result] == [(0, 1.0), (1.0, 1.21)]


def test_an_answer_at_the_very_end_ends_an_outage() -> None:
    (outage,) = outages([answer(0, ok=False), answer(0.5, 0.5)], 1.0)
    assert (outage.end, outage.is_open) == (1.0, False)


def test_an_outage_whose_last_question_hangs_into_a_gap_is_known_until_the_next_question() -> None:
    result = outages([answer(0, 10.0, ok=False), answer(5.0)], 20.0)
    assert [(each.end, each.is_open) for each in result] == [(5.0, True)]


def test_an_outage_goes_on_to_the_end_where_that_comes_within_two_seconds() -> None:
    assert outages([answer(0, ok=False)], 2.0)[0].end == 2.0
    assert outages([answer(0, ok=False)], 2.1)[0].end == 0.01


def test_a_time_without_samples_has_no_failures() -> None:
    assert figures([], 0.0, 10.0).failed_share == 0.0


def test_a_percentile_is_that_of_the_nearest_rank() -> None:
    hundred = [float(number) for number in range(1, 101)]
    assert (percentile(hundred, 50), percentile(hundred, 95), percentile([], 50)) == (50.0, 95.0, None)


@pytest.mark.parametrize(
    ("seconds", "stalled", "is_evidence"),
    [(15.0, 0.0, True), (16.8, 0.0, True), (16.9, 0.0, False), (15.0, 1.0, True), (15.0, 1.1, False)],
)
def test_a_probe_with_a_longer_limit_is_late_by_its_own_limit_and_blind_as_soon_as_the_others(
    seconds: float, stalled: float, is_evidence: bool
) -> None:
    made = Sample(1, seconds, "pod-starts", None, False, "not running after 15 s", stalled=stalled)
    held = Samples([made], limit_seconds=2.0, limits={"pod-starts": 15.0})
    assert held.void == [made] * (not is_evidence)
