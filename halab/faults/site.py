"""What a fault may touch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from halab.clock import Clock, Deadline
from halab.machines.guests import Guests
from halab.machines.power import Power
from halab.topology.lab import Lab


class JoinObstacle(StrEnum):
    """What may be in the way of a machine that joins: the join then comes to nothing, and ScriptFailed is raised."""

    STALE_MEMBER = "etcd still lists the member that was lost"
    EXPIRED_KEY = (
        "the certificates that were uploaded for it are gone, as kubeadm removes them after two hours"
    )


class Remake(Protocol):
    def __call__(self, machine: str, *, hindrance: JoinObstacle | None = None, in_turn: bool = True) -> None:
        """Make a machine anew that is gone, and join it to the cluster; one that has joined is left alone.

        Two that are asked for at the same time are made one after the other, unless it is not `in_turn`.
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
