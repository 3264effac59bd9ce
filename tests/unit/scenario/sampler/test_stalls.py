"""Late beats show that the sampler stood still."""

from __future__ import annotations

import os
from typing import Any

import pytest

from halab.scenario.sampler.stalls import Pulse, come_first


class Moment:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def moment() -> Moment:
    return Moment()


def beating(moment: Moment, *moments: float) -> Pulse:
    pulse = Pulse(moment)
    for each in moments:
        moment.now = each
        pulse.beat()
    return pulse


def test_a_process_whose_beats_are_in_time_never_stood_still(moment: Moment) -> None:
    pulse = beating(moment, 100.1, 100.21, 100.33, 100.5)
    assert pulse.stood_still(100.0) == 0
    moment.now = 100.65
    assert pulse.stood_still(100.0) == 0


def test_a_late_beat_shows_how_long_the_process_stood_still(moment: Moment) -> None:
    pulse = beating(moment, 100.1, 103.2, 103.3)
    assert pulse.stood_still(100.0) == pytest.approx(3.0)
    assert pulse.stood_still(102.2) == pytest.approx(1.0)
    assert pulse.stood_still(103.25) == 0


def test_a_stall_is_known_before_the_next_beat(moment: Moment) -> None:
    """Both are due at once when a stopped process goes on."""
    pulse = beating(moment, 100.1)
    moment.now = 103.2
    assert pulse.stood_still(100.15) == pytest.approx(3.0)
    assert pulse.beat() == pytest.approx(3.0)
    assert pulse.stood_still(100.15) == pytest.approx(3.0)


def test_two_stops_add_up(moment: Moment) -> None:
    pulse = beating(moment, 100.1, 101.2, 101.3, 102.4)
    assert pulse.stood_still(100.0) == pytest.approx(2.0)


def test_the_sampler_comes_before_other_work_and_its_children_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int, Any]] = []
    monkeypatch.setattr(os, "sched_setscheduler", lambda *words: asked.append(words))
    come_first()
    [(process, policy, parameters)] = asked
    assert (process, policy) == (0, os.SCHED_RR | os.SCHED_RESET_ON_FORK)
    assert parameters.sched_priority == os.sched_get_priority_min(os.SCHED_RR)


def test_without_the_right_to_it_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    come_first()
