"""Snapshots of virtual machines: libvirt's own, inside a machine's disk, with its memory if it runs.

Since libvirt 10.9 (https://libvirt.org/news.html), libvirt makes them with other commands of qemu. Nothing changes for
this module: with libvirt 9.0 and qemu 7.2, and with libvirt 11.3 and qemu 10.0, it saves a machine that runs or is off,
and restores it while it runs or is off. libvirt 9.9.0 crashes when it restores one.
"""

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

    # memory that libvirt saved when the host shut down: the next start would continue with it, on another disk
    if domain.hasManagedSaveImage():
        domain.managedSaveRemove()
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
