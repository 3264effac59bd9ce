"""Snapshots of virtual machines: libvirt's own, inside of a machine's disk, with its memory where it runs.

The questions are put to domains that `Hypervisor` has found, so that the library has one home.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from halab.machines.snapshots import Saved


def save(domain: Any, snapshot: str) -> None:
    # without a word on disks and memory, both are in it, and a machine that is off has none of the latter
    domain.snapshotCreateXML(f"<domainsnapshot><name>{snapshot}</name></domainsnapshot>")


def saved(domain: Any, machine: str) -> list[Saved]:
    found = []
    for each in domain.listAllSnapshots():
        created = ElementTree.fromstring(each.getXMLDesc()).findtext("./creationTime") or "0"
        found.append(Saved(each.getName(), machine, datetime.fromtimestamp(int(created), UTC)))
    return found


def delete(domain: Any, snapshot: str) -> None:
    for each in domain.listAllSnapshots():
        if each.getName() == snapshot:
            each.delete()
