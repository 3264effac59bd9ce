"""What runs the machines of labs: a docker engine, or libvirt; and the machines of one lab there."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from halab.config.remote import Remote
from halab.errors import LabProblem
from halab.machines.power import Power, PowerState
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology.lab import Lab


@dataclass(frozen=True)
class MachineInfo:
    """A machine as its provider sees it; `running` is false after a stop or a power cut, and true while it is paused.

    `address` is where this host reaches it over SSH, if that is known. `work` is the path of the work folder that it
    was made from, and `host` the host whose halab made it; empty if its label is older than that.
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
    """The error for a name of the lab's that belongs to another work folder, or to nothing of halab's."""
    return LabProblem(
        f"name already used by another owner's {what}: {name} ({work or 'not made by halab'})",
        hint="remove it, or give this lab another name in its lab file",
    )


class Reachable(Protocol):
    """The machines of one lab and work folder, as far as it takes to reach them."""

    @property
    def lab(self) -> Lab: ...

    @property
    def work(self) -> Work: ...

    @property
    def remote(self) -> Remote | None:
        """The other host that the machines are on; None for this one."""

    def infos(self) -> list[MachineInfo]:
        """The machines that exist."""


class LabMachines(Reachable, Protocol):
    """The machines of one lab and work folder at their provider. Machines are named as in the lab: `cp1`.

    Only what carries the label of this lab and this work folder is changed.
    """

    def power(self) -> Power: ...

    def state(self, machine: str) -> PowerState: ...

    def require_free_names(self) -> None:
        """Raise LabProblem if something of another owner has the name of a machine or a network of this lab."""

    def make_networks(self) -> None:
        """Make the networks of the lab; those that exist stay."""

    def register_with_vagrant(self, machine: str) -> None:
        """Tell Vagrant of a machine that exists: the halab that made it may have been killed before it could.

        A machine that was not made completely is removed.
        """

    def make_disks(self, machine: str) -> None:
        """Make the disks of a machine that does not exist yet; what is left of disks of that name is removed."""

    def connect(self, machine: str) -> None:
        """Connect a machine to the lab's network, where Vagrant does not do so."""

    def save(self, machine: str, snapshot: str) -> None:
        """Save a machine as it is now, under a name. All machines of the lab are frozen or off meanwhile."""

    def restore(self, machine: str, snapshot: str) -> None:
        """Put a machine back. It is frozen afterwards, or off where the snapshot has no memory."""

    def saved(self) -> list[Saved]:
        """The machines in the snapshots of the lab."""

    def delete_snapshot(self, snapshot: str) -> None:
        """Remove a snapshot, also one that is not complete."""


class Provider(Protocol):
    """What runs the machines of labs. Only what carries a lab's label is changed."""

    @property
    def remote(self) -> Remote | None:
        """The other host that the machines are made on; None for this one."""

    def of(self, lab: Lab, work: Work) -> LabMachines:
        """The machines of a lab, made or to be made from a work folder."""

    def networks(self) -> list[IPv4Network]:
        """The IPv4 networks that the provider has, ours and others'."""

    def machines(self, lab: str | None = None, work: Work | None = None) -> list[MachineInfo]:
        """Return the machines of one lab (None: of all labs), made from one work folder (None: from any)."""

    def remove(self, lab: str, work: Work) -> list[str]:
        """Remove everything of a lab, whatever state it is in: machines, disks, networks. Return their names."""

    def saved(self, lab: str, work: Work) -> list[Saved]:
        """The machines in the snapshots of a lab."""
