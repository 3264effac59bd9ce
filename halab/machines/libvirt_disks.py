"""Disks of virtual machines in libvirt's storage pools: removed with their machines.

The questions are put to a connection that `Hypervisor` holds, so that the library has one home.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree


def delete(connection: Any, paths: Sequence[str]) -> None:
    """Remove disks by their paths; those that no pool has are gone already."""
    for volume in _volumes(connection):
        if volume.path() in paths:
            volume.delete()


def remove_unused(connection: Any, name: str) -> None:
    """Remove a disk of that name where no machine has it."""
    used = set()
    for each in connection.listAllDomains():
        tree = ElementTree.fromstring(each.XMLDesc())
        used |= {source.get("file") for source in tree.findall("./devices/disk/source")}
    for volume in _volumes(connection):
        if volume.name() == name and volume.path() not in used:
            volume.delete()


def _volumes(connection: Any) -> Iterator[Any]:
    for pool in connection.listAllStoragePools():
        if pool.isActive():
            # a pool knows of what was made behind its back only after a look
            pool.refresh()
            yield from pool.listAllVolumes()
