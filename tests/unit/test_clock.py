"""Waiting with a deadline."""

from __future__ import annotations

import threading

import pytest
from support.fakes import FakeClock

from halab.clock import Deadline, NotYet, wait_for, within
from halab.errors import HostProblem, LabProblem, TimedOut


def test_a_wait_returns_what_the_check_returns() -> None:
    clock = FakeClock()
    assert wait_for("it", lambda: 42, Deadline.after(clock, 10)) == 42
    assert clock.slept == []


def test_a_wait_sleeps_between_tries() -> None:
    seen = iter([NotYet("one"), NotYet("two"), None])

    def check() -> str:
        if error := next(seen):
            raise error
        return "well"

    clock = FakeClock()
    assert wait_for("it", check, Deadline.after(clock, 10), every_seconds=2) == "well"
    assert clock.slept == [2, 2]


def test_a_wait_that_times_out_says_what_it_last_saw() -> None:
    clock = FakeClock()
    numbers = iter(range(100))

    def never() -> None:
        raise NotYet(f"look {next(numbers)}")

    with pytest.raises(TimedOut) as caught:
        wait_for("the moon", never, Deadline.after(clock, 3), every_seconds=1)
    assert caught.value.message == "waited 3 s for the moon; last seen: look 3"


def test_there_is_a_last_check_at_the_deadline() -> None:
    clock = FakeClock()

    def at_last() -> bool:
        if clock.at < 1005:
            raise NotYet("too early")
        return True

    assert wait_for("it", at_last, Deadline.after(clock, 5), every_seconds=3)
    assert clock.at == pytest.approx(1005)


def test_another_error_ends_a_wait_at_once() -> None:
    def broken() -> None:
        raise LabProblem("gone")

    clock = FakeClock()
    with pytest.raises(LabProblem):
        wait_for("it", broken, Deadline.after(clock, 10))
    assert clock.slept == []


def test_a_deadline_counts_down_to_nothing() -> None:
    clock = FakeClock()
    deadline = Deadline.after(clock, 5)
    clock.sleep(2)
    assert (deadline.remaining_seconds, deadline.expired) == (3, False)
    clock.sleep(9)
    assert (deadline.remaining_seconds, deadline.expired) == (0, True)


def test_a_result_or_an_error_in_time_is_passed_on() -> None:
    assert within(5, "libvirt", lambda: 7) == 7

    def refuse() -> int:
        raise HostProblem("refused")

    with pytest.raises(HostProblem, match="refused"):
        within(5, "libvirt", refuse)


def test_a_call_that_takes_too_long_times_out() -> None:
    end = threading.Event()
    with pytest.raises(TimedOut, match=r"libvirt does not answer within 0\.05 s"):
        within(0.05, "libvirt", end.wait)
    end.set()
