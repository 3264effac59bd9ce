"""The docker engine: the one home of the docker library. Only what carries a lab's label is touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import docker
import docker.errors
import docker.types
import requests

from halab.errors import HostProblem, LabProblem
from halab.machines.docker import inventory, plugs, snapshots
from halab.machines.host import identity, remote_env, tunnel
from halab.machines.host.neighbours import NetworkKind, Subnet
from halab.machines.inventory import Resource
from halab.machines.power import PowerState
from halab.machines.provider import MachineInfo, name_taken
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology.container import HOST_LABEL, LABEL, MACHINE_LABEL, WORK_LABEL
from halab.topology.lab import Lab, Machine

_HINT = "start docker, or on a host without an init system: scripts/bare-host run halab …"
# The longest call is the import of a node image: 700 MB took 9 s on 2 cores.
_TIMEOUT_SECONDS = 300
# Of a machine that runs: 1 to 4 s on a busy host.
_REMOVAL_SECONDS = 60


@dataclass(frozen=True)
class EngineFacts:
    """What an engine says of itself; `data` is a path on the engine's own host."""

    version: str
    system: str
    cgroup_version: int
    is_rootless: bool
    data: Path
    address: str


def address() -> str | None:
    """Where the docker command is to ask, where that is not what the environment says."""
    there = remote_env.by_docker()
    return f"unix://{tunnel.to(there, engine=True).engine}" if there else None


class Engine:
    """A connection to the engine that DOCKER_HOST names, or else the local one. HostProblem where none answers."""

    def __init__(
        self, client: docker.DockerClient | None = None, *, timeout_seconds: int = _TIMEOUT_SECONDS
    ) -> None:
        self.remote = None if client else remote_env.by_docker()
        # by the user's own ssh: the library's way there is a second implementation of SSH
        where = None if client else address()
        with _translated():
            if client is None and where:
                client = docker.DockerClient(base_url=where, timeout=timeout_seconds)
            self._client = client or docker.from_env(timeout=timeout_seconds)
            self._client.ping()

    @property
    def version(self) -> str:
        with _translated():
            return str(self._client.version()["Version"])

    @property
    def facts(self) -> EngineFacts:
        with _translated():
            told = self._client.info()
        return EngineFacts(
            version=str(told["ServerVersion"]),
            system=str(told.get("OperatingSystem", "unknown")),
            cgroup_version=int(told.get("CgroupVersion", 1)),
            is_rootless=any("rootless" in option for option in told.get("SecurityOptions") or []),
            data=Path(told["DockerRootDir"]),
            address=str(self._client.api.base_url),
        )

    def networks(self) -> list[IPv4Network]:
        """The IPv4 networks of all docker networks, ours and others'."""
        return [network for each in self.subnets() for network in each.networks]

    def subnets(self) -> list[Subnet]:
        with _translated():
            return [_subnet(network.attrs) for network in self._client.networks.list()]

    def has_image(self, name: str) -> bool:
        with _translated():
            try:
                self._client.images.get(name)
            except docker.errors.ImageNotFound:
                return False
            return True

    def import_image(self, tar: Path, name: str) -> None:
        """Make an image of a root tree."""
        repository, _, tag = name.partition(":")
        with _translated():
            said = self._client.api.import_image(
                src=str(tar),
                repository=repository,
                tag=tag,
                changes=['CMD ["/sbin/init"]', "LABEL halab.box=1"],
            )
        # the engine answers 200 before it has read the tar, and tells of a failure in its last line
        if not self.has_image(name):
            raise HostProblem(f"the docker engine did not import {tar}: {str(said).strip()[-300:]}")

    def image_names(self) -> list[str]:
        """The images that halab made for machines to start from."""
        with _translated():
            found = self._client.images.list(filters={"label": "halab.box"})
            return sorted(tag for image in found if LABEL not in image.labels for tag in image.tags)

    def make_networks(self, lab: Lab, work: Path) -> None:
        """The lab's network, with the host at its first address. Made anew where it has other addresses."""
        with _translated():
            for network in self._networks_of(lab.name, work):
                config = (network.attrs["IPAM"]["Config"] or [{}])[0]
                if config.get("Subnet") == str(lab.network):
                    return
                network.remove()
            pool = docker.types.IPAMPool(subnet=str(lab.network), gateway=str(lab.gateway))
            self._client.networks.create(
                lab.label,
                driver="bridge",
                ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                labels={LABEL: lab.name, WORK_LABEL: str(work), HOST_LABEL: identity.of_this_host()},
                options={"com.docker.network.bridge.name": _bridge(lab)},
            )

    def introduce(self, lab: Lab, machine: Machine, work: Path) -> None:
        with _translated():
            found = self._found(lab, machine, work)
        if found is not None:
            Work(work).tell_vagrant(machine.name, lab.provider, str(found.id))

    def make_disks(self, lab: Lab, machine: Machine, work: Path) -> None:
        """The volumes of a machine that is not there yet."""
        with _translated():
            snapshots.make_volumes(self._client, lab, machine, work)

    def connect(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Give a machine its address on the lab's network: its interface eth1."""
        with _translated():
            container = self._one(lab, machine, work)
            connected = container.attrs["NetworkSettings"]["Networks"]
            if lab.label not in connected:
                self._client.networks.get(lab.label).connect(container, ipv4_address=str(machine.address))

    def machines(self, lab: str | None = None, work: Path | None = None) -> list[MachineInfo]:
        """The machines of a lab, or of all labs; those of one work folder, or of all."""
        with _translated():
            labels = [LABEL if lab is None else f"{LABEL}={lab}", MACHINE_LABEL]
            labels += [] if work is None else [f"{WORK_LABEL}={work}"]
            found = self._client.containers.list(all=True, filters={"label": labels}, ignore_removed=True)
            machines = [_made(each.attrs) for each in found if each.labels[MACHINE_LABEL]]
            return sorted(machines, key=lambda each: each.host_name)

    def state(self, lab: Lab, machine: Machine, work: Path) -> PowerState:
        with _translated():
            found = self._found(lab, machine, work)
            if found is None:
                return PowerState.GONE
            told = found.attrs["State"]
            if not told["Running"]:
                return PowerState.OFF
            return PowerState.FROZEN if told.get("Paused") else PowerState.RUNNING

    def kill(self, lab: Lab, machine: Machine, work: Path) -> None:
        """End every process of a machine at once; the engine returns when they are gone."""
        with _translated():
            container = self._one(lab, machine, work)
            container.kill()
            container.wait()

    def stop(self, lab: Lab, machine: Machine, work: Path, *, timeout_seconds: int) -> None:
        """Tell a machine's init to stop everything; after the time, it is killed."""
        with _translated():
            self._one(lab, machine, work).stop(timeout=timeout_seconds)

    def start(self, lab: Lab, machine: Machine, work: Path) -> None:
        with _translated():
            self._one(lab, machine, work).start()

    def pause(self, lab: Lab, machine: Machine, work: Path) -> None:
        with _translated():
            self._one(lab, machine, work).pause()

    def unpause(self, lab: Lab, machine: Machine, work: Path) -> None:
        with _translated():
            self._one(lab, machine, work).unpause()

    def discard(self, lab: Lab, machine: Machine, work: Path) -> None:
        """Remove one machine with its volumes, whatever state it is in."""
        with _translated():
            self._one(lab, machine, work).remove(force=True, v=True)
            labels = {LABEL: lab.name, WORK_LABEL: str(work), MACHINE_LABEL: machine.name}
            snapshots.remove_volumes(self._client, labels, saved=False)

    def limit_cpus(self, lab: Lab, machine: Machine, work: Path, cpus: float) -> None:
        with _translated():
            api, container = self._client.api, self._one(lab, machine, work)
            # the library's own update knows quota and period only, which the engine refuses beside `--cpus`
            address = f"{api.base_url}/v{api.api_version}/containers/{container.id}/update"
            api.post(address, json={"NanoCpus": round(cpus * 1e9)}).raise_for_status()

    def plug(self, lab: Lab, machine: Machine, work: Path, *, up: bool) -> None:
        """The plug of a machine's cable to the lab's network."""
        with _translated():
            plugs.plug(self._client, self._one(lab, machine, work), lab, machine, work, up=up)

    def remove(self, lab: str, work: Path) -> list[str]:
        """Remove the machines and the network of a lab, whatever state they are in; their names."""
        with _translated():
            removed = []
            for container in self._client.containers.list(
                all=True, filters=_owned(lab, work), ignore_removed=True
            ):
                container.remove(force=True, v=True)
                removed.append(str(container.name))
            for network in self._networks_of(lab, work):
                network.remove()
                removed.append(network.name)
            snapshots.delete(self._client, lab, work)
            snapshots.remove_volumes(self._client, {LABEL: lab, WORK_LABEL: str(work)}, saved=True)
            return removed

    def save(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        with _translated():
            found = self._one(lab, machine, work)
            snapshots.save(self._client, found, lab, machine, work, snapshot)

    def restore(self, lab: Lab, machine: Machine, work: Path, snapshot: str) -> None:
        """The machine is another container afterwards, and Vagrant is told so. It is off."""
        with _translated():
            found = self._one(lab, machine, work)
            made = snapshots.restore(self._client, found, lab, machine, work, snapshot)
            self.connect(lab, machine, work)
        Work(work).tell_vagrant(machine.name, lab.provider, made)

    def saved(self, lab: str, work: Path) -> list[Saved]:
        with _translated():
            return snapshots.saved(self._client, lab, work)

    def delete_snapshot(self, lab: str, work: Path, snapshot: str) -> None:
        with _translated():
            snapshots.delete(self._client, lab, work, snapshot)

    def resources(self) -> list[Resource]:
        """All that carries the label of a lab, whoever's it is."""
        with _translated():
            try:
                sizes = inventory.sizes(self._client.df())
            except docker.errors.APIError:
                # the engine counts for one caller at a time: what there is matters more than how large it is
                sizes = {}
            return inventory.read(self._client, sizes)

    def discard_belonging(self, belonging: Resource) -> None:
        """Remove it if it is there still, whatever state it is in."""
        with _translated(), suppress(docker.errors.NotFound):
            inventory.discard(self._client, belonging)

    def require_free(self, lab: Lab, work: Path) -> None:
        """LabProblem where something that is not of this lab and work folder has one of its names."""
        with _translated():
            names = {machine.host_name for machine in lab.machines}
            for container in self._client.containers.list(all=True, ignore_removed=True):
                if container.name in names and container.labels.get(WORK_LABEL) != str(work):
                    raise name_taken("a container", container.name, container.labels.get(WORK_LABEL))
            for network in self._client.networks.list():
                labels = network.attrs.get("Labels") or {}
                if network.name == lab.label and labels.get(WORK_LABEL) != str(work):
                    raise name_taken("a network of docker", lab.label, labels.get(WORK_LABEL))

    def _one(self, lab: Lab, machine: Machine, work: Path) -> Any:
        found = self._found(lab, machine, work)
        if found is None:
            raise LabProblem(f"there is no such machine any more: {machine.name}", hint="run `halab up`")
        return found

    def _found(self, lab: Lab, machine: Machine, work: Path) -> Any | None:
        filters = _owned(lab.name, work, f"{MACHINE_LABEL}={machine.name}")
        for each in self._client.containers.list(all=True, filters=filters, ignore_removed=True):
            if each.attrs["State"].get("Status") != "removing":
                return each
            # what a killed halab has asked for comes to its end: until then its name is taken
            with suppress(docker.errors.NotFound):
                each.wait(condition="removed", timeout=_REMOVAL_SECONDS)
        return None

    def _networks_of(self, lab: str, work: Path) -> list[Any]:
        return list(self._client.networks.list(filters=_owned(lab, work)))


def _owned(lab: str, work: Path, *others: str) -> dict[str, str | list[str] | bool]:
    return {"label": [f"{LABEL}={lab}", f"{WORK_LABEL}={work}", *others]}


def _subnet(attributes: dict[str, Any]) -> Subnet:
    labels, options = attributes.get("Labels") or {}, attributes.get("Options") or {}
    written = [
        each.get("Subnet", ":") for each in (attributes.get("IPAM") or {}).get("Config") or [] if each
    ]
    return Subnet(
        kind=NetworkKind.DOCKER,
        name=str(attributes.get("Name", "")),
        networks=tuple(IPv4Network(each, strict=False) for each in written if ":" not in each),
        device=options.get("com.docker.network.bridge.name") or f"br-{attributes.get('Id', '')[:12]}",
        lab=labels.get(LABEL, ""),
        work=labels.get(WORK_LABEL, ""),
    )


def _made(attributes: dict[str, Any]) -> MachineInfo:
    labels = attributes["Config"]["Labels"]
    address = attributes["NetworkSettings"]["Networks"].get("bridge", {}).get("IPAddress")
    return MachineInfo(
        lab=labels[LABEL],
        machine=labels[MACHINE_LABEL],
        host_name=attributes["Name"].lstrip("/"),
        running=attributes["State"]["Running"],
        paused=attributes["State"].get("Paused", False),
        address=IPv4Address(address) if address else None,
        work=labels.get(WORK_LABEL, ""),
        host=labels.get(HOST_LABEL, ""),
    )


def _bridge(lab: Lab) -> str:
    """The name of the host's interface on the lab's network; Linux allows 15 characters."""
    return f"hl{int(lab.network.network_address):08x}"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except docker.errors.APIError as error:
        raise HostProblem(f"the docker engine refused: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise HostProblem(f"no docker engine answers: {error}", hint=_HINT) from error
