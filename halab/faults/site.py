"""What a fault or a probe may touch."""

from __future__ import annotations

from dataclasses import dataclass

from halab.clock import Clock
from halab.machines.guests import Guests
from halab.topology.lab import Lab


@dataclass(frozen=True)
class Site:
    lab: Lab
    guests: Guests
    clock: Clock
