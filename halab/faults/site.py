"""What a fault may touch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halab.clock import Clock, Deadline
from halab.machines.guests import Guests
from halab.machines.power import Power
from halab.topology.lab import Lab


@dataclass(frozen=True)
class Site:
    """A lab, and the ways to act on it. `remake` makes a machine anew that is gone, and joins it to the cluster."""

    lab: Lab
    guests: Guests
    clock: Clock
    power: Power
    remake: Callable[[str], None]

    def deadline(self, seconds: float) -> Deadline:
        """A limit for a fault's effect, stretched by the lab's patience."""
        return Deadline.after(self.clock, seconds * self.lab.patience)
