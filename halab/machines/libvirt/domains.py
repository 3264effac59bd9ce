"""The libvirt domains that are machines of labs: found by their labels, and never by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

from halab.config.remote import Remote
from halab.errors import HostProblem, LabProblem
from halab.machines.libvirt import disks, networks, snapshots
from halab.machines.libvirt.connection import LibvirtConnection
from halab.machines.libvirt.handles import Domain, Handle
from halab.machines.power import PowerState
from halab.machines.provider import MachineInfo
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology.domain import Owner
from halab.topology.domain import owner as owner_in
from halab.topology.lab import Lab


class Domains:
    """The virtual machines of one lab that were made from one work folder."""

    def __init__(self, connection: LibvirtConnection, lab: Lab, work: Work) -> None:
        self.connection = connection
        self.lab = lab
        self.work = work

    @property
    def remote(self) -> Remote | None:
        return self.connection.remote

    def infos(self) -> list[MachineInfo]:
        return infos(self.connection, self.lab.name, self.work)

    def state(self, machine: str) -> PowerState:
        with self.connection.answering() as handle:
            domain = self.find(handle, machine)
            return PowerState.GONE if domain is None else state(domain, self.connection.uri)

    @contextmanager
    def one(self, machine: str) -> Iterator[Domain]:
        """The domain of a machine. Raises LabProblem if there is none.

        What libvirt reports in the block becomes a HostProblem.
        """
        with self.connection.answering() as handle:
            domain = self.find(handle, machine)
            if domain is None:
                raise LabProblem(f"the machine no longer exists: {machine}", hint="run `halab up`")
            yield domain

    def find(self, handle: Handle, machine: str) -> Domain | None:
        wanted = Owner(self.lab.name, str(self.work), self.lab.machine(machine).name)
        return next((domain for domain, owner in labelled(handle) if owner == wanted), None)


def infos(connection: LibvirtConnection, lab: str | None, work: Work | None) -> list[MachineInfo]:
    """Return the machines of one lab (None: of all labs), made from one work folder (None: from any)."""

    def look(handle: Handle) -> list[MachineInfo]:
        addresses = networks.ssh_addresses(handle)
        machines = []
        for domain, owner in labelled(handle):
            if lab in (None, owner.lab) and (work is None or owner.work == str(work)):
                now, tree = state(domain, connection.uri), ElementTree.fromstring(domain.XMLDesc())
                macs = [mac.get("address", "") for mac in tree.findall("./devices/interface/mac")]
                running = now in (PowerState.RUNNING, PowerState.FROZEN)
                machines.append(
                    MachineInfo(
                        lab=owner.lab,
                        machine=owner.machine,
                        host_name=domain.name(),
                        running=running,
                        paused=now is PowerState.FROZEN,
                        address=next((addresses[mac] for mac in macs if running and mac in addresses), None),
                        work=owner.work,
                        host=owner.host,
                    )
                )
        return sorted(machines, key=lambda machine: machine.host_name)

    return connection.seen(look)


def saved(connection: LibvirtConnection, lab: str, work: Work) -> list[Saved]:
    """The machines in the snapshots of a lab."""
    with connection.answering() as handle:
        return [
            snapshot
            for domain, owner in of_lab(handle, lab, work)
            for snapshot in snapshots.saved(domain, owner.machine)
        ]


def labelled(handle: Handle) -> Iterator[tuple[Domain, Owner]]:
    """The machines of all labs."""
    for domain in handle.listAllDomains():
        owner = owner_of(domain)
        if owner is not None:
            yield domain, owner


def of_lab(handle: Handle, lab: str, work: Work) -> Iterator[tuple[Domain, Owner]]:
    for domain, owner in labelled(handle):
        if is_of(owner, lab, work):
            yield domain, owner


def owner_of(domain: Domain) -> Owner | None:
    import libvirt

    try:
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, None)
    except libvirt.libvirtError as error:
        # it has no description, or it no longer exists
        absent = (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_DOMAIN)
        if error.get_error_code() in absent:
            return None
        raise
    return owner_in(text)


def is_of(owner: Owner | None, lab: str, work: Work) -> bool:
    return owner is not None and (owner.lab, owner.work) == (lab, str(work))


def state(domain: Domain, uri: str) -> PowerState:
    """Raise HostProblem if qemu has paused it after an error of its disk; `uri` is for the hint."""
    import libvirt

    now, reason = domain.state()
    if (now, reason) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR):
        raise HostProblem(
            f"{domain.name()} was paused because it could not write to its disk",
            hint="the storage pool may be full: free space there, then: "
            f"virsh -c '{uri}' resume {domain.name()}",
        )
    if now in (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PMSUSPENDED):
        return PowerState.FROZEN
    if now in (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED):
        return PowerState.OFF
    return PowerState.RUNNING


def turn_off(domain: Domain, act: Callable[[], object]) -> None:
    """Let `act` turn it off. It may have gone off by itself just before, and libvirt refuses then: that is no error."""
    import libvirt

    try:
        act()
    except libvirt.libvirtError:
        if domain.isActive():
            raise


def discard(handle: Handle, domain: Domain) -> None:
    """Remove a machine with its disks, whatever state it is in."""
    import libvirt

    tree = ElementTree.fromstring(domain.XMLDesc())
    paths = disks.own(domain, tree)
    turn_off(domain, domain.destroy)
    flags = libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    if tree.find("./os/nvram") is not None:
        flags |= libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    domain.undefineFlags(flags)
    # if halab is killed before this, a disk without a machine is left for the next `up`, `down` or `gc`
    disks.delete(handle, paths)
