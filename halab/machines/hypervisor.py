"""libvirt: the one home of its library. Only what carries a lab's label is touched.

The library is an extra (`halab[libvirt]`): it is imported when virtual machines are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from halab.errors import HostProblem, LabProblem
from halab.machines import (
    elsewhere,
    identity,
    libvirt_belongings,
    libvirt_disks,
    libvirt_limits,
    libvirt_snapshots,
    tunnel,
)
from halab.machines.belonging import Belonging, Kind
from halab.machines.libvirt_facts import LibvirtFacts, read, subnets_in
from halab.machines.maker import Made
from halab.machines.power import State
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology import domain
from halab.topology.domain import Owner
from halab.topology.lab import Lab, Machine

_HINT = "start libvirt (`sudo systemctl start libvirtd`), and see `halab doctor`"


class Hypervisor:
    """A connection to libvirt. HostProblem where none answers."""

    def __init__(self, connection: Any = None, *, uri: str | None = None) -> None:
        self._libvirt = _library()
        self._uri = uri or elsewhere.libvirt_address()
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
                whose = domain.network_owner(each.XMLDesc())
                if each.name() in domain.network_names(lab) and not _is_of(whose, lab.name, work):
                    self._refuse("a network of libvirt", each.name(), whose)

    def make_networks(self, lab: Lab, work: Path) -> None:
        with self._translated():
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
        """Vagrant defines a machine, and connects it, before it starts it: one that is off and unknown is not whole."""
        with self._translated():
            found = self._found(lab, machine, work)
            if found is None:
                return
            of_lab, identity = Work(work), found.UUIDString()
            known = of_lab.known_to_vagrant(machine.name, lab.provider) == identity
            if self._state(found) is State.OFF and not known:
                self._discard(found)
            else:
                of_lab.tell_vagrant(machine.name, lab.provider, identity)

    def make_disks(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Vagrant makes them. A disk of a machine that was never defined, because an `up` was ended between the two,
        is removed: Vagrant would refuse to make one of that name. Names of labs are unique on a host, and nobody
        else's disk is called like this.
        """
        with self._translated():
            libvirt_disks.remove_unused(self._connection, f"{machine.host_name}.img")

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
        """So much time of the host's processors for all of the machine's together; None is no limit."""
        self._act(lab, machine, work, lambda found: libvirt_limits.of_cpus(found, machine, cpus))

    def limit_writes(self, lab: Lab, machine: Machine, work: Path, per_second: int | None) -> None:
        """So many writes a second to every disk of the machine; None is no limit."""
        self._act(lab, machine, work, lambda found: libvirt_limits.of_writes(found, machine, per_second))

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
                if _is_of(domain.network_owner(each.XMLDesc()), lab, work):
                    removed.append(each.name())
                    self._discard_network(each)
            return removed

    def save(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        self._act(lab, machine, work, lambda found: libvirt_snapshots.save(found, snapshot))

    def restore(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        def put_back(found: Any) -> None:
            flags = self._libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED
            found.revertToSnapshot(found.snapshotLookupByName(snapshot), flags)

        self._act(lab, machine, work, put_back)

    def saved(self, lab: str, work: Path) -> list[Saved]:
        with self._translated():
            return [
                saved
                for each, owner in self._domains()
                if _is_of(owner, lab, work)
                for saved in libvirt_snapshots.saved(each, owner.machine)
            ]

    def delete_snapshot(self, lab: str, work: Path, snapshot: str) -> None:
        with self._translated():
            for each, owner in self._domains():
                if _is_of(owner, lab, work):
                    libvirt_snapshots.delete(each, snapshot)

    def belongings(self) -> list[Belonging]:
        """All that carries the label of a lab, whoever's it is, and disks of machines that were never defined."""
        with self._translated():
            return libvirt_belongings.read(self._libvirt, self._connection, self._owner)

    def discard_belonging(self, belonging: Belonging) -> None:
        """Remove it if it is there still and still is what it was, whatever state it is in."""
        discard = {Kind.MACHINE: self._discard, Kind.NETWORK: self._discard_network}.get(belonging.kind)
        with self._translated():
            libvirt_belongings.discard(self._libvirt, self._connection, belonging, self._owner, discard)

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
        disks = libvirt_belongings.own_disks(found, tree)
        if found.isActive():
            found.destroy()
        flags = (
            self._libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            | self._libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        )
        if tree.find("./os/nvram") is not None:
            flags |= self._libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        found.undefineFlags(flags)
        libvirt_disks.delete(self._connection, disks)

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
