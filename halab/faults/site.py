"""What a fault may act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from halab.clock import Clock, Deadline
from halab.cluster.join import JoinOptions
from halab.config.lab_size import LabSize
from halab.errors import Unable
from halab.machines.guests import Guests
from halab.machines.power import Power
from halab.topology.lab import Lab


class Recreate(Protocol):
    def __call__(self, machine: str, *, join: JoinOptions | None = None, in_turn: bool = True) -> None:
        """Create a machine that is gone, and join it to the cluster. A machine that has joined is left alone.

        With `in_turn`, calls from several threads run one after another. Raises ScriptFailed if the join fails.
        """


class Rescale(Protocol):
    def __call__(self, size: LabSize) -> str:
        """Give the lab another size, or continue to do so. Return what was done.

        `Site.lab` stays as it was. Raises a HalabError if the lab cannot have this size now.
        """


class Upgrade(Protocol):
    def __call__(self, version: str | None) -> str:
        """Upgrade Kubernetes; without a version, complete an interrupted upgrade. Return what was done.

        If the lab has the version already, nothing is done.
        `Site.lab` stays as it was. Raises a HalabError if the lab cannot go to this version now.
        """


def _only_version(version: str | None) -> str:
    raise Unable(f"this lab cannot get another version of Kubernetes: {version}")


def _fixed(size: LabSize) -> str:
    raise Unable(f"this lab cannot get another size: {size}")


@dataclass(frozen=True)
class Site:
    """A lab and the ways to act on it."""

    lab: Lab
    guests: Guests
    clock: Clock
    power: Power
    recreate: Recreate
    rescale: Rescale = _fixed
    upgrade: Upgrade = _only_version

    def deadline(self, seconds: float) -> Deadline:
        """The deadline for a fault's effect, stretched by the lab's patience."""
        return Deadline.after(self.clock, seconds * self.lab.patience)
