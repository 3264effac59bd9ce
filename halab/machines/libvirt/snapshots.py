"""Snapshots of virtual machines: libvirt's own, inside a machine's disk, with its memory if it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree

from halab.machines.libvirt.handles import Domain
from halab.machines.snapshots import Saved


def save(domain: Domain, snapshot: str) -> None:
    # where disks and memory are not named, both are in it; a machine that is off has no memory
    domain.snapshotCreateXML(f"<domainsnapshot><name>{snapshot}</name></domainsnapshot>")


def restore(domain: Domain, snapshot: str) -> None:
    """Go back to a snapshot, and stay paused."""
    import libvirt

    flags = libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED
    domain.revertToSnapshot(domain.snapshotLookupByName(snapshot), flags)


def saved(domain: Domain, machine: str) -> list[Saved]:
    snapshots = []
    for snapshot in domain.listAllSnapshots():
        created = ElementTree.fromstring(snapshot.getXMLDesc()).findtext("./creationTime") or "0"
        snapshots.append(Saved(snapshot.getName(), machine, datetime.fromtimestamp(int(created), UTC)))
    return snapshots


def delete(domain: Domain, name: str) -> None:
    for snapshot in domain.listAllSnapshots():
        if snapshot.getName() == name:
            snapshot.delete()
