"""The containers that are machines of labs: found by their labels, and never by their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from typing import Any

import docker.errors
from docker import DockerClient
from docker.models.containers import Container

from halab.config.remote import Remote
from halab.errors import LabProblem
from halab.machines.docker import labels
from halab.machines.docker.client import translated
from halab.machines.power import PowerState
from halab.machines.provider import MachineInfo
from halab.machines.work import Work
from halab.topology.container import HOST_LABEL, LABEL, MACHINE_LABEL, WORK_LABEL
from halab.topology.lab import Lab

# A running machine is removed in 1 to 4 s on a busy host.
_REMOVAL_SECONDS = 60


class Containers:
    """The containers of one lab that were made from one work folder."""

    def __init__(self, client: DockerClient, lab: Lab, work: Work, remote: Remote | None = None) -> None:
        self.client = client
        self.lab = lab
        self.work = work
        self.remote = remote

    def infos(self) -> list[MachineInfo]:
        with translated():
            return infos(self.client, self.lab.name, self.work)

    def state(self, machine: str) -> PowerState:
        with translated():
            container = self.find(machine)
            if container is None:
                return PowerState.GONE
            state = container.attrs["State"]
            if not state["Running"]:
                return PowerState.OFF
            return PowerState.FROZEN if state.get("Paused") else PowerState.RUNNING

    @contextmanager
    def one(self, machine: str) -> Iterator[Container]:
        """The container of a machine. Raises LabProblem if there is none.

        What the docker library raises in the block becomes a HostProblem.
        """
        with translated():
            container = self.find(machine)
            if container is None:
                raise LabProblem(f"the machine no longer exists: {machine}", hint="run `halab up`")
            yield container

    def find(self, machine: str) -> Container | None:
        filters = labels.filters(self.labels(machine))
        for container in self.client.containers.list(all=True, filters=filters, ignore_removed=True):
            if container.attrs["State"].get("Status") != "removing":
                return container
            # a killed halab asked for its removal: its name is taken until that ends
            with suppress(docker.errors.NotFound):
                container.wait(condition="removed", timeout=_REMOVAL_SECONDS)
        return None

    def labels(self, machine: str) -> dict[str, str]:
        """The labels of what belongs to a machine. Raises KeyError if the lab has no machine of that name."""
        return labels.of_machine(self.lab.name, self.work, self.lab.machine(machine).name)


def infos(client: DockerClient, lab: str | None, work: Work | None) -> list[MachineInfo]:
    """Return the machines of one lab (None: of all labs), made from one work folder (None: from any)."""
    wanted = [LABEL if lab is None else f"{LABEL}={lab}", MACHINE_LABEL]
    wanted += [] if work is None else [f"{WORK_LABEL}={work}"]
    containers = client.containers.list(all=True, filters={"label": wanted}, ignore_removed=True)
    machines = [_info(container.attrs) for container in containers if container.labels[MACHINE_LABEL]]
    return sorted(machines, key=lambda machine: machine.host_name)


def _info(attributes: Mapping[str, Any]) -> MachineInfo:
    carried = attributes["Config"]["Labels"]
    address = attributes["NetworkSettings"]["Networks"].get("bridge", {}).get("IPAddress")
    return MachineInfo(
        lab=carried[LABEL],
        machine=carried[MACHINE_LABEL],
        host_name=attributes["Name"].lstrip("/"),
        running=attributes["State"]["Running"],
        paused=attributes["State"].get("Paused", False),
        address=IPv4Address(address) if address else None,
        work=carried.get(WORK_LABEL, ""),
        host=carried.get(HOST_LABEL, ""),
    )
