"""A docker engine: its own facts, its images, and the machines of all labs on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import docker.errors
from docker import DockerClient

from halab.errors import HostProblem
from halab.machines.docker import client as clients
from halab.machines.docker import containers, inventory, labels, snapshots
from halab.machines.docker.client import translated
from halab.machines.docker.machines import DockerMachines
from halab.machines.host import remote_env
from halab.machines.host.neighbours import NetworkKind, Subnet
from halab.machines.inventory import Resource
from halab.machines.provider import MachineInfo
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology.container import LABEL, WORK_LABEL
from halab.topology.lab import Lab

# The longest call is the import of a node image: 700 MB took 9 s on 2 cores.
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says of itself; `data` is a path on the engine's own host."""

    version: str
    system: str
    cgroup_version: int
    is_rootless: bool
    data: Path
    address: str


class Engine:
    """A connection to the engine that DOCKER_HOST names, or else the local one. Raises HostProblem if none answers."""

    def __init__(
        self, client: DockerClient | None = None, *, timeout_seconds: int = _TIMEOUT_SECONDS
    ) -> None:
        self.remote = None if client else remote_env.by_docker()
        self._client = client or clients.connect(timeout_seconds=timeout_seconds)
        with translated():
            self._client.ping()

    @property
    def version(self) -> str:
        with translated():
            return str(self._client.version()["Version"])

    @property
    def facts(self) -> EngineFacts:
        with translated():
            info = self._client.info()
        return EngineFacts(
            version=str(info["ServerVersion"]),
            system=str(info.get("OperatingSystem", "unknown")),
            cgroup_version=int(info.get("CgroupVersion", 1)),
            is_rootless=any("rootless" in option for option in info.get("SecurityOptions") or []),
            data=Path(info["DockerRootDir"]),
            address=str(self._client.api.base_url),
        )

    def of(self, lab: Lab, work: Work) -> DockerMachines:
        return DockerMachines(self._client, lab, work, self.remote)

    def networks(self) -> list[IPv4Network]:
        """The IPv4 networks of all docker networks, ours and others'."""
        return [network for subnet in self.subnets() for network in subnet.networks]

    def subnets(self) -> list[Subnet]:
        with translated():
            return [_subnet(network.attrs) for network in self._client.networks.list()]

    def has_image(self, name: str) -> bool:
        with translated():
            try:
                self._client.images.get(name)
            except docker.errors.ImageNotFound:
                return False
            return True

    def import_image(self, tar: Path, name: str) -> None:
        """Make an image from the tar of a root file system."""
        repository, _, tag = name.partition(":")
        with translated():
            said = self._client.api.import_image(
                src=str(tar),
                repository=repository,
                tag=tag,
                changes=['CMD ["/sbin/init"]', "LABEL halab.box=1"],
            )
        # the engine answers 200 before it has read the tar, and reports a failure in its last line
        if not self.has_image(name):
            raise HostProblem(f"the docker engine did not import {tar}: {str(said).strip()[-300:]}")

    def image_names(self) -> list[str]:
        """The images that halab made for machines to start from."""
        with translated():
            images = self._client.images.list(filters={"label": "halab.box"})
            return sorted(tag for image in images if LABEL not in image.labels for tag in image.tags)

    def machines(self, lab: str | None = None, work: Work | None = None) -> list[MachineInfo]:
        with translated():
            return containers.infos(self._client, lab, work)

    def remove(self, lab: str, work: Work) -> list[str]:
        of_lab = labels.of_lab(lab, work)
        with translated():
            removed = []
            for container in self._client.containers.list(
                all=True, filters=labels.filters(of_lab), ignore_removed=True
            ):
                container.remove(force=True, v=True)
                removed.append(str(container.name))
            for network in self._client.networks.list(filters=labels.filters(of_lab)):
                network.remove()
                removed.append(str(network.name))
            snapshots.delete(self._client, lab, work)
            snapshots.remove_volumes(self._client, of_lab, saved=True)
            return removed

    def saved(self, lab: str, work: Work) -> list[Saved]:
        with translated():
            return snapshots.saved(self._client, lab, work)

    def resources(self) -> list[Resource]:
        with translated():
            try:
                sizes = inventory.sizes(self._client.df())
            except docker.errors.APIError:
                # the engine counts for one caller at a time: the list is of use without sizes
                sizes = {}
            return inventory.read(self._client, sizes)

    def discard(self, resource: Resource) -> None:
        with translated(), suppress(docker.errors.NotFound):
            inventory.discard(self._client, resource)


def _subnet(attributes: Mapping[str, Any]) -> Subnet:
    carried, options = attributes.get("Labels") or {}, attributes.get("Options") or {}
    configs = (attributes.get("IPAM") or {}).get("Config") or []
    subnets = [config.get("Subnet", ":") for config in configs if config]
    return Subnet(
        kind=NetworkKind.DOCKER,
        name=str(attributes.get("Name", "")),
        networks=tuple(IPv4Network(subnet, strict=False) for subnet in subnets if ":" not in subnet),
        device=options.get("com.docker.network.bridge.name") or f"br-{attributes.get('Id', '')[:12]}",
        lab=carried.get(LABEL, ""),
        work=carried.get(WORK_LABEL, ""),
    )
