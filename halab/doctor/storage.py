"""Checks of where the disks of virtual machines lie."""

from __future__ import annotations

from pathlib import Path

from halab.config.lab import ProviderKind, is_stock
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, remote, skipped, warning
from halab.doctor.host import Host
from halab.doctor.libvirt import address, facts
from halab.errors import HalabError
from halab.images import cache
from halab.images.box import base_name
from halab.images.box import key as box_key
from halab.machines.libvirt.base_disk import POOL, POOL_FOLDER
from halab.machines.vagrant import box_folder

# The disk of a box is 1.2 GB with Kubernetes inside. A node writes images, etcd and logs beside it.
_DISK_BYTES = 1_500_000_000
_NODE_BYTES = 1_000_000_000


def pool(host: Host, subject: Subject) -> Finding:
    told = facts(host)
    if told is None:
        return skipped("no libvirt answers")
    found = told.pool(POOL)
    virsh = f"virsh -c {address(host, subject)}"
    if found is None and (there := remote(host, subject)):
        return ok(f"`up` makes {POOL} in {POOL_FOLDER} on {there}")
    if found is None:
        return _room(
            host, subject, host.free_bytes(POOL_FOLDER), f"`up` makes {POOL} in {POOL_FOLDER}", POOL_FOLDER
        )
    if found.available_bytes is None:
        return failed(
            f"{POOL} is not active: {found.path}",
            f"{virsh} pool-start {POOL} && {virsh} pool-autostart {POOL}",
        )
    finding = _room(host, subject, found.available_bytes, f"{POOL} in {found.path}", found.path)
    if finding.fixes or found.autostart:
        return finding
    return warning(
        f"{finding.seen}; it is not started with libvirt, and machines do not start without it",
        f"{virsh} pool-autostart {POOL}",
    )


def vagrant_home(host: Host, subject: Subject) -> Finding:
    """Vagrant unpacks a box there, before libvirt gets a copy."""
    home = Path(
        host.variable("VAGRANT_HOME") or Path(host.variable("HOME") or "~").expanduser() / ".vagrant.d"
    )
    there = next((each for each in (home, *home.parents) if host.is_there(each)), home)
    if not host.may_use(there):
        return failed(
            f"{host.user} may not write to {there}",
            fix.as_root(host, f"chown -R {host.user} {there}"),
            "export VAGRANT_HOME=/path/on/another/disk",
        )
    free = host.free_bytes(home)
    seen = f"{cache.in_words(free)} free: {home}"
    if free >= _DISK_BYTES or _has_box(host, subject, home):
        return ok(seen)
    return failed(
        f"{seen}; a box takes {cache.in_words(_DISK_BYTES)}",
        "export VAGRANT_HOME=/path/on/another/disk",
        "vagrant box prune",
    )


def _room(host: Host, subject: Subject, free: int, where: str, folder: Path) -> Finding:
    # `up` saves the lab once, with the memory of every machine
    memory = sum(machine.memory_mebibytes for machine in subject.machines) << 20
    needed = _DISK_BYTES + _NODE_BYTES * subject.nodes + memory
    seen = f"{cache.in_words(free)} free: {where}"
    if free >= needed or _is_up(host, subject):
        return ok(seen)
    return failed(
        f"{seen}; a lab takes up to {cache.in_words(needed)}",
        f"make room: {fix.as_root(host, f'du -xh -d1 {folder}')}",
        f"control_planes: 1  # in {subject.file}",
    )


def _has_box(host: Host, subject: Subject, home: Path) -> bool:
    written = subject.written
    if is_stock(written.box):
        return host.is_there(box_folder(home, written.box))
    try:
        bundle = host.bundle(subject.release, written.kubernetes.source)
    except HalabError:
        return False
    if bundle is None:
        return False
    name = base_name(
        written.box, box_key(written.box, bundle.key, ProviderKind.LIBVIRT), ProviderKind.LIBVIRT
    )
    return host.is_there(box_folder(home, name))


def _is_up(host: Host, subject: Subject) -> bool:
    try:
        return host.running(subject.place) == len(subject.machines)
    except HalabError:
        return False


_LIBVIRT = frozenset({ProviderKind.LIBVIRT})

CHECKS = (
    Check("storage pool", "the disks of machines lie there; etcd stops when it is full", pool, _LIBVIRT, Pace.QUICK),
    Check("vagrant home", "Vagrant keeps its boxes there, and unpacks the lab's", vagrant_home, _LIBVIRT, Pace.QUICK),
)  # fmt: skip
