"""What a libvirt has of labs. Asked of the connection that `Hypervisor` holds, so that the library has one home."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from halab.errors import HostProblem
from halab.machines.inventory import Holder, Resource, ResourceKind, moment
from halab.machines.libvirt import disks
from halab.machines.libvirt.retry import Gone, noticing, until_unchanged
from halab.topology import domain
from halab.topology.domain import Owner

OwnerOf = Callable[[Any], Owner | None]


def read(library: Any, connection: Any, owner_of: OwnerOf) -> list[Resource]:
    """Machines, their snapshots and disks, networks, and disks that no machine has."""
    return until_unchanged(library, lambda: _read(connection, owner_of))


def discard(
    library: Any, connection: Any, belonging: Resource, owner_of: OwnerOf, way: Callable[[Any], None] | None
) -> None:
    """`way` is how a machine or a network is removed."""
    with suppress(Gone), noticing(library):
        for each in _handles(connection, belonging, owner_of):
            if way is None:
                each.delete()
            else:
                way(each)


def _read(connection: Any, owner_of: OwnerOf) -> list[Resource]:
    volumes = {each.path(): each for each in disks.volumes(connection)}
    found, used = [], set()
    for each in connection.listAllDomains():
        tree = ElementTree.fromstring(each.XMLDesc())
        used |= disks.used(tree)
        owner = owner_of(each)
        if owner is not None:
            found.append(_machine(each, owner))
            found += [_snapshot(each, snapshot, owner) for snapshot in each.listAllSnapshots()]
            found += [_disk(volumes[path], owner) for path in own_disks(each, tree) if path in volumes]
    for each in connection.listAllNetworks():
        owner = domain.network_owner(each.XMLDesc())
        if owner is not None:
            found.append(_network(each, owner))
    for path, volume in volumes.items():
        named = disks.OF_MACHINE.fullmatch(volume.name())
        if named and path not in used:
            found.append(_disk(volume, Owner(named["lab"], "", named["machine"])))
    return found


def _handles(connection: Any, belonging: Resource, owner_of: OwnerOf) -> Iterator[Any]:
    """libvirt's handle of a belonging, if it is there and still is what it was."""
    owner = Owner(belonging.lab, belonging.work, belonging.machine)
    match belonging.kind:
        case ResourceKind.MACHINE:
            for each in connection.listAllDomains():
                if each.UUIDString() == belonging.key and owner_of(each) == owner:
                    yield each
        case ResourceKind.SNAPSHOT:
            for each in connection.listAllDomains():
                if owner_of(each) == owner:
                    known = each.listAllSnapshots()
                    yield from (
                        one for one in known if f"{each.UUIDString()}/{one.getName()}" == belonging.key
                    )
        case ResourceKind.NETWORK:
            for each in connection.listAllNetworks():
                if each.UUIDString() == belonging.key and domain.network_owner(each.XMLDesc()) == owner:
                    yield each
        case ResourceKind.VOLUME:
            yield from _unused(connection, belonging.key)


def own_disks(found: Any, tree: ElementTree.Element) -> list[str]:
    """The disks that a machine was made with, or that its snapshots made: not what somebody has attached to it."""
    paths = [source.get("file", "") for source in tree.findall("./devices/disk[@device='disk']/source")]
    return [path for path in paths if Path(path).name.startswith(found.name())]


def _unused(connection: Any, path: str) -> Iterator[Any]:
    for volume in disks.volumes(connection):
        if volume.path() == path:
            for each in connection.listAllDomains():
                if path in disks.used(ElementTree.fromstring(each.XMLDesc())):
                    raise HostProblem(f"a virtual machine has this disk: {each.name()}")
            yield volume


def _machine(found: Any, owner: Owner) -> Resource:
    """libvirt does not know when a domain was defined. Its disks have its size."""
    return _belonging(ResourceKind.MACHINE, found.name(), found.UUIDString(), owner)


def _snapshot(found: Any, snapshot: Any, owner: Owner) -> Resource:
    name = snapshot.getName()
    written = ElementTree.fromstring(snapshot.getXMLDesc()).findtext("./creationTime")
    made = datetime.fromtimestamp(int(written), UTC) if written else None
    key = f"{found.UUIDString()}/{name}"
    return _belonging(
        ResourceKind.SNAPSHOT, f"{found.name()}@{name}", key, owner, snapshot=name, created=made
    )


def _disk(volume: Any, owner: Owner) -> Resource:
    # its type, how large it may become, how large it is
    size = int(volume.info()[2])
    return _belonging(ResourceKind.VOLUME, volume.name(), volume.path(), owner, size_bytes=size)


def _network(found: Any, owner: Owner) -> Resource:
    made = moment(domain.network_made(found.XMLDesc()))
    return _belonging(ResourceKind.NETWORK, found.name(), found.UUIDString(), owner, created=made)


def _belonging(
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
