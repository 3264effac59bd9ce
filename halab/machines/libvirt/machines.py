"""The machines of one lab at libvirt. Only what carries the lab's label is changed."""

from __future__ import annotations

from halab.clock import RealClock
from halab.machines import addresses
from halab.machines.guests import SshGuests, set_clock
from halab.machines.libvirt import disks, domains, networks, snapshots
from halab.machines.libvirt.domains import Domains
from halab.machines.libvirt.handles import Handle
from halab.machines.libvirt.power import LibvirtPower
from halab.machines.provider import name_taken
from halab.machines.snapshots import Saved
from halab.topology import domain as planned


class LibvirtMachines(Domains):
    """What halab does with the machines of a lab, beside power; see `LabMachines`."""

    def power(self) -> LibvirtPower:
        """Power that sets the clock of a thawed machine over SSH."""
        guests = SshGuests(self.work.ssh_config)
        return LibvirtPower(
            self,
            set_clock=lambda machine: set_clock(guests, machine, RealClock(), self.lab.patience),
        )

    def require_free_names(self) -> None:
        def look(handle: Handle) -> None:
            names = {machine.host_name for machine in self.lab.machines}
            for domain in handle.listAllDomains():
                owner = domains.owner_of(domain)
                if domain.name() in names and not domains.is_of(owner, self.lab.name, self.work):
                    raise name_taken("virtual machine", domain.name(), owner.work if owner else None)
            for network in handle.listAllNetworks():
                owner = planned.network_owner(network.XMLDesc())
                is_ours = domains.is_of(owner, self.lab.name, self.work)
                if network.name() in planned.network_names(self.lab) and not is_ours:
                    raise name_taken("libvirt network", network.name(), owner.work if owner else None)

        self.connection.seen(look)

    def make_networks(self) -> None:
        with self.connection.answering() as handle:
            networks.make(handle, self.lab, self.work)

    def register_with_vagrant(self, machine: str) -> None:
        """Vagrant makes a key for a machine when it answers for the first time: a machine without a key is not
        complete, and nobody can log in to it.
        """
        with self.connection.answering() as handle:
            domain = self.find(handle, machine)
            if domain is None:
                return
            if self.work.has_key_of_vagrant(machine):
                self.work.tell_vagrant(machine, self.lab.provider, domain.UUIDString())
            else:
                domains.discard(handle, domain)
                addresses.forget(self.work, machine)

    def make_disks(self, machine: str) -> None:
        """Remove the disks of a machine that was never defined, because an `up` was killed between the two.

        Vagrant makes the disks, and would refuse to make one of that name. Names of labs are unique on a host, and
        nobody else's disk has such a name.
        """
        wanted = (self.lab.name, self.lab.machine(machine).name)

        def is_meant(disk: str) -> bool:
            named = disks.OF_MACHINE.fullmatch(disk)
            return named is not None and (named["lab"], named["machine"]) == wanted

        self.connection.seen(lambda handle: disks.delete_unused(handle, is_meant))

    def connect(self, machine: str) -> None:
        """Vagrant does it."""

    def save(self, machine: str, snapshot: str) -> None:
        with self.one(machine) as domain:
            snapshots.save(domain, snapshot)

    def restore(self, machine: str, snapshot: str) -> None:
        with self.one(machine) as domain:
            snapshots.restore(domain, snapshot)

    def saved(self) -> list[Saved]:
        return domains.saved(self.connection, self.lab.name, self.work)

    def delete_snapshot(self, snapshot: str) -> None:
        with self.connection.answering() as handle:
            for domain, _ in domains.of_lab(handle, self.lab.name, self.work):
                snapshots.delete(domain, snapshot)
