"""A fake for the machines of a lab, as far as snapshots use them."""

from __future__ import annotations

from datetime import UTC, datetime

from halab.errors import HostProblem
from halab.machines.power import PowerState
from halab.machines.snapshots import Saved
from halab.topology.lab import Lab
from support.fake_power import FakePower
from support.fakes import lab_of

LAB = lab_of(name="ha")
NAMES = [machine.name for machine in LAB.machines]


class FakeMachines:
    """The machines of a lab. Records the saved ones, and the power states of all machines during a save."""

    def __init__(self, power: FakePower, lab: Lab = LAB) -> None:
        self.lab = lab
        self.fake_power = power
        self.snapshots_saved: list[Saved] = []
        self.states: list[PowerState] = []
        self.restored: list[str] = []
        self.fails_at = ""

    def power(self) -> FakePower:
        return self.fake_power

    def state(self, machine: str) -> PowerState:
        return self.fake_power.state(machine)

    def save(self, machine: str, name: str) -> None:
        self.states += [self.fake_power.state(name) for name in NAMES]
        if machine == self.fails_at:
            raise HostProblem("no space left")
        self.snapshots_saved.append(Saved(name, machine, datetime(2026, 11, 26, tzinfo=UTC)))

    def restore(self, machine: str, name: str) -> None:
        if machine == self.fails_at:
            raise HostProblem("no such image")
        # as with containers: a restored machine is off
        self.fake_power.cut(machine)
        self.restored.append(machine)

    def saved(self) -> list[Saved]:
        return list(self.snapshots_saved)

    def delete_snapshot(self, name: str) -> None:
        self.snapshots_saved = [saved for saved in self.snapshots_saved if saved.snapshot != name]
