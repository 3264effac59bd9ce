"""The timeline of an attempt in words."""

from __future__ import annotations

from halab.drill.grade import Finding, TaskState
from halab.drill.moments import MomentKind, merged, of_answer, of_check, of_hint, of_outages, timeline

DONE, NOT_YET, UNCHECKED = map(Finding, (TaskState.DONE, TaskState.NOT_YET, TaskState.UNCHECKED))


def test_a_check_tells_what_has_changed_since_the_one_before() -> None:
    before = {"kept": DONE, "lost": DONE, "dark": DONE, "open": NOT_YET}
    found = {
        "kept": DONE,
        "lost": NOT_YET,
        "dark": UNCHECKED,
        "open": NOT_YET,
        "a": DONE,
        "b": DONE,
        "c": DONE,
    }
    told = "check 2: a, b and c are done; lost is no longer done; dark could not be checked"
    assert of_check(2, 65.0, before, found).text == told
    assert of_check(3, 70.0, found, found).text == "check 3: dark could not be checked"
    assert of_check(1, 5.0, {}, {"open": NOT_YET}).text == "check 1: nothing has changed"


def test_a_hint_has_its_price_and_an_answer_is_right_or_wrong() -> None:
    assert of_hint(1, 10.0, 1).text == "hint 1, for 1 point"
    assert of_hint(2, 10.0, 0).text == "hint 2, free"
    assert (
        of_answer("port", 12.0, "44\x1b[31m3\n", is_right=False).text
        == r"answer to port: 44\x1b[31m3 (wrong)"
    )
    assert of_answer("port", 12.0, "7443", is_right=True).text == "answer to port: 7443 (right)"


def test_outages_of_all_probes_are_one_and_what_fails_at_the_end_does_not_end() -> None:
    fails, again = "requests of clients fail", "all requests of clients are answered again"
    told = of_outages([(40.0, 50.0), (0.0, 12.0), (3.0, 35.0), (80.0, 99.5)], 100.0)
    assert [(moment.seconds, moment.text) for moment in told] == [(0.0, fails), (50.0, again), (80.0, fails)]
    assert {moment.kind for moment in told} == {MomentKind.CLIENTS}
    assert of_outages([], 100.0) == []


def test_checks_in_a_row_that_found_no_change_are_one_line() -> None:
    found = {"open": NOT_YET}
    checks = [of_check(number, 10.0 * number, {}, found) for number in (1, 2, 3)]
    checks.append(of_check(4, 40.0, found, {"open": DONE}))
    checks.append(of_check(5, 50.0, {"open": DONE}, {"open": DONE}))
    told = timeline(checks, [(0.0, 15.0)], 60.0)
    assert [(moment.seconds, moment.text) for moment in told] == [
        (0.0, "requests of clients fail"),
        (10.0, "check 1: nothing has changed"),
        (15.0, "all requests of clients are answered again"),
        (20.0, "check 2, and 1 more: nothing has changed"),
        (40.0, "check 4: open is done"),
        (50.0, "check 5: nothing has changed"),
    ]


def test_periods_that_are_ten_seconds_apart_stay_two() -> None:
    assert merged([(20.0, 21.04), (0.0, 10.0)]) == ((0.0, 10.0), (20.0, 21.0))
    assert merged([(0.0, 10.0), (19.9, 21.0)]) == ((0.0, 21.0),)
