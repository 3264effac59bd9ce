"""The resources of labs at a libvirt: machines, their snapshots and disks, and networks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from xml.etree import ElementTree

from halab.errors import HostProblem
from halab.machines.inventory import Holder, Resource, ResourceKind, moment
from halab.machines.libvirt import base_disk, disks, domains, networks
from halab.machines.libvirt.handles import Domain, Handle, Network, SnapshotHandle, Volume
from halab.machines.libvirt.retry import Gone, noticing, until_unchanged
from halab.topology.domain import Owner, network_made, network_owner


def read(handle: Handle) -> list[Resource]:
    """Machines, their snapshots and disks, networks, disks that no machine has, and copies of boxes without a use."""
    return until_unchanged(lambda: _read(handle))


def discard(handle: Handle, resource: Resource) -> None:
    """Remove a resource if it still exists and still belongs to the same owner."""
    owner = Owner(resource.lab, resource.work, resource.machine)
    with suppress(Gone), noticing():
        match resource.kind:
            case ResourceKind.MACHINE:
                for domain in _domains(handle, owner):
                    if domain.UUIDString() == resource.key:
                        domains.discard(handle, domain)
            case ResourceKind.SNAPSHOT:
                for domain in _domains(handle, owner):
                    for snapshot in domain.listAllSnapshots():
                        if _snapshot_key(domain, snapshot) == resource.key:
                            snapshot.delete()
            case ResourceKind.NETWORK:
                for network in handle.listAllNetworks():
                    if network.UUIDString() == resource.key and network_owner(network.XMLDesc()) == owner:
                        networks.discard(network)
            case ResourceKind.VOLUME | ResourceKind.BASE_DISK:
                for volume in disks.volumes(handle):
                    if volume.path() == resource.key:
                        _require_unused(handle, resource.key)
                        volume.delete()


def _read(handle: Handle) -> list[Resource]:
    volumes = {volume.path(): volume for volume in disks.volumes(handle)}
    resources: list[Resource] = []
    used: set[str] = set()
    for domain in handle.listAllDomains():
        tree = ElementTree.fromstring(domain.XMLDesc())
        used |= disks.used(tree)
        owner = domains.owner_of(domain)
        if owner is not None:
            resources.append(_machine(domain, owner))
            resources += [_snapshot(domain, snapshot, owner) for snapshot in domain.listAllSnapshots()]
            resources += [_disk(volumes[path], owner) for path in disks.own(domain, tree) if path in volumes]
    for network in handle.listAllNetworks():
        owner = network_owner(network.XMLDesc())
        if owner is not None:
            resources.append(_network(network, owner))
    used |= disks.bases(volumes.values())
    for path, volume in volumes.items():
        if base_disk.OF_BOX.fullmatch(volume.name()) and path not in used:
            resources.append(_disk(volume, Owner("", ""), ResourceKind.BASE_DISK))
        named = disks.OF_MACHINE.fullmatch(volume.name())
        if named and path not in used:
            resources.append(_disk(volume, Owner(named["lab"], "", named["machine"])))
    return resources


def _domains(handle: Handle, owner: Owner) -> Iterator[Domain]:
    return (domain for domain, other in domains.labelled(handle) if other == owner)


def _require_unused(handle: Handle, path: str) -> None:
    for domain in handle.listAllDomains():
        if path in disks.used(ElementTree.fromstring(domain.XMLDesc())):
            raise HostProblem(f"a virtual machine uses this disk: {domain.name()}")
    if path in disks.bases(disks.volumes(handle)):
        raise HostProblem("another disk needs this one")


def _machine(domain: Domain, owner: Owner) -> Resource:
    """libvirt does not know when a domain was defined; the size of a machine is the size of its disks."""
    return _resource(ResourceKind.MACHINE, domain.name(), domain.UUIDString(), owner)


def _snapshot_key(domain: Domain, snapshot: SnapshotHandle) -> str:
    return f"{domain.UUIDString()}/{snapshot.getName()}"


def _snapshot(domain: Domain, snapshot: SnapshotHandle, owner: Owner) -> Resource:
    name, key = snapshot.getName(), _snapshot_key(domain, snapshot)
    written = ElementTree.fromstring(snapshot.getXMLDesc()).findtext("./creationTime")
    created = datetime.fromtimestamp(int(written), UTC) if written else None
    return _resource(
        ResourceKind.SNAPSHOT, f"{domain.name()}@{name}", key, owner, snapshot=name, created=created
    )


def _disk(volume: Volume, owner: Owner, kind: ResourceKind = ResourceKind.VOLUME) -> Resource:
    size = int(volume.info()[2])
    return _resource(kind, volume.name(), volume.path(), owner, size_bytes=size)


def _network(network: Network, owner: Owner) -> Resource:
    created = moment(network_made(network.XMLDesc()))
    return _resource(ResourceKind.NETWORK, network.name(), network.UUIDString(), owner, created=created)


def _resource(
    kind: ResourceKind, name: str, key: str, owner: Owner, *,
    snapshot: str = "", created: datetime | None = None, size_bytes: int | None = None,
) -> Resource:  # fmt: skip
    return Resource(
        Holder.LIBVIRT,
        kind,
        name,
        key,
        owner.lab,
        owner.work,
        owner.host,
        owner.machine,
        snapshot,
        created,
        size_bytes,
    )
