"""What every power promises, whatever it acts on: over stand-ins, and over machines that really run.

Each promise takes a power and the name of a machine, and leaves the machine running and plugged in, with no limit. They
are told apart by a function of their own, so that a test of each is parametrized by them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from halab.errors import LabProblem, Unable
from halab.machines.power import Power, PowerState

Promise = Callable[[Power, str], None]


def cut_is_off_until_started(power: Power, machine: str) -> None:
    power.cut(machine)
    assert power.state(machine) is PowerState.OFF
    power.start(machine)
    assert power.state(machine) is PowerState.RUNNING


def what_is_as_it_should_be_is_left_alone(power: Power, machine: str) -> None:
    for act, state in (
        (power.start, PowerState.RUNNING),
        (power.thaw, PowerState.RUNNING),
        (power.freeze, PowerState.FROZEN),
        (power.freeze, PowerState.FROZEN),
        (power.start, PowerState.FROZEN),
        (power.cut, PowerState.OFF),
        (power.cut, PowerState.OFF),
        (power.shut_down, PowerState.OFF),
        (power.thaw, PowerState.OFF),
        (power.start, PowerState.RUNNING),
    ):
        act(machine)
        assert power.state(machine) is state


def shut_down_is_off_until_started(power: Power, machine: str) -> None:
    power.shut_down(machine)
    assert power.state(machine) is PowerState.OFF
    power.start(machine)
    assert power.state(machine) is PowerState.RUNNING


def reset_runs_again(power: Power, machine: str) -> None:
    power.reset(machine)
    assert power.state(machine) is PowerState.RUNNING


def frozen_goes_on_when_thawed(power: Power, machine: str) -> None:
    power.freeze(machine)
    assert power.state(machine) is PowerState.FROZEN
    power.thaw(machine)
    assert power.state(machine) is PowerState.RUNNING


def off_is_neither_frozen_nor_reset_nor_unplugged(power: Power, machine: str) -> None:
    power.cut(machine)
    refused = f"{machine} must be running for this, but is off"
    for act in (power.freeze, power.reset, lambda name: power.link(name, up=False)):
        with pytest.raises(LabProblem, match=refused):
            act(machine)
    assert power.state(machine) is PowerState.OFF
    power.start(machine)


def what_is_off_takes_a_plug_and_loses_limits(power: Power, machine: str) -> None:
    power.cut(machine)
    power.link(machine, up=True)
    power.limit_cpus(machine, None)
    power.limit_writes(machine, None)
    assert power.state(machine) is PowerState.OFF
    power.start(machine)


def plug_is_pulled_and_put_back(power: Power, machine: str) -> None:
    for up in (False, False, True, True):
        power.link(machine, up=up)
    assert power.state(machine) is PowerState.RUNNING


def writes_are_limited_or_that_is_refused(power: Power, machine: str) -> None:
    try:
        power.limit_writes(machine, 20)
    except Unable as error:
        assert "disk" in error.message
    finally:
        power.limit_writes(machine, None)
    assert power.state(machine) is PowerState.RUNNING


PROMISES: tuple[Promise, ...] = (
    cut_is_off_until_started,
    what_is_as_it_should_be_is_left_alone,
    shut_down_is_off_until_started,
    reset_runs_again,
    frozen_goes_on_when_thawed,
    off_is_neither_frozen_nor_reset_nor_unplugged,
    what_is_off_takes_a_plug_and_loses_limits,
    plug_is_pulled_and_put_back,
    writes_are_limited_or_that_is_refused,
)
