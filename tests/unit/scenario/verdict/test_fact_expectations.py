"""Promises about facts: changed, unchanged, a value, an increase; with known, unknown and missing readings."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from halab.config.quantities import Bounds
from halab.scenario.record.history import Window
from halab.scenario.record.lanes import Lane
from halab.scenario.verdict.facts import FactReading, Track, changed, held, increased, reached, unchanged
from halab.scenario.verdict.judgement import Judgement, JudgementState, Unit

HERTZ = 5
FAULT = 10.0
WINDOW = Window(FAULT, FAULT + 1, FAULT + 11)
COUNTS_FROM = FAULT + 1
BEFORE = "a" * 50
NOW = 60.0


def track(pattern: str, *, sampled: bool = True, start: float = 0.0) -> Track:
    """A letter is a value, `?` an unknown one, `.` a reading that was not made; five a second."""
    made = [
        FactReading(
            start + number / HERTZ, start + number / HERTZ + 0.02, None if mark == "?" else mark, "no answer"
        )
        for number, mark in enumerate(pattern)
        if mark != "."
    ]
    return Track(Lane("fact", "cp1"), made, sampled)


def read(*values: tuple[float, str | None]) -> Track:
    """Of a fact that is read when it is needed."""
    return Track(
        Lane("etcd-started", "cp1"), [FactReading(t, t, value) for t, value in values], is_sampled=False
    )


def change(pattern: str, limit: float = 2.0, now: float = NOW) -> Judgement:
    return changed(track(BEFORE + pattern), WINDOW, COUNTS_FROM, limit, now)


@pytest.mark.parametrize(
    ("pattern", "state", "seen"),
    [
        # the step before ends a second after the fault begins
        ("aaaaaaaaaabbbb", JudgementState.MET, "fact on cp1 changed from a to b after 1s"),
        ("bbbb", JudgementState.MET, "fact on cp1 changed from a to b after 0s"),
        ("aaaaabbbbb", JudgementState.MET, "fact on cp1 changed from a to b after 0s"),
        ("a" * 15 + "b", JudgementState.MET, "fact on cp1 changed from a to b after 2s"),
        ("a" * 18 + "b", JudgementState.BROKEN, "fact on cp1 changed from a to b only after 2.6s"),
        ("a" * 30, JudgementState.BROKEN, "fact on cp1 is still a after 4.8s"),
        ("aaaaaaaa", JudgementState.OPEN, "fact on cp1 is a so far"),
        ("", JudgementState.OPEN, "there is no reading of fact on cp1"),
        # what is not known has not changed
        ("aaaaa?????bbb", JudgementState.MET, "fact on cp1 changed from a to b after 1s"),
        ("aaaaa" + "?" * 15 + "bbb", JudgementState.BROKEN, "fact on cp1 changed from a to b only after 3s"),
        ("aaaaa" + "?" * 15 + "aaa", JudgementState.BROKEN, "fact on cp1 is still a after 3.4s"),
        ("aaaaa" + "?" * 25, JudgementState.OPEN, "there is no reading of fact on cp1: no answer"),
        # what nobody asked for may have changed meanwhile
        ("aaaaa" + "." * 30 + "bbb", JudgementState.OPEN, "no reading of fact on cp1 for 6s"),
        ("aaaaa" + "." * 30 + "aaa", JudgementState.OPEN, "no reading of fact on cp1 for 6s"),
        (
            "a" * 20 + "." * 30 + "bbb",
            JudgementState.BROKEN,
            "fact on cp1 changed from a to b only after 9s",
        ),
        ("aaaaa" + "." * 8 + "bbb", JudgementState.MET, "fact on cp1 changed from a to b after 1.6s"),
        # it was another, if only for a while
        ("aaaaabaaaaaaaaaaaaaaaa", JudgementState.MET, "fact on cp1 changed from a to b after 0s"),
    ],
)
def test_a_state_that_should_change(pattern: str, state: JudgementState, seen: str) -> None:
    judgement = change(pattern)
    assert (judgement.state, judgement.seen) == (state, seen)


@pytest.mark.parametrize("before", ["", "?" * 50, "." * 50, "a" * 10 + "." * 40, "a" * 10 + "?" * 40])
def test_a_state_that_was_unknown_right_before_the_fault_cannot_have_changed(before: str) -> None:
    lane = track(before.ljust(50, ".") + "b" * 40)
    for judgement in (
        changed(lane, WINDOW, COUNTS_FROM, 5, NOW),
        unchanged(lane, WINDOW, NOW, over_window=False),
    ):
        assert (judgement.state, judgement.seen) == (
            JudgementState.OPEN,
            "there is no reading of fact on cp1 before the fault",
        )


def test_a_reading_across_the_start_of_the_fault_counts_for_neither_side() -> None:
    straddling = FactReading(FAULT - 0.1, FAULT + 0.5, "b")
    lane = track(BEFORE + "aaaaaaaaaa")
    lane = Track(lane.lane, sorted([*lane.readings, straddling], key=lambda each: each.t), True)
    assert changed(lane, WINDOW, COUNTS_FROM, 5, NOW).state is JudgementState.OPEN
    assert lane.before(FAULT) == FactReading(9.8, 9.82, "a", "no answer")


def test_how_long_a_change_took_is_measured_with_its_limit() -> None:
    (figure,) = change("aaaaaaaaaabbbb").figures
    assert figure.value == pytest.approx(1.0)
    assert (figure.most, figure.unit) == (2.0, Unit.SECONDS)
    (late,) = change("a" * 18 + "b").figures
    assert late.value == pytest.approx(2.6)
    assert late.excess > 0


@pytest.mark.parametrize(
    ("before", "later", "state", "seen"),
    [
        ("100", [(12.0, "250")], JudgementState.MET, "etcd-started on cp1 changed from 100 to 250 after 1s"),
        (
            "100",
            [(12.0, None)],
            JudgementState.OPEN,
            "etcd-started on cp1 is gone, and has not come back yet",
        ),
        (
            "100",
            [(12.0, None), (13.5, "250")],
            JudgementState.BROKEN,
            "changed from 100 to 250 only after 2.5s",
        ),
        ("100", [(12.0, "100"), (13.5, "100")], JudgementState.BROKEN, "is still 100 after 2.5s"),
        (
            "100",
            [(12.0, None), (13.5, None)],
            JudgementState.BROKEN,
            "is gone, and has not come back after 2.5s",
        ),
        (None, [(12.0, "250")], JudgementState.OPEN, "no reading of etcd-started on cp1 before the fault"),
        # nobody reads it while nobody waits for it: that is no gap
        ("100", [(30.0, "250")], JudgementState.BROKEN, "changed from 100 to 250 only after 19s"),
    ],
)
def test_a_start_that_should_change(
    before: str | None, later: list[tuple[float, str | None]], state: JudgementState, seen: str
) -> None:
    lane = read((1.0, before), *later)
    judgement = changed(lane, WINDOW, COUNTS_FROM, 2.0, NOW)
    assert judgement.state is state
    assert seen in judgement.seen


@pytest.mark.parametrize(
    ("pattern", "state", "seen"),
    [
        ("?????bbbb", JudgementState.MET, "fact on cp1 is b after 0s"),
        ("aaaaaaaaaabbbb", JudgementState.MET, "fact on cp1 is b after 1s"),
        ("a" * 18 + "b", JudgementState.BROKEN, "fact on cp1 is b only after 2.6s"),
        ("a" * 30, JudgementState.BROKEN, "fact on cp1 is still a after 4.8s"),
        ("?" * 30, JudgementState.OPEN, "there is no reading of fact on cp1: no answer"),
        ("aaaaaaaa", JudgementState.OPEN, "fact on cp1 is a so far"),
        ("aaaaa" + "." * 30 + "bbb", JudgementState.OPEN, "no reading of fact on cp1 for 6s"),
        # what it was before the step does not count
        ("bbbb" + "a" * 20, JudgementState.BROKEN, "fact on cp1 is still a after 3.6s"),
    ],
)
def test_a_value_that_should_be_reached(pattern: str, state: JudgementState, seen: str) -> None:
    judgement = reached(track(BEFORE + pattern), "b", COUNTS_FROM, 2.0, NOW)
    assert (judgement.state, judgement.seen) == (state, seen)


SAME = "a" * 60


@pytest.mark.parametrize(
    ("pattern", "state", "seen"),
    [
        (SAME, JudgementState.MET, "fact on cp1 was a all the time"),
        ("b" * 4 + SAME, JudgementState.MET, "fact on cp1 was a all the time"),
        (
            "a" * 20 + "b" + SAME,
            JudgementState.BROKEN,
            "fact on cp1 was b in 1 of 50 readings, first at 14.0s",
        ),
        ("a" * 56 + "b" * 9, JudgementState.MET, "fact on cp1 was a all the time"),
        ("a" * 20 + "?" * 10 + SAME, JudgementState.MET, "fact on cp1 was a all the time"),
        ("a" * 20 + "?" * 40, JudgementState.OPEN, "fact on cp1 was known in only 15 of 50 readings"),
        ("?" * 60, JudgementState.OPEN, "fact on cp1 was known in only 0 of 50 readings"),
        ("a" * 10 + "." * 30 + SAME, JudgementState.OPEN, "no reading of fact on cp1 for 6.2s"),
        ("a" * 10 + "." * 30 + "b" + SAME, JudgementState.BROKEN, "fact on cp1 was b in 1 of"),
        ("", JudgementState.OPEN, "no reading of fact on cp1 for 10s"),
    ],
)
def test_a_value_that_should_be_held(pattern: str, state: JudgementState, seen: str) -> None:
    judgement = held(track(BEFORE + pattern), "a", WINDOW, NOW)
    assert judgement.state is state
    assert judgement.seen.startswith(seen)


def test_a_value_is_held_from_the_effect_of_a_fault_to_its_heal() -> None:
    lane = track(BEFORE + SAME)
    assert held(lane, "a", Window(FAULT, None, None), NOW).seen.endswith("the fault has no effect yet")
    still = held(lane, "a", Window(FAULT, FAULT + 1, None), FAULT + 9)
    assert (still.state, still.seen) == (JudgementState.OPEN, "the fault is not healed yet")
    short = held(lane, "a", Window(FAULT, FAULT + 1, FAULT + 1.3), NOW)
    assert (short.state, short.seen) == (
        JudgementState.OPEN,
        "fact on cp1 was known in only 2 of 2 readings",
    )


@pytest.mark.parametrize(
    ("pattern", "state", "seen"),
    [
        (SAME, JudgementState.MET, "fact on cp1 is still a"),
        ("aaab" + SAME, JudgementState.BROKEN, "fact on cp1 changed from a to b at 10.6s"),
        ("a?a?" * 15, JudgementState.MET, "fact on cp1 is still a"),
        ("?" * 60, JudgementState.OPEN, "fact on cp1 was known in only 0 of"),
        ("a" * 10 + "." * 30 + SAME, JudgementState.OPEN, "no reading of fact on cp1 for 6.2s"),
        # after the heal it may be what it will
        ("a" * 56 + "b" * 9, JudgementState.MET, "fact on cp1 is still a"),
    ],
)
def test_a_state_that_should_stay_the_same_over_a_window(
    pattern: str, state: JudgementState, seen: str
) -> None:
    judgement = unchanged(track(BEFORE + pattern), WINDOW, NOW, over_window=True)
    assert judgement.state is state
    assert judgement.seen.startswith(seen)


def test_without_a_window_a_state_stays_the_same_until_it_is_looked_at() -> None:
    lane = track(BEFORE + "a" * 56 + "b" * 9)
    assert unchanged(lane, WINDOW, FAULT + 11, over_window=False).state is JudgementState.MET
    assert unchanged(lane, WINDOW, FAULT + 12, over_window=False).state is JudgementState.BROKEN
    assert (
        unchanged(lane, Window(FAULT, FAULT, None), FAULT + 9, over_window=True).state is JudgementState.OPEN
    )


@pytest.mark.parametrize(
    ("later", "state", "seen"),
    [
        ([(12.0, "100")], JudgementState.MET, "etcd-started on cp1 is still 100"),
        ([(12.0, "250")], JudgementState.BROKEN, "etcd-started on cp1 changed from 100 to 250 at 12.0s"),
        ([(12.0, None)], JudgementState.BROKEN, "etcd-started on cp1 was 100 and is gone at 12.0s"),
        ([], JudgementState.OPEN, "etcd-started on cp1 was not read after the fault"),
    ],
)
def test_a_start_that_should_stay_the_same(
    later: list[tuple[float, str | None]], state: JudgementState, seen: str
) -> None:
    judgement = unchanged(read((1.0, "100"), *later), WINDOW, NOW, over_window=False)
    assert (judgement.state, judgement.seen) == (state, seen)


@pytest.mark.parametrize(
    ("pattern", "bounds", "state", "seen"),
    [
        (
            "3" * 20 + "4" * 40,
            Bounds(2, 1),
            JudgementState.MET,
            "fact on cp1 went from 3 to 4, an increase of 1",
        ),
        ("3" * 60, Bounds(2), JudgementState.MET, "fact on cp1 was 3 all the time"),
        (
            "3" * 60,
            Bounds(2, 1),
            JudgementState.BROKEN,
            "fact on cp1 went from 3 to 3, an increase of only 0, at least 1 was promised",
        ),
        (
            "3" * 20 + "7" * 40,
            Bounds(2),
            JudgementState.BROKEN,
            "fact on cp1 went from 3 to 7, an increase of 4, at most 2 was promised",
        ),
        # it counts from before the fault, up to the start of the heal
        ("5" * 60, Bounds(2, 1), JudgementState.MET, "fact on cp1 went from 3 to 5, an increase of 2"),
        ("3" * 56 + "9" * 9, Bounds(2), JudgementState.MET, "fact on cp1 was 3 all the time"),
        # what is not known between does not matter, what is not known at the ends does
        (
            "3" * 5 + "?" * 40 + "4" * 15,
            Bounds(2),
            JudgementState.MET,
            "fact on cp1 went from 3 to 4, an increase of 1",
        ),
        (
            "3" * 5 + "." * 40 + "4" * 15,
            Bounds(2),
            JudgementState.MET,
            "fact on cp1 went from 3 to 4, an increase of 1",
        ),
        (
            "3" * 10 + "?" * 50,
            Bounds(2),
            JudgementState.OPEN,
            "there is no reading of fact on cp1 at the start or the end of the window",
        ),
        (
            "3" * 10 + "." * 50,
            Bounds(2, 1),
            JudgementState.OPEN,
            "there is no reading of fact on cp1 at the start or the end of the window",
        ),
        (
            "9" * 10 + "." * 50,
            Bounds(2),
            JudgementState.BROKEN,
            "fact on cp1 went from 3 to 9, an increase of 6, at most 2",
        ),
        ("?" * 60, Bounds(2), JudgementState.OPEN, "there is no reading of fact on cp1"),
        ("x" * 60, Bounds(2), JudgementState.OPEN, "there is no reading of fact on cp1"),
        (
            "3" * 20 + "1" * 40,
            Bounds(2, 1),
            JudgementState.BROKEN,
            "fact on cp1 went from 3 to 1, an increase of only -2",
        ),
    ],
)
def test_a_number_that_should_grow(pattern: str, bounds: Bounds, state: JudgementState, seen: str) -> None:
    judgement = increased(track("3" * 50 + pattern), bounds, WINDOW, NOW)
    assert judgement.state is state
    assert judgement.seen.startswith(seen)


def test_a_number_may_still_grow_while_the_fault_lasts() -> None:
    lane = track("3" * 110)
    judgement = increased(lane, Bounds(2, 1), Window(FAULT, FAULT, None), FAULT + 9)
    assert (judgement.state, judgement.seen) == (JudgementState.OPEN, "the fault is not healed yet")
    unknown_before = increased(track("." * 50 + "3" * 30 + "4" * 30), Bounds(1), WINDOW, NOW)
    assert (unknown_before.state, unknown_before.figures[0].value) == (JudgementState.MET, 1)
    late = increased(track("." * 85 + "3" * 30), Bounds(1), WINDOW, NOW)
    assert late.state is JudgementState.OPEN


PATTERNS = st.text("ab?.", max_size=80)


@given(PATTERNS, st.floats(0.5, 8))
def test_unknown_or_missing_readings_never_break_a_promise(pattern: str, limit: float) -> None:
    lane = track(BEFORE + pattern)
    if "b" not in pattern:
        assert unchanged(lane, WINDOW, NOW, over_window=True).state is not JudgementState.BROKEN
        assert held(lane, "a", WINDOW, NOW).state is not JudgementState.BROKEN
        assert changed(lane, WINDOW, COUNTS_FROM, limit, NOW).state is not JudgementState.MET
    if "a" not in pattern:
        assert held(lane, "a", WINDOW, NOW).state is not JudgementState.MET
    if "a" not in pattern and "b" not in pattern:
        assert changed(lane, WINDOW, COUNTS_FROM, limit, NOW).state is JudgementState.OPEN


@given(PATTERNS, st.sets(st.integers(0, 79)))
def test_a_reading_that_turns_out_unknown_never_breaks_a_value_that_was_held(
    pattern: str, places: set[int]
) -> None:
    hidden = "".join("?" if number in places else mark for number, mark in enumerate(pattern))
    if held(track(BEFORE + pattern), "a", WINDOW, NOW).state is JudgementState.MET:
        assert held(track(BEFORE + hidden), "a", WINDOW, NOW).state is not JudgementState.BROKEN


@given(PATTERNS, st.floats(0.5, 8), st.floats(10, 30), st.floats(0, 10))
def test_a_decision_about_a_change_is_final(pattern: str, limit: float, now: float, more: float) -> None:
    """The runner goes on as soon as it is decided."""
    lane = track(BEFORE + pattern)
    judges: tuple[Callable[[float], Judgement], ...] = (
        lambda until: changed(lane, WINDOW, COUNTS_FROM, limit, until),
        lambda until: reached(lane, "b", COUNTS_FROM, limit, until),
    )
    for judge in judges:
        first = judge(now)
        if first.state is JudgementState.MET:
            assert judge(now + more) == first
        if first.state is JudgementState.BROKEN:
            assert judge(now + more).state is JudgementState.BROKEN


@given(PATTERNS, st.integers(0, 1000))
def test_shifting_all_times_changes_nothing(pattern: str, shift: int) -> None:
    # a gap of just five seconds may be one or none, by the last bit
    assume("." * 20 not in pattern)
    lane, shifted = track(BEFORE + pattern), track(BEFORE + pattern, start=float(shift))
    moved = Window(FAULT + shift, FAULT + shift + 1, FAULT + shift + 11)
    assert WINDOW.effective and WINDOW.end
    assert held(lane, "a", WINDOW, NOW).state is held(shifted, "a", moved, NOW + shift).state
    first = unchanged(lane, WINDOW, NOW, over_window=True)
    assert first.state is unchanged(shifted, moved, NOW + shift, over_window=True).state


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.integers(0, 5), st.integers(0, 5))
def test_a_number_that_grew_too_much_is_broken_even_with_few_readings(
    digits: list[int], least: int, more: int
) -> None:
    judgement = increased(
        track("0" * 50 + "".join(map(str, digits))), Bounds(least + more, least), WINDOW, NOW
    )
    # those that were answered before the heal, 11 s after the fault
    if max(digits[: 11 * HERTZ], default=0) > least + more:
        assert judgement.state is JudgementState.BROKEN
    if judgement.state is JudgementState.MET:
        assert least <= judgement.figures[0].value <= least + more


# at the edges, and what is shown


def sampled(*values: tuple[float, str | None], takes: float = 0.0) -> Track:
    """Readings at these times."""
    return Track(
        Lane("fact", "cp1"),
        [FactReading(t, t + takes, value, "no answer") for t, value in values],
        is_sampled=True,
    )


def steadily(value: str, *times: float) -> list[tuple[float, str | None]]:
    return [(t, value) for t in times]


def test_five_seconds_without_a_reading_are_not_a_gap_yet() -> None:
    times = (8.0, 12.0, 17.0, 20.0)
    assert (
        unchanged(sampled(*steadily("a", *times)), WINDOW, 22.0, over_window=True).state
        is JudgementState.MET
    )
    late = (*times[:2], 17.1, 20.0)
    judgement = unchanged(sampled(*steadily("a", *late)), WINDOW, 22.0, over_window=True)
    assert (judgement.state, judgement.seen) == (JudgementState.OPEN, "no reading of fact on cp1 for 5.1s")


def test_the_longest_of_several_gaps_is_reported() -> None:
    window = Window(FAULT, FAULT, FAULT + 30)
    judgement = unchanged(sampled(*steadily("a", 9, 11, 18, 24, 39)), window, 45.0, over_window=True)
    assert judgement.seen == "no reading of fact on cp1 for 15s"


def test_a_state_is_known_if_at_least_three_readings_and_half_of_all_are_known() -> None:
    def over(*values: str | None) -> JudgementState:
        made = [(9.0, "a"), *((11.0 + number, value) for number, value in enumerate(values))]
        return unchanged(sampled(*made), WINDOW, 22.0, over_window=True).state

    assert over(*"aaa", *[None] * 3, None, None) is JudgementState.OPEN
    assert over(*"aaaa", None, None, None, None) is JudgementState.MET
    assert over("a", None, "a", None, "a", None, None, None) is JudgementState.OPEN
    three = sampled((9, "a"), *steadily("a", 12, 16, 20))
    assert unchanged(three, WINDOW, 22.0, over_window=True).state is JudgementState.MET
    two = sampled((9, "a"), *steadily("a", 14, 18))
    assert unchanged(two, WINDOW, 22.0, over_window=True).state is JudgementState.OPEN
    # less than half of twelve, though more than a third
    twelve = [(10.0 + number * 0.9, "a" if number < 5 else None) for number in range(1, 13)]
    assert unchanged(sampled((9, "a"), *twelve), WINDOW, 22.0, over_window=True).state is JudgementState.OPEN


def test_a_reading_at_the_moment_of_the_fault_is_not_from_before_it() -> None:
    assert (
        unchanged(read((FAULT, "a"), (12, "a")), WINDOW, 20, over_window=False).state is JudgementState.OPEN
    )
    assert unchanged(read((9, "a"), (12, "a")), WINDOW, 20, over_window=False).state is JudgementState.MET


def test_a_reading_that_was_answered_when_the_fault_began_is_from_before_it() -> None:
    late = Track(
        Lane("fact", "cp1"), [FactReading(9.5, FAULT, "a"), FactReading(12.0, 12.0, "b")], is_sampled=True
    )
    assert changed(late, WINDOW, COUNTS_FROM, 5.0, 20.0).state is JudgementState.MET


def test_a_value_from_five_seconds_before_the_fault_still_counts() -> None:
    assert (
        changed(sampled((5.0, "a"), (12.0, "b")), WINDOW, COUNTS_FROM, 5.0, 20.0).state is JudgementState.MET
    )
    assert (
        changed(sampled((4.9, "a"), (12.0, "b")), WINDOW, COUNTS_FROM, 5.0, 20.0).state
        is JudgementState.OPEN
    )


def test_the_last_reading_of_a_process_before_the_fault_counts_even_if_it_was_gone() -> None:
    assert (
        changed(read((5, "a"), (9, None), (12, "b")), WINDOW, COUNTS_FROM, 5.0, 20.0).state
        is JudgementState.OPEN
    )


def test_a_reading_that_is_answered_when_the_run_goes_on_counts() -> None:
    assert reached(sampled((12.0, "b"), takes=0.5), "b", COUNTS_FROM, 5.0, 12.5).state is JudgementState.MET
    assert reached(sampled((12.0, "b"), takes=0.5), "b", COUNTS_FROM, 5.0, 12.4).state is JudgementState.OPEN


def test_a_limit_is_over_only_after_its_last_moment() -> None:
    """It ends at 13 s."""
    assert (
        reached(sampled((11.5, "a"), (13.0, "a")), "b", COUNTS_FROM, 2.0, 20.0).state is JudgementState.OPEN
    )
    late = reached(sampled((11.5, "a"), (13.0, "a"), (14.0, "a"), (15.0, "c")), "b", COUNTS_FROM, 2.0, 20.0)
    assert (late.state, late.seen) == (JudgementState.BROKEN, "fact on cp1 is still c after 4s")
    assert [(each.start, each.end, each.samples) for each in late.evidence] == [(14.0, 15.0, 2)]


@pytest.mark.parametrize(("detail", "reason"), [("timed out", "timed out"), ("", "no answer")])
def test_a_state_that_is_unknown_when_the_limit_is_over_says_why(detail: str, reason: str) -> None:
    lane = Track(Lane("fact", "cp1"), [FactReading(14.0, 14.0, None, detail)], is_sampled=True)
    judgement = reached(lane, "b", COUNTS_FROM, 2.0, 20.0)
    assert (judgement.state, judgement.seen) == (
        JudgementState.OPEN,
        f"there is no reading of fact on cp1: {reason}",
    )


def test_a_gap_after_the_limit_hides_nothing_and_the_first_gap_before_it_is_reported() -> None:
    after = sampled((11.5, "a"), (13.0, "a"), (19.0, "b"))
    assert reached(after, "b", COUNTS_FROM, 2.0, 20.0).state is JudgementState.BROKEN
    twice = sampled((11.5, "a"), (17.0, "a"), (27.0, "a"))
    judgement = reached(twice, "b", COUNTS_FROM, 9.0, 30.0)
    assert (judgement.state, judgement.seen) == (JudgementState.OPEN, "no reading of fact on cp1 for 5.5s")


def test_the_readings_that_decide_are_cited() -> None:
    window = Window(FAULT, FAULT, FAULT + 5)
    kept = held(sampled(*steadily("a", 10, 12, 14)), "a", window, 20.0)
    assert (kept.state, kept.at) == (JudgementState.MET, 10)
    assert [(each.start, each.end, each.samples) for each in kept.evidence] == [(10, 14, 3)]
    wrong = held(sampled((10, "a"), (11, "b"), (12, "c"), (14, "a")), "a", window, 20.0)
    assert (wrong.state, wrong.at) == (JudgementState.BROKEN, 11)
    assert wrong.seen == "fact on cp1 was b in 2 of 4 readings, first at 11.0s"
    assert [(each.start, each.end, each.samples) for each in wrong.evidence] == [(11, 12, 2)]


def test_a_value_cannot_hold_before_the_fault_has_an_effect() -> None:
    judgement = held(sampled(*steadily("a", 10, 12, 14)), "a", Window(FAULT, None, None), 20.0)
    assert (judgement.state, judgement.seen) == (
        JudgementState.OPEN,
        "fact on cp1: the fault has no effect yet",
    )


def test_an_unchanged_fact_is_decided_by_its_last_reading() -> None:
    judgement = unchanged(sampled((9, "a"), *steadily("a", 12, 14, 16, 20)), WINDOW, 22.0, over_window=True)
    assert judgement.at == 20
    assert [(each.start, each.end, each.samples) for each in judgement.evidence] == [(12, 20, 4)]


def test_a_number_is_known_at_both_ends_of_a_window_if_it_was_within_five_seconds_of_them() -> None:
    """The window is from 10 s to 21 s."""
    bounds = Bounds(5, 1)
    assert increased(sampled((15.0, "1"), (16.0, "2")), bounds, WINDOW, 30.0).state is JudgementState.MET
    assert increased(sampled((15.1, "1"), (16.0, "2")), bounds, WINDOW, 30.0).state is JudgementState.OPEN
    assert increased(sampled((15.0, "1"), (15.9, "2")), bounds, WINDOW, 30.0).state is JudgementState.OPEN


def test_a_number_breaks_its_bound_when_it_first_goes_beyond_it() -> None:
    judgement = increased(sampled((9, "1"), (12, "2"), (14, "9"), (20, "12")), Bounds(3), WINDOW, 30.0)
    assert (judgement.state, judgement.at) == (JudgementState.BROKEN, 14)


def test_a_number_has_at_most_nineteen_digits() -> None:
    def of_digits(count: int) -> JudgementState:
        return increased(sampled((9, "1" * count), (20, "1" * count)), Bounds(3), WINDOW, 30.0).state

    assert of_digits(19) is JudgementState.MET
    assert of_digits(20) is JudgementState.OPEN


@pytest.mark.parametrize(
    ("after", "bounds", "state", "seen"),
    [
        # a restarted process needs less than before: that breaks no upper bound
        ("1" * 50, Bounds(2), JudgementState.MET, "fact on cp1 never exceeded 3"),
        ("9" * 10 + "1" * 40, Bounds(2), JudgementState.BROKEN, "an increase of 6, at most 2 was promised"),
        ("9" * 10 + "1" * 40, Bounds(9, 5), JudgementState.MET, "went from 3 to 9, an increase of 6"),
        ("4" * 50, Bounds(9, 5), JudgementState.BROKEN, "an increase of only 1, at least 5 was promised"),
    ],
)
def test_a_number_that_may_fall_counts_up_to_its_highest_value(
    after: str, bounds: Bounds, state: JudgementState, seen: str
) -> None:
    judgement = increased(track("3" * 50 + after + "3" * 20), bounds, WINDOW, NOW, may_fall=True)
    assert judgement.state is state
    assert seen in judgement.seen


def test_the_highest_value_is_unknown_if_the_number_was_not_read_until_the_heal() -> None:
    judgement = increased(track("3" * 50 + "4" * 10), Bounds(9), WINDOW, NOW, may_fall=True)
    assert judgement.state is JudgementState.OPEN
