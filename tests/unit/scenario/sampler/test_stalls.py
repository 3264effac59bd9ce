"""Late beats show that the sampler stood still."""

from __future__ import annotations

import pytest

from halab.scenario.sampler.stalls import Pulse


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
