"""Disks of virtual machines in libvirt's storage pools: removed with their machines.

The questions are put to a connection that `Hypervisor` holds, so that the library has one home.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from halab.clock import Deadline, NotYet, RealClock, wait_for

# The disk of a machine as Vagrant calls it. The base that disks of many labs start from is called otherwise:
# `halab-VAGRANTSLASH-debian-12-…_vagrant_box_image_0_…_box.img`.
OF_MACHINE = re.compile(r"halab-(?P<lab>[a-z][a-z0-9-]{0,19})-(?P<machine>(lb|cp|w)[0-9]+)\.img")
# A pool that makes a volume for somebody lets nobody look meanwhile; a box's disk of 1.1 GB takes it 10 s.
_BUSY_SECONDS = 120


def volumes(connection: Any) -> Iterator[Any]:
    """All that the active pools know of."""
    for pool in connection.listAllStoragePools():
        if pool.isActive():
            yield from pool.listAllVolumes()


def used(tree: ElementTree.Element) -> set[str]:
    """Every file that a domain has as a disk, or as what is below one."""
    return {source.get("file", "") for source in tree.findall("./devices/disk//source")}


def delete(library: Any, connection: Any, paths: Sequence[str]) -> None:
    """Remove disks by their paths; those that no pool has are gone already."""
    for path in paths:
        found = _found(library, connection, path)
        if found is None:
            # what a snapshot of somebody else's has made, a pool knows of only after a look
            _look_again(library, connection, Path(path).parent)
            found = _found(library, connection, path)
        if found is not None:
            found.delete()


def delete_unused(connection: Any, is_meant: Callable[[str], bool]) -> list[str]:
    """Remove the disks with such a name that no machine has; their names."""
    taken: set[str] = set()
    for each in connection.listAllDomains():
        taken |= used(ElementTree.fromstring(each.XMLDesc()))
    removed = []
    for volume in volumes(connection):
        if is_meant(volume.name()) and volume.path() not in taken:
            volume.delete()
            removed.append(volume.name())
    return removed


def _found(library: Any, connection: Any, path: str) -> Any | None:
    try:
        return connection.storageVolLookupByPath(path)
    except library.libvirtError as error:
        if error.get_error_code() == library.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def _look_again(library: Any, connection: Any, folder: Path) -> None:
    """Only at the pool of that folder: to look is to change it, and a pool whose folder is lost stops by it."""

    def look() -> None:
        try:
            pool.refresh()
        except library.libvirtError as error:
            if "asynchronous jobs" in str(error):
                raise NotYet(str(error)) from error
            raise

    for pool in connection.listAllStoragePools():
        path = ElementTree.fromstring(pool.XMLDesc()).findtext("./target/path")
        if pool.isActive() and path and Path(path) == folder:
            wait_for(f"libvirt's pool {pool.name()}", look, Deadline.after(RealClock(), _BUSY_SECONDS))
