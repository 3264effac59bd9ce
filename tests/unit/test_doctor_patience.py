"""Questions that are asked once, and not waited for for ever."""

from __future__ import annotations

import threading

import pytest

from halab.doctor.patience import Once, within
from halab.errors import HostProblem, TimedOut


def test_an_answer_in_time_is_given_and_so_is_an_error() -> None:
    assert within(5, "libvirt", lambda: 7) == 7

    def refuse() -> int:
        raise HostProblem("refused")

    with pytest.raises(HostProblem, match="refused"):
        within(5, "libvirt", refuse)


def test_who_does_not_answer_is_left_behind() -> None:
    end = threading.Event()
    with pytest.raises(TimedOut, match=r"libvirt does not answer within 0\.05 s"):
        within(0.05, "libvirt", end.wait)
    end.set()


def test_an_error_is_kept_like_an_answer() -> None:
    asked = []

    def refuse() -> int:
        asked.append(1)
        raise HostProblem("refused")

    once = Once(refuse)
    for _ in range(2):
        with pytest.raises(HostProblem):
            once()
    assert asked == [1]
