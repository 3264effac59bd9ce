"""What libvirt is asked to do with the machines of labs. Only what carries a lab's label is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from halab.errors import HostProblem, LabProblem
from halab.machines import addresses
from halab.machines.host import identity
from halab.machines.inventory import Resource, ResourceKind
from halab.machines.libvirt import base_disk, inventory, limits, snapshots
from halab.machines.libvirt import disks as libvirt_disks
from halab.machines.libvirt.connection import LibvirtConnection
from halab.machines.libvirt.facts import LibvirtFacts, read, subnets_in
from halab.machines.power import PowerState
from halab.machines.provider import MachineInfo, name_taken
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology import domain
from halab.topology.domain import Owner
from halab.topology.lab import Lab, Machine


class Hypervisor:
    """A connection to libvirt. HostProblem where none answers."""

    def __init__(self, connection: Any = None, *, uri: str | None = None) -> None:
        self._to = LibvirtConnection(connection, uri=uri)
        self._libvirt = self._to.library
        self.remote = self._to.remote

    @property
    def _connection(self) -> Any:
        return self._to.handle

    def facts(self) -> LibvirtFacts:
        return self._to.seen(lambda: read(self._connection))

    def networks(self) -> list[IPv4Network]:
        return self._to.seen(
            lambda: [
                subnet
                for network in self._connection.listAllNetworks()
                for subnet in subnets_in(ElementTree.fromstring(network.XMLDesc()))
            ]
        )

    def require_free(self, lab: Lab, work: Path) -> None:
        def look() -> None:
            names = {machine.host_name for machine in lab.machines}
            for each in self._connection.listAllDomains():
                whose = self._owner(each)
                if each.name() in names and not _is_of(whose, lab.name, work):
                    raise name_taken("a virtual machine", each.name(), whose.work if whose else None)
            for each in self._connection.listAllNetworks():
                whose = domain.network_owner(each.XMLDesc())
                if each.name() in domain.network_names(lab) and not _is_of(whose, lab.name, work):
                    raise name_taken("a network of libvirt", each.name(), whose.work if whose else None)

        self._to.seen(look)

    def make_networks(self, lab: Lab, work: Path) -> None:
        with self._to.answering():
            known = {each.name(): each for each in self._connection.listAllNetworks()}
            made = datetime.now(UTC).isoformat(timespec="seconds")
            wanted = domain.networks(lab, work=str(work), identity=identity.of_this_host(), made=made)
            for name, xml in wanted.items():
                network = known.get(name)
                if network is not None and subnets_in(
                    ElementTree.fromstring(network.XMLDesc())
                ) != subnets_in(ElementTree.fromstring(xml)):
                    self._discard_network(network)
                    network = None
                # persistent: it outlives a restart of libvirt, and with it the lab
                network = network or self._connection.networkDefineXML(xml)
                if not network.isActive():
                    network.create()

    def introduce(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Vagrant makes a key of its own for a machine when that answers for the first time: one without it is not
        whole, and nobody gets in.
        """
        with self._to.answering():
            found, of_lab = self._found(lab, machine, work), Work(work)
            if found is None:
                return
            if of_lab.has_key_of_vagrant(machine.name):
                of_lab.tell_vagrant(machine.name, lab.provider, found.UUIDString())
            else:
                self._discard(found)
                addresses.forget(of_lab, machine.name)

    def has_base(self, box: str, disk: Path) -> bool:
        """Whether the disk of a box is there, whole, for machines to start from."""
        with self._to.answering():
            return base_disk.is_there(self._libvirt, self._connection, box, disk)

    def copy_base(self, box: str, disk: Path) -> None:
        """Copy the disk of a box to where its machines are."""
        with self._to.answering():
            base_disk.copy(self._libvirt, self._connection, box, disk)

    def make_disks(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Vagrant makes them. A disk of a machine that was never defined, because an `up` was ended between the two,
        is removed: Vagrant would refuse to make one of that name. Names of labs are unique on a host, and nobody
        else's disk is called like this.
        """
        name = f"{machine.host_name}.img"
        self._to.seen(lambda: libvirt_disks.delete_unused(self._connection, lambda each: each == name))

    def connect(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Vagrant has done so."""

    def machines(self, lab: str | None = None, work: Path | None = None) -> list[MachineInfo]:
        def look() -> list[MachineInfo]:
            known = self._addresses()
            made = []
            for each, owner in self._domains():
                if lab in (None, owner.lab) and (work is None or owner.work == str(work)):
                    state, tree = self._state(each), ElementTree.fromstring(each.XMLDesc())
                    macs = [mac.get("address", "") for mac in tree.findall("./devices/interface/mac")]
                    running = state in (PowerState.RUNNING, PowerState.FROZEN)
                    found = next((known[mac] for mac in macs if mac in known), None) if running else None
                    frozen = state is PowerState.FROZEN
                    whose = (owner.work, owner.host)
                    made.append(
                        MachineInfo(owner.lab, owner.machine, each.name(), running, found, frozen, *whose)
                    )
            return sorted(made, key=lambda each: each.host_name)

        return self._to.seen(look)

    def state(self, lab: Lab, machine: Machine, work: Path) -> PowerState:
        with self._to.answering():
            found = self._found(lab, machine, work)
            return PowerState.GONE if found is None else self._state(found)

    def cut(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Take the process of the virtual machine away; what its guest did not flush is lost."""
        self._act(lab, machine, work, lambda found: self._turn_off(found, found.destroy))

    def shut_down(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Press the power button: the guest may take its time, or not listen at all."""
        self._act(lab, machine, work, lambda found: self._turn_off(found, found.shutdown))

    def start(self, lab: Lab, machine: Machine, work: Path) -> None:
        self._act(lab, machine, work, lambda found: found.create())

    def freeze(self, lab: Lab, machine: Machine, work: Path) -> None:
        self._act(lab, machine, work, lambda found: found.suspend())

    def thaw(self, lab: Lab, machine: Machine, work: Path) -> None:
        self._act(lab, machine, work, lambda found: found.resume())

    def plug(self, lab: Lab, machine: Machine, work: Path, *, up: bool) -> None:
        """The carrier of the machine's interface on the lab's network; a start brings it back."""

        def switch(found: Any) -> None:
            tree = ElementTree.fromstring(found.XMLDesc())
            for each in tree.findall("./devices/interface"):
                mac = each.find("mac")
                if mac is not None and mac.get("address") == machine.mac:
                    for link in each.findall("link"):
                        each.remove(link)
                    ElementTree.SubElement(each, "link", state="up" if up else "down")
                    text = ElementTree.tostring(each, encoding="unicode")
                    found.updateDeviceFlags(text, self._libvirt.VIR_DOMAIN_AFFECT_LIVE)
                    return
            raise LabProblem(f"no interface of {machine.name} has the address {machine.mac}")

        self._act(lab, machine, work, switch)

    def limit_cpus(self, lab: Lab, machine: Machine, work: Path, cpus: float | None) -> None:
        """So much time of the host's processors for all of the machine's together; None is no limit."""
        self._act(lab, machine, work, lambda found: limits.of_cpus(self._libvirt, found, machine, cpus))

    def limit_writes(self, lab: Lab, machine: Machine, work: Path, per_second: int | None) -> None:
        """So many writes a second to every disk of the machine; None is no limit."""
        self._act(lab, machine, work, lambda found: limits.of_writes(found, machine, per_second))

    def discard(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Remove one machine with its disks, whatever state it is in."""
        self._act(lab, machine, work, self._discard)

    def remove(self, lab: str, work: Path) -> list[str]:
        removed: list[str] = []

        def discard() -> None:
            for each, owner in self._domains():
                if _is_of(owner, lab, work):
                    removed.append(each.name())
                    self._discard(each)
            for each in self._connection.listAllNetworks():
                if _is_of(domain.network_owner(each.XMLDesc()), lab, work):
                    removed.append(each.name())
                    self._discard_network(each)
            if f"halab-{lab}" not in {each.name() for each in self._connection.listAllNetworks()}:
                # of a machine whose disk Vagrant had made, and not yet the machine; beside a network it is another's
                removed.extend(
                    libvirt_disks.delete_unused(self._connection, lambda each: _is_disk_of(each, lab))
                )

        self._to.seen(discard)
        # what was looked at again is there twice
        return list(dict.fromkeys(removed))

    def save(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        self._act(lab, machine, work, lambda found: snapshots.save(found, snapshot))

    def restore(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        def put_back(found: Any) -> None:
            flags = self._libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED
            found.revertToSnapshot(found.snapshotLookupByName(snapshot), flags)

        self._act(lab, machine, work, put_back)

    def saved(self, lab: str, work: Path) -> list[Saved]:
        with self._to.answering():
            return [
                saved
                for each, owner in self._domains()
                if _is_of(owner, lab, work)
                for saved in snapshots.saved(each, owner.machine)
            ]

    def delete_snapshot(self, lab: str, work: Path, snapshot: str) -> None:
        with self._to.answering():
            for each, owner in self._domains():
                if _is_of(owner, lab, work):
                    snapshots.delete(each, snapshot)

    def resources(self) -> list[Resource]:
        """All that carries the label of a lab, whoever's it is, and disks of machines that were never defined."""
        with self._to.answering():
            return inventory.read(self._libvirt, self._connection, self._owner)

    def discard_belonging(self, belonging: Resource) -> None:
        """Remove it if it is there still and still is what it was, whatever state it is in."""
        discard = {ResourceKind.MACHINE: self._discard, ResourceKind.NETWORK: self._discard_network}.get(
            belonging.kind
        )
        with self._to.answering():
            inventory.discard(self._libvirt, self._connection, belonging, self._owner, discard)

    def _act(self, lab: Lab, machine: Machine, work: Path, act: Callable[[Any], None]) -> None:
        with self._to.answering():
            found = self._found(lab, machine, work)
            if found is None:
                raise LabProblem(f"there is no such machine any more: {machine.name}", hint="run `halab up`")
            act(found)

    def _found(self, lab: Lab, machine: Machine, work: Path) -> Any | None:
        wanted = Owner(lab.name, str(work), machine.name)
        return next((each for each, owner in self._domains() if owner == wanted), None)

    def _domains(self) -> Iterator[tuple[Any, Owner]]:
        for each in self._connection.listAllDomains():
            owner = self._owner(each)
            if owner is not None:
                yield each, owner

    def _owner(self, found: Any) -> Owner | None:
        try:
            text = found.metadata(self._libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, None)
        except self._libvirt.libvirtError as error:
            # one without a description, or one that has gone meanwhile
            absent = (self._libvirt.VIR_ERR_NO_DOMAIN_METADATA, self._libvirt.VIR_ERR_NO_DOMAIN)
            if error.get_error_code() in absent:
                return None
            raise
        return domain.owner(text)

    def _state(self, found: Any) -> PowerState:
        state, reason = found.state()
        if (state, reason) == (
            self._libvirt.VIR_DOMAIN_PAUSED,
            self._libvirt.VIR_DOMAIN_PAUSED_IOERROR,
        ):
            raise HostProblem(
                f"{found.name()} stands still since it could not write to its disk",
                hint="is the storage pool full? make room there, then: "
                f"virsh -c '{self._to.uri}' resume {found.name()}",
            )
        if state in (self._libvirt.VIR_DOMAIN_PAUSED, self._libvirt.VIR_DOMAIN_PMSUSPENDED):
            return PowerState.FROZEN
        if state in (self._libvirt.VIR_DOMAIN_SHUTOFF, self._libvirt.VIR_DOMAIN_CRASHED):
            return PowerState.OFF
        return PowerState.RUNNING

    def _turn_off(self, found: Any, act: Callable[[], object]) -> None:
        """A guest that was asked to may be off before libvirt is told to turn it off: that is what was wanted."""
        try:
            act()
        except self._libvirt.libvirtError:
            if found.isActive():
                raise

    def _discard(self, found: Any) -> None:
        tree = ElementTree.fromstring(found.XMLDesc())
        disks = inventory.own_disks(found, tree)
        self._turn_off(found, found.destroy)
        flags = (
            self._libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | self._libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        )
        if tree.find("./os/nvram") is not None:
            flags |= self._libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        found.undefineFlags(flags)
        # what is ended before this leaves a disk that no machine has, for the next `up`, `down` or `gc`
        libvirt_disks.delete(self._libvirt, self._connection, disks)

    def _discard_network(self, network: Any) -> None:
        if network.isActive():
            network.destroy()
        network.undefine()

    def _addresses(self) -> dict[str, IPv4Address]:
        """Where machines are reached over SSH: what the networks of labs give to each hardware address."""
        found = {}
        for network in self._connection.listAllNetworks():
            if domain.network_owner(network.XMLDesc()):
                tree = ElementTree.fromstring(network.XMLDesc())
                for host in tree.findall("./ip/dhcp/host"):
                    found[host.get("mac", "")] = IPv4Address(host.get("ip", ""))
        return found


def _is_of(owner: Owner | None, lab: str, work: Path) -> bool:
    return owner is not None and (owner.lab, owner.work) == (lab, str(work))


def _is_disk_of(name: str, lab: str) -> bool:
    named = libvirt_disks.OF_MACHINE.fullmatch(name)
    return named is not None and named["lab"] == lab
