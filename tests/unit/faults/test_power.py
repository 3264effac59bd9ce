"""Faults of whole machines: real when they return, and healed from any stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from support.fake_power import FakePower
from support.fakes import Call, FakeClock, FakeGuests, lab_of

from halab.config.lab import ProviderKind
from halab.config.targets import FaultTarget
from halab.errors import TimedOut, Unreachable
from halab.faults import injection
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.power import incarnation
from halab.faults.site import Site
from halab.machines.power import PowerState


def no_recreate(machine: str, **options: object) -> None:
    raise AssertionError(f"{machine} is not created again by a fault of power")


class Started(FakeGuests):
    """Machines whose init is another one after every start, and that do not answer while they do not run."""

    def __init__(self, power: FakePower) -> None:
        told = r"date \+%s\.%N$"
        super().__init__({told: "1000.5\n", "": lambda call: self._answer(call.machine)})
        self._power = power

    def _answer(self, machine: str) -> str:
        if self._power.state(machine) is not PowerState.RUNNING:
            raise Unreachable(f"{machine} does not answer")
        starts = sum(each in (f"start {machine}", f"reset {machine}") for each in self._power.done)
        return f"one-kernel\n{1000 + starts}\n"


@dataclass
class Stage:
    power: FakePower
    site: Site

    def inject(self, fault: str, machine: str = "cp2") -> str:
        return FAULTS[fault].inject(self.site, injection.plan(self.site, fault, machine, {}))

    def heal(self, fault: str, machine: str = "cp2") -> None:
        FAULTS[fault].heal(self.site, Entry("a1", fault, machine))

    def has_set_the_clock(self) -> bool:
        assert isinstance(self.site.guests, FakeGuests)
        return any("date -s" in call.command for call in self.site.guests.calls)


def stage(make: Callable[[FakePower], FakeGuests] = Started, **written: Any) -> Stage:
    power = FakePower(lab_of(**written))
    return Stage(power, Site(power.lab, make(power), FakeClock(), power, no_recreate))


def test_a_cut_machine_is_off_and_healed_when_it_answers() -> None:
    found = stage()
    assert found.inject("cut-power") == "cp2 is off"
    found.heal("cut-power")
    assert found.power.done == ["cut cp2", "start cp2"]


@pytest.mark.parametrize(
    "fault", sorted(each.name for each in FAULTS.values() if "power" in str(each.inject.__module__))
)
def test_a_fault_that_never_acted_has_nothing_to_heal(fault: str) -> None:
    found = stage()
    found.heal(fault)
    assert found.power.done == []


def test_a_machine_that_never_answers_again_is_not_healed() -> None:
    found = stage(lambda power: FakeGuests({"": Unreachable("cp2 does not answer over SSH: timeout")}))
    with pytest.raises(TimedOut, match="waited 120 s for cp2 to start; last seen: cp2 does not answer"):
        found.heal("cut-power")


@pytest.mark.parametrize(
    ("fault", "seen", "done"),
    [("reset", "cp2 was reset", ["reset cp2"]), ("reboot", "cp2 was off", ["shut down cp2", "start cp2"])],
)
def test_a_machine_that_starts_again_is_another_incarnation(fault: str, seen: str, done: list[str]) -> None:
    found = stage()
    assert found.inject(fault) == f"{seen} and has started again"
    assert found.power.done == done
    assert not FAULTS[fault].facts.is_lasting


def test_a_reset_that_was_interrupted_leaves_no_machine_off() -> None:
    found = stage()
    found.power.cut("cp2")
    found.heal("reset")
    assert found.power.state("cp2") is PowerState.RUNNING


def test_a_reboot_that_was_interrupted_while_it_shut_down_is_healed_once_it_is_off() -> None:
    """It answers, is shutting down, and then off: two tries go by before it is started."""
    asked: list[str] = []

    def make(power: FakePower) -> FakeGuests:
        def how_it_runs(call: Call) -> str:
            asked.append(call.machine)
            if len(asked) == 2:
                power.cut(call.machine)
            return "stopping\n" if len(asked) <= 2 else "running\n"

        guests = Started(power)
        guests.answers = {"is-system-running": how_it_runs, **guests.answers}
        return guests

    found = stage(make)
    found.heal("reboot")
    assert found.power.done == ["cut cp2", "start cp2"]
    assert len(asked) == 3


def test_an_init_that_is_the_old_one_is_waited_for() -> None:
    found = stage(lambda power: FakeGuests({"": "one-kernel\n1000\n"}))
    with pytest.raises(TimedOut, match="it has not restarted yet"):
        found.inject("reset")


def test_an_incarnation_has_the_boot_and_the_start_of_init() -> None:
    assert incarnation(FakeGuests({"": "8b2f\n42\n"}), "cp1") == "8b2f/42"


def test_a_frozen_machine_is_thawed() -> None:
    found = stage()
    assert found.inject("freeze") == "cp2 is frozen"
    found.heal("freeze")
    found.heal("freeze")
    assert found.power.done == ["freeze cp2", "thaw cp2"]
    # a container refuses: it has its host's
    assert not found.has_set_the_clock()


def test_the_clock_is_set_even_if_the_heal_was_killed_after_the_thaw() -> None:
    found = stage(provider=ProviderKind.LIBVIRT)
    found.inject("freeze")
    found.heal("freeze")
    # thawed by power itself, which sets it
    assert not found.has_set_the_clock()
    found.heal("freeze")
    assert found.has_set_the_clock()


def test_a_frozen_machine_whose_power_was_cut_is_not_waited_for() -> None:
    found = stage()
    found.inject("freeze")
    found.power.cut("cp2")
    found.heal("freeze")


def test_every_machine_can_lose_its_power() -> None:
    assert all(FAULTS[name].target is FaultTarget.ANY for name in ("cut-power", "reset", "reboot", "freeze"))
