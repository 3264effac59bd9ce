"""libvirt: the one home of its library. Only what carries a lab's label is touched.

The library is an extra (`halab[libvirt]`): it is imported when virtual machines are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from halab.errors import HostProblem, LabProblem
from halab.machines import elsewhere, tunnel
from halab.machines.libvirt_facts import LibvirtFacts, read, subnets_in
from halab.machines.maker import Made
from halab.machines.power import State
from halab.topology import domain
from halab.topology.domain import Owner
from halab.topology.lab import Lab, Machine

SYSTEM = "qemu:///system"
_HINT = "start libvirt (`sudo systemctl start libvirtd`), and see `halab doctor`"


def address() -> str:
    """Where libvirt is asked: LIBVIRT_DEFAULT_URI, as its own tools do, or else this host's."""
    return os.environ.get("LIBVIRT_DEFAULT_URI") or SYSTEM


class Hypervisor:
    """A connection to libvirt. HostProblem where none answers."""

    def __init__(self, connection: Any = None, *, uri: str | None = None) -> None:
        self._libvirt = _library()
        self._uri = uri or address()
        self.remote = None if connection else elsewhere.by_libvirt(self._uri)
        if self.remote:
            # it says plainly what is wrong with the way there, and asks nobody for a password
            tunnel.to(self.remote)
        with self._translated():
            self._connection = connection or self._libvirt.open(self._uri)

    def facts(self) -> LibvirtFacts:
        with self._translated():
            return read(self._connection)

    def networks(self) -> list[IPv4Network]:
        with self._translated():
            found = []
            for network in self._connection.listAllNetworks():
                found += subnets_in(ElementTree.fromstring(network.XMLDesc()))
            return found

    def require_free(self, lab: Lab, work: Path) -> None:
        with self._translated():
            names = {machine.host_name for machine in lab.machines}
            for each in self._connection.listAllDomains():
                if each.name() in names and not _is_of(self._owner(each), lab.name, work):
                    self._refuse("a virtual machine", each.name(), self._owner(each))
            for each in self._connection.listAllNetworks():
                whose = _owner_of_network(each)
                if each.name() in domain.network_names(lab) and not _is_of(whose, lab.name, work):
                    self._refuse("a network of libvirt", each.name(), whose)

    def make_networks(self, lab: Lab, work: Path) -> None:
        with self._translated():
            known = {each.name(): each for each in self._connection.listAllNetworks()}
            for name, xml in domain.networks(lab, work=str(work)).items():
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
            self._remove_debris(lab)

    def connect(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Vagrant has done so."""

    def machines(self, lab: str | None = None, work: Path | None = None) -> list[Made]:
        with self._translated():
            known = self._addresses()
            made = []
            for each, owner in self._domains():
                if lab in (None, owner.lab) and (work is None or owner.work == str(work)):
                    state, tree = self._state(each), ElementTree.fromstring(each.XMLDesc())
                    macs = [mac.get("address", "") for mac in tree.findall("./devices/interface/mac")]
                    running = state in (State.RUNNING, State.FROZEN)
                    found = next((known[mac] for mac in macs if mac in known), None) if running else None
                    frozen = state is State.FROZEN
                    made.append(Made(owner.lab, owner.machine, each.name(), running, found, frozen))
            return sorted(made, key=lambda each: each.host_name)

    def state(self, lab: Lab, machine: Machine, work: Path) -> State:
        with self._translated():
            found = self._found(lab, machine, work)
            return State.GONE if found is None else self._state(found)

    def cut(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Take the process of the virtual machine away; what its guest did not flush is lost."""
        self._act(lab, machine, work, lambda found: found.destroy())

    def shut_down(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Press the power button: the guest may take its time, or not listen at all."""
        self._act(lab, machine, work, lambda found: found.shutdown())

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
        """So much time of the host's processors for all of the machine's together; None is no limit.

        libvirt does it with control groups: HostProblem where it has none.
        """

        def limit(found: Any) -> None:
            share = -1 if cpus is None else max(1000, round(cpus / machine.cpus * 100_000))
            flags = self._libvirt.VIR_DOMAIN_AFFECT_LIVE
            found.setSchedulerParametersFlags({"vcpu_period": 100_000, "vcpu_quota": share}, flags)

        self._act(lab, machine, work, limit)

    def discard(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Remove one machine with its disks, whatever state it is in."""
        self._act(lab, machine, work, self._discard)

    def remove(self, lab: str, work: Path) -> list[str]:
        with self._translated():
            removed = []
            for each, owner in self._domains():
                if _is_of(owner, lab, work):
                    removed.append(each.name())
                    self._discard(each)
            for each in self._connection.listAllNetworks():
                if _is_of(_owner_of_network(each), lab, work):
                    removed.append(each.name())
                    self._discard_network(each)
            return removed

    def _act(self, lab: Lab, machine: Machine, work: Path, act: Callable[[Any], None]) -> None:
        with self._translated():
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

    def _state(self, found: Any) -> State:
        state, _ = found.state()
        if state in (self._libvirt.VIR_DOMAIN_PAUSED, self._libvirt.VIR_DOMAIN_PMSUSPENDED):
            return State.FROZEN
        if state in (self._libvirt.VIR_DOMAIN_SHUTOFF, self._libvirt.VIR_DOMAIN_CRASHED):
            return State.OFF
        return State.RUNNING

    def _discard(self, found: Any) -> None:
        tree = ElementTree.fromstring(found.XMLDesc())
        disks = [disk.get("file") for disk in tree.findall("./devices/disk[@device='disk']/source")]
        if found.isActive():
            found.destroy()
        flags = (
            self._libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | self._libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        )
        if tree.find("./os/nvram") is not None:
            flags |= self._libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        found.undefineFlags(flags)
        for path in filter(None, disks):
            self._delete_volume(path)

    def _delete_volume(self, path: str) -> None:
        for pool in self._connection.listAllStoragePools(
            self._libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
        ):
            # a pool knows of what was made behind its back only after a look
            pool.refresh()
        try:
            volume = self._connection.storageVolLookupByPath(path)
        except self._libvirt.libvirtError as error:
            if error.get_error_code() == self._libvirt.VIR_ERR_NO_STORAGE_VOL:
                return
            raise
        volume.delete()

    def _remove_debris(self, lab: Lab) -> None:
        """A disk of a machine that was never defined: an `up` was ended between the two.

        Vagrant would refuse to make a disk of that name. Names of labs are unique on a host, and nobody else's disk
        is called like this.
        """
        used = set()
        for each in self._connection.listAllDomains():
            tree = ElementTree.fromstring(each.XMLDesc())
            used |= {source.get("file") for source in tree.findall("./devices/disk/source")}
        wanted = {f"{machine.host_name}.img" for machine in lab.machines}
        for pool in self._connection.listAllStoragePools(
            self._libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
        ):
            for volume in pool.listAllVolumes():
                if volume.name() in wanted and volume.path() not in used:
                    volume.delete()

    def _discard_network(self, network: Any) -> None:
        if network.isActive():
            network.destroy()
        network.undefine()

    def _addresses(self) -> dict[str, IPv4Address]:
        """Where machines are reached over SSH: what the networks of labs give to each hardware address."""
        found = {}
        for network in self._connection.listAllNetworks():
            if _owner_of_network(network):
                tree = ElementTree.fromstring(network.XMLDesc())
                for host in tree.findall("./ip/dhcp/host"):
                    found[host.get("mac", "")] = IPv4Address(host.get("ip", ""))
        return found

    def _refuse(self, what: str, name: str, whose: Owner | None) -> None:
        owner = whose.work if whose else "not made by halab"
        raise LabProblem(
            f"{what} of another owner has a name that this lab needs: {name} ({owner})",
            hint="remove it, or give this lab another name in its lab file",
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._libvirt.libvirtError as error:
            said = error.get_error_message() or str(error)
            lost = (
                self._libvirt.VIR_ERR_SYSTEM_ERROR,
                self._libvirt.VIR_ERR_NO_CONNECT,
                self._libvirt.VIR_ERR_RPC,
                self._libvirt.VIR_ERR_AUTH_FAILED,
                self._libvirt.VIR_ERR_INTERNAL_ERROR,
            )
            if error.get_error_code() in lost:
                raise HostProblem(f"libvirt at {self._uri} does not answer: {said}", hint=_HINT) from error
            raise HostProblem(f"libvirt refused: {said}") from error


def _library() -> Any:
    try:
        import libvirt
    except ImportError as error:
        raise HostProblem(
            f"libvirt-python is not there: {error}",
            hint="sudo apt-get install libvirt-dev pkg-config gcc python3-dev && pip install 'halab[libvirt]'",
        ) from error
    # it prints every error to stderr, those that are expected too
    with suppress(AttributeError):
        libvirt.registerErrorHandler(_silent, None)
    return libvirt


def _silent(context: object, error: object) -> None:
    pass


def _is_of(owner: Owner | None, lab: str, work: Path) -> bool:
    return owner is not None and (owner.lab, owner.work) == (lab, str(work))


def _owner_of_network(network: Any) -> Owner | None:
    label = ElementTree.fromstring(network.XMLDesc()).find(f"./metadata/{{{domain.NAMESPACE}}}lab")
    return None if label is None else Owner(label.get("name", ""), label.get("work", ""))
