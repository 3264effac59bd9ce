"""The machines of one lab at a docker engine. Only what carries the lab's labels is changed."""

from __future__ import annotations

import docker.types

from halab.machines.docker import labels, plugs, snapshots
from halab.machines.docker.client import translated
from halab.machines.docker.containers import Containers
from halab.machines.docker.power import DockerPower
from halab.machines.provider import name_taken
from halab.machines.snapshots import Saved
from halab.topology.container import WORK_LABEL
from halab.topology.lab import Lab


class DockerMachines(Containers):
    """What halab does with the machines of a lab, beside power; see `LabMachines`."""

    def power(self) -> DockerPower:
        return DockerPower(self)

    def require_free_names(self) -> None:
        with translated():
            names = {machine.host_name for machine in self.lab.machines}
            for container in self.client.containers.list(all=True, ignore_removed=True):
                owner = container.labels.get(WORK_LABEL)
                if container.name in names and owner != str(self.work):
                    raise name_taken("container", container.name, owner)
            for network in self.client.networks.list():
                owner = (network.attrs.get("Labels") or {}).get(WORK_LABEL)
                if network.name == self.lab.label and owner != str(self.work):
                    raise name_taken("docker network", self.lab.label, owner)

    def make_networks(self) -> None:
        """Make the lab's network, with the host at its first address; replace one that has other addresses."""
        of_lab = labels.of_lab(self.lab.name, self.work)
        with translated():
            for network in self.client.networks.list(filters=labels.filters(of_lab)):
                config = (network.attrs["IPAM"]["Config"] or [{}])[0]
                if config.get("Subnet") == str(self.lab.network):
                    return
                network.remove()
            pool = docker.types.IPAMPool(subnet=str(self.lab.network), gateway=str(self.lab.gateway))
            self.client.networks.create(
                self.lab.label,
                driver="bridge",
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                labels=labels.from_this_host(of_lab),
                options={"com.docker.network.bridge.name": _bridge(self.lab)},
            )

    def register_with_vagrant(self, machine: str) -> None:
        with translated():
            container = self.find(machine)
        if container is not None:
            self.work.tell_vagrant(machine, self.lab.provider, str(container.id))

    def make_disks(self, machine: str) -> None:
        """Make the volumes of a machine that does not exist yet."""
        with translated():
            snapshots.make_volumes(self.client, self.lab.machine(machine), self.labels(machine))

    def connect(self, machine: str) -> None:
        plugs.connect(self, machine)

    def save(self, machine: str, snapshot: str) -> None:
        with self.one(machine) as container:
            snapshots.save(self.client, container, self.lab.machine(machine), self.labels(machine), snapshot)

    def restore(self, machine: str, snapshot: str) -> None:
        """Create the machine's container again, and tell Vagrant its id. The machine is off afterwards."""
        with self.one(machine) as container:
            identity = snapshots.restore(
                self.client, container, self.lab.machine(machine), self.labels(machine), snapshot
            )
            plugs.connect(self, machine)
        self.work.tell_vagrant(machine, self.lab.provider, identity)

    def saved(self) -> list[Saved]:
        with translated():
            return snapshots.saved(self.client, self.lab.name, self.work)

    def delete_snapshot(self, snapshot: str) -> None:
        with translated():
            snapshots.delete(self.client, self.lab.name, self.work, snapshot)


def _bridge(lab: Lab) -> str:
    """The name of the host's interface on the lab's network; Linux allows 15 characters."""
    return f"hl{int(lab.network.network_address):08x}"
