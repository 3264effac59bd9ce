"""A site for faults: machines with scripted answers, and power that does what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fakes import FakeClock, FakeGuests, lab_of

from halab.faults import injection
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.power import State


@dataclass
class FakePower:
    """Machines that run unless `states` says otherwise; what was asked for, in words."""

    states: dict[str, State] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def state(self, machine: str) -> State:
        return self.states.get(machine, State.RUNNING)

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        self.asked.append(f"{machine} has {cpus} cores")


def site_of(guests: FakeGuests, power: FakePower | None = None, **written: Any) -> Site:
    """A site of a lab file with these values."""
    unused: Any = None
    stood_in: Any = power or FakePower()
    return Site(lab_of(**written), guests, FakeClock(), stood_in, unused)


def inject(site: Site, fault: str, machine: str = "cp2", **options: str) -> tuple[Entry, str]:
    """A fault that was planned and injected without a journal, and what was seen of it."""
    entry = injection.plan(site, fault, machine, options)
    return entry, FAULTS[fault].inject(site, entry)


def heal(site: Site, entry: Entry) -> None:
    FAULTS[entry.fault].heal(site, entry)
