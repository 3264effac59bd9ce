"""A libvirt: its own facts, the disks of boxes, and the machines of all labs on it."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from halab.machines.inventory import Resource
from halab.machines.libvirt import base_disk, disks, domains, inventory, networks
from halab.machines.libvirt.connection import LibvirtConnection
from halab.machines.libvirt.facts import LibvirtFacts, has_kvm, read, subnets_in
from halab.machines.libvirt.handles import Handle
from halab.machines.libvirt.machines import LibvirtMachines
from halab.machines.provider import MachineInfo
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology.domain import network_owner
from halab.topology.lab import Lab


class Hypervisor:
    """A connection to the libvirt at `uri`, by default at LIBVIRT_DEFAULT_URI. Raises HostProblem if none answers."""

    def __init__(self, handle: Handle | None = None, *, uri: str | None = None) -> None:
        self._connection = LibvirtConnection(handle, uri=uri)
        self.remote = self._connection.remote

    def facts(self) -> LibvirtFacts:
        return self._connection.seen(read)

    def has_kvm(self) -> bool:
        with self._connection.answering() as handle:
            return has_kvm(handle)

    def of(self, lab: Lab, work: Work) -> LibvirtMachines:
        return LibvirtMachines(self._connection, lab, work)

    def networks(self) -> list[IPv4Network]:
        """The IPv4 networks of all libvirt networks, ours and others'."""

        def look(handle: Handle) -> list[IPv4Network]:
            return [
                subnet for network in handle.listAllNetworks() for subnet in subnets_in(network.XMLDesc())
            ]

        return self._connection.seen(look)

    def has_base(self, box: str, disk: Path) -> bool:
        """Whether libvirt has a complete copy of the disk of a box."""
        with self._connection.answering() as handle:
            return base_disk.is_complete(handle, box, disk)

    def copy_base(self, box: str, disk: Path) -> None:
        """Copy the disk of a box to libvirt, where the disks of its machines are."""
        with self._connection.answering() as handle:
            base_disk.copy(handle, box, disk)

    def machines(self, lab: str | None = None, work: Work | None = None) -> list[MachineInfo]:
        return domains.infos(self._connection, lab, work)

    def remove(self, lab: str, work: Work) -> list[str]:
        removed: list[str] = []

        def discard(handle: Handle) -> None:
            for domain, _ in domains.of_lab(handle, lab, work):
                removed.append(domain.name())
                domains.discard(handle, domain)
            for network in handle.listAllNetworks():
                if domains.is_of(network_owner(network.XMLDesc()), lab, work):
                    removed.append(network.name())
                    networks.discard(network)
            if f"halab-{lab}" not in {network.name() for network in handle.listAllNetworks()}:
                # disks whose machines Vagrant had not defined yet; beside a network they are another lab's
                removed.extend(disks.delete_unused(handle, lambda name: _is_disk_of(name, lab)))

        self._connection.seen(discard)
        # a look that was repeated may have listed a name twice
        return list(dict.fromkeys(removed))

    def saved(self, lab: str, work: Work) -> list[Saved]:
        return domains.saved(self._connection, lab, work)

    def resources(self) -> list[Resource]:
        """Everything that carries the label of a lab, also others', and disks of machines that were never defined."""
        with self._connection.answering() as handle:
            return inventory.read(handle)

    def discard(self, resource: Resource) -> None:
        with self._connection.answering() as handle:
            inventory.discard(handle, resource)


def _is_disk_of(name: str, lab: str) -> bool:
    named = disks.OF_MACHINE.fullmatch(name)
    return named is not None and named["lab"] == lab
