"""What makes the machines of labs on this host: a docker engine, or libvirt."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Protocol

from halab.config.remote import Remote
from halab.errors import LabProblem
from halab.machines.power import PowerState
from halab.machines.snapshots import Saved
from halab.topology.lab import Lab, Machine


@dataclass(frozen=True)
class MachineInfo:
    """A machine as its provider sees it; `running` is false after a stop or a power cut, and true while it is paused.

    `address` is where this host reaches it over SSH, while it is known. `work` is the work folder that it was made
    from, and `host` the host that made it; empty where its label is older than that.
    """

    lab: str
    machine: str
    host_name: str
    running: bool
    address: IPv4Address | None
    paused: bool = False
    work: str = ""
    host: str = ""


def name_taken(what: str, name: str, work: str | None) -> LabProblem:
    """Something of another work folder, or of none, has a name that a lab needs."""
    return LabProblem(
        f"{what} of another owner has a name that this lab needs: {name} ({work or 'not made by halab'})",
        hint="remove it, or give this lab another name in its lab file",
    )


class Provider(Protocol):
    """Only what carries a lab's label is touched: its name, and the work folder that it belongs to."""

    @property
    def remote(self) -> Remote | None:
        """The other host that the machines are made on, None where that is this one."""

    def networks(self) -> list[IPv4Network]:
        """The IPv4 networks that this provider has, ours and others'."""

    def require_free(self, lab: Lab, work: Path) -> None:
        """LabProblem where something that is not of this lab and work folder has one of its names."""

    def make_networks(self, lab: Lab, work: Path) -> None:
        """What the machines of a lab are to be connected to; what is there already stays."""

    def introduce(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Tell Vagrant of a machine that is there: what made it may have been ended before it said so.

        One that was not made to its end is removed.
        """

    def make_disks(self, lab: Lab, machine: Machine, work: Path) -> None:
        """What a machine that is not there yet is to have; what one of that name has left is removed."""

    def connect(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Give a machine its place on the lab's network, where Vagrant has not done so."""

    def machines(self, lab: str | None = None, work: Path | None = None) -> list[MachineInfo]:
        """The machines of a lab, or of all labs; those of one work folder, or of all."""

    def state(self, lab: Lab, machine: Machine, work: Path) -> PowerState: ...

    def remove(self, lab: str, work: Path) -> list[str]:
        """Remove all that a lab has, whatever state it is in: machines, disks, networks; their names."""

    def save(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        """Keep a machine as it is now, under a name. All machines of the lab are frozen meanwhile, or off."""

    def restore(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        """Put a machine back, and leave it frozen, or off where a snapshot has no memory of what it did."""

    def saved(self, lab: str, work: Path) -> list[Saved]:
        """What there is of the snapshots of a lab."""

    def delete_snapshot(self, lab: str, work: Path, snapshot: str) -> None:
        """Remove what there is of a snapshot, whole or not."""
