"""Disks of virtual machines in libvirt's storage pools: removed with their machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.config.roles import Role
from halab.machines.libvirt.handles import Domain, Handle, Volume

# The names of the disks of a machine: Vagrant names the one that it starts from, the Vagrantfile those of the lab file.
# The base that disks of many labs start from has another one:
# `halab-VAGRANTSLASH-debian-12-…_vagrant_box_image_0_…_box.img`.
OF_MACHINE = re.compile(
    rf"halab-(?P<lab>[a-z][a-z0-9-]{{0,19}})-(?P<machine>({'|'.join(Role)})[0-9]+)(-disk[0-9]+)?\.img"
)
# While a pool makes a volume for somebody, it cannot be refreshed; a box's disk of 1.1 GB takes it 10 s.
_BUSY_SECONDS = 120


def volumes(handle: Handle) -> Iterator[Volume]:
    """All volumes that the active pools know."""
    for pool in handle.listAllStoragePools():
        if pool.isActive():
            yield from pool.listAllVolumes()


def used(tree: ElementTree.Element) -> set[str]:
    """Every file that a domain uses as a disk, or as the base of one."""
    return {source.get("file", "") for source in tree.findall("./devices/disk//source")}


def bases(volumes: Iterable[Volume]) -> set[str]:
    """Every file that one of these disks needs below it. A machine that is off does not name the base of its disk."""
    paths = (ElementTree.fromstring(volume.XMLDesc()).findtext("./backingStore/path") for volume in volumes)
    return {path for path in paths if path}


def own(domain: Domain, tree: ElementTree.Element) -> list[str]:
    """The disks that a machine was made with, or that its snapshots made; without what somebody has attached to it."""
    paths = [source.get("file", "") for source in tree.findall("./devices/disk[@device='disk']/source")]
    return [path for path in paths if Path(path).name.startswith(domain.name())]


def delete(handle: Handle, paths: Sequence[str]) -> None:
    """Remove disks by their paths; those that no pool has are gone already."""
    for path in paths:
        volume = _volume(handle, path)
        if volume is None:
            # a pool knows a file that somebody else's snapshot has made only after a refresh
            _refresh_pool(handle, Path(path).parent)
            volume = _volume(handle, path)
        if volume is not None:
            volume.delete()


def delete_unused(handle: Handle, is_meant: Callable[[str], bool]) -> list[str]:
    """Remove the disks with such a name that no machine has. Return their names."""
    taken: set[str] = set()
    for domain in handle.listAllDomains():
        taken |= used(ElementTree.fromstring(domain.XMLDesc()))
    removed = []
    for volume in volumes(handle):
        if is_meant(volume.name()) and volume.path() not in taken:
            volume.delete()
            removed.append(volume.name())
    return removed


def _volume(handle: Handle, path: str) -> Volume | None:
    import libvirt

    try:
        return handle.storageVolLookupByPath(path)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _refresh_pool(handle: Handle, folder: Path) -> None:
    """Refresh the pool of that folder and no other: a refresh stops a pool whose folder is lost."""
    import libvirt

    def refresh() -> None:
        try:
            pool.refresh()
        except libvirt.libvirtError as error:
            if "asynchronous jobs" in str(error):
                raise NotYet(str(error)) from error
            raise

    for pool in handle.listAllStoragePools():
        path = ElementTree.fromstring(pool.XMLDesc()).findtext("./target/path")
        if pool.isActive() and path and Path(path) == folder:
            wait_for(f"libvirt's pool {pool.name()}", refresh, Deadline.after(RealClock(), _BUSY_SECONDS))
