"""Checks of the storage pool and of Vagrant's home, which hold the disks of virtual machines."""

from __future__ import annotations

from pathlib import Path

from halab.config.lab import ProviderKind, is_stock
from halab.doctor import fix
from halab.doctor.capacity import is_up
from halab.doctor.check import (
    LIBVIRT_ONLY,
    Check,
    Finding,
    Pace,
    Subject,
    failed,
    ok,
    remote,
    skipped,
    warning,
)
from halab.doctor.host import Host
from halab.doctor.libvirt import address, facts
from halab.errors import HalabError
from halab.images import cache
from halab.images.box import base_name
from halab.images.box import key as box_key
from halab.machines.libvirt.base_disk import POOL, POOL_FOLDER
from halab.machines.vagrant import box_folder

# The disk of a box is 1.2 GB with Kubernetes inside. A node also writes images, etcd's data and logs.
_DISK_BYTES = 1_500_000_000
_NODE_BYTES = 1_000_000_000


def storage_pool(host: Host, subject: Subject) -> Finding:
    libvirt = facts(host)
    if libvirt is None:
        return skipped("no libvirt answers")
    pool = libvirt.pool(POOL)
    virsh = f"virsh -c {address(host, subject)}"
    if pool is None and (machines_host := remote(host, subject)):
        return ok(f"`halab up` creates {POOL} in {POOL_FOLDER} on {machines_host}")
    if pool is None:
        return _check_space(
            host,
            subject,
            host.free_bytes(POOL_FOLDER),
            f"`halab up` creates {POOL} in {POOL_FOLDER}",
            POOL_FOLDER,
        )
    if pool.available_bytes is None:
        return failed(
            f"{POOL} is not active: {pool.path}",
            f"{virsh} pool-start {POOL} && {virsh} pool-autostart {POOL}",
        )
    finding = _check_space(host, subject, pool.available_bytes, f"{POOL} in {pool.path}", pool.path)
    if finding.fixes or pool.autostart:
        return finding
    return warning(
        f"{finding.seen}; it does not start with libvirt, and machines cannot start without it",
        f"{virsh} pool-autostart {POOL}",
    )


def vagrant_home(host: Host, subject: Subject) -> Finding:
    """Vagrant unpacks a box there before it copies the disk to libvirt."""
    home = Path(
        host.variable("VAGRANT_HOME") or Path(host.variable("HOME") or "~").expanduser() / ".vagrant.d"
    )
    existing = next(filter(host.exists, (home, *home.parents)), home)
    if not host.may_use(existing):
        return failed(
            f"{host.user} may not write to {existing}",
            fix.as_root(host, f"chown -R {host.user} {existing}"),
            "export VAGRANT_HOME=/path/on/another/disk",
        )
    free = host.free_bytes(home)
    seen = f"{cache.in_words(free)} free: {home}"
    if free >= _DISK_BYTES or _has_box(host, subject, home):
        return ok(seen)
    return failed(
        f"{seen}; a box needs {cache.in_words(_DISK_BYTES)}",
        "export VAGRANT_HOME=/path/on/another/disk",
        "vagrant box prune",
    )


def _check_space(host: Host, subject: Subject, free: int, where: str, folder: Path) -> Finding:
    # `up` takes a snapshot of the lab, which includes the memory of every machine
    memory = sum(machine.memory_mebibytes for machine in subject.new_machines) << 20
    needed = _DISK_BYTES + _NODE_BYTES * subject.new_nodes + memory
    seen = f"{cache.in_words(free)} free: {where}"
    if free >= needed or is_up(host, subject):
        return ok(seen)
    return failed(
        f"{seen}; a lab needs up to {cache.in_words(needed)}",
        f"free some space: {fix.as_root(host, f'du -xh -d1 {folder}')}",
        f"control_planes: 1  # in {subject.file}",
    )


def _has_box(host: Host, subject: Subject, home: Path) -> bool:
    written = subject.written
    if is_stock(written.box):
        return host.exists(box_folder(home, written.box))
    try:
        bundle = host.bundle(subject.release, written.kubernetes.source)
    except HalabError:
        return False
    if bundle is None:
        return False
    name = base_name(
        written.box, box_key(written.box, bundle.key, ProviderKind.LIBVIRT), ProviderKind.LIBVIRT
    )
    return host.exists(box_folder(home, name))


CHECKS = (
    Check("storage pool", "it holds the machines' disks; etcd stops when it is full", storage_pool, LIBVIRT_ONLY,
          Pace.QUICK),
    Check("vagrant home", "Vagrant stores and unpacks boxes there", vagrant_home, LIBVIRT_ONLY, Pace.QUICK),
)  # fmt: skip
