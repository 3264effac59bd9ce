"""The time limit of a run: it ends the run as Ctrl-C does, and leaves no timer behind."""

from __future__ import annotations

import signal

import pytest

from halab.campaign.time_limit import OverLimit, ended_after


def test_a_block_that_takes_too_long_is_ended() -> None:
    with (
        pytest.raises(OverLimit, match="the time limit of 2m"),
        ended_after(120, "the time limit of 2m"),
    ):
        left, again = signal.getitimer(signal.ITIMER_REAL)
        assert 100 < left <= 120 and again == 600
        signal.raise_signal(signal.SIGALRM)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_what_heals_after_the_end_is_ended_too() -> None:
    with pytest.raises(OverLimit), ended_after(120, "the time limit"):
        try:
            signal.raise_signal(signal.SIGALRM)
        finally:
            signal.raise_signal(signal.SIGALRM)


def test_nothing_is_left_of_a_block_that_ends_in_time() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with ended_after(120, "the time limit"):
        assert signal.getsignal(signal.SIGALRM) != before
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (before, (0, 0))


def test_it_is_no_error_that_somebody_could_catch_and_try_again() -> None:
    assert issubclass(OverLimit, KeyboardInterrupt)
