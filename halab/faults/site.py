"""What a fault may touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from halab.clock import Clock, Deadline
from halab.machines.guests import Guests
from halab.machines.power import Power
from halab.topology.lab import Lab


class Remake(Protocol):
    def __call__(self, machine: str, *, forget: bool = True) -> None:
        """Make a machine anew that is gone, and join it to the cluster; one that has joined is left alone.

        Without `forget`, the cluster still knows the one that was lost when the new one tries to join: ScriptFailed.
        """


@dataclass(frozen=True)
class Site:
    """A lab, and the ways to act on it."""

    lab: Lab
    guests: Guests
    clock: Clock
    power: Power
    remake: Remake

    def deadline(self, seconds: float) -> Deadline:
        """A limit for a fault's effect, stretched by the lab's patience."""
        return Deadline.after(self.clock, seconds * self.lab.patience)
