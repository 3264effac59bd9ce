"""Checks of the resources that a lab needs: memory, disk space, the kernel's limits."""

from __future__ import annotations

import re
from contextlib import suppress

from halab.config.lab import is_stock
from halab.doctor import fix
from halab.doctor.check import DOCKER_ONLY, Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.engines import local_socket
from halab.doctor.host import Files, Host
from halab.errors import HalabError
from halab.images import bundle as bundles
from halab.images import cache
from halab.images.box import SPACE_BYTES
from halab.topology.lab import Machine

_MEBIBYTE = 1 << 20
# What the machines of an idle lab use, in MiB, with a margin for the start: three control planes and a load
# balancer used 1.5 GiB. The memory in a lab file is the limit of a machine, not what it uses at first.
_IDLE_NODE_MEBIBYTES = 650
_IDLE_BALANCER_MEBIBYTES = 100

# The image, once as a tar and once unpacked. A node writes its own copy of the images, etcd's data and logs.
_IMAGE_BYTES = 3_000_000_000
_NODE_BYTES = 1_000_000_000

# Measured in a lab of three control planes and a load balancer: 83 inotify instances and 528 watches, all owned by
# root (systemd, kubelet, API server, controller-manager, containerd), and 2900 open files on the host.
_INSTANCES_PER_NODE = 28
_WATCHES_PER_NODE = 180
_FILES_PER_NODE = 1000
# Enough for five labs and the other programs of the host. The default of Linux is 128, enough for one lab.
_WANTED_INSTANCES = 512
_WANTED_WATCHES = 8192


def memory(host: Host, subject: Subject) -> Finding:
    free = free_mebibytes(host)
    if free is None:
        return skipped("/proc/meminfo does not show the available memory")
    most = sum(machine.memory_mebibytes for machine in subject.new_machines)
    least = sum(_idle_mebibytes(machine) for machine in subject.new_machines)
    what = "the lab needs" if subject.new_machines == subject.machines else "the new machines need"
    seen = f"{_gib(free)} available; {what} {_gib(least)} to {_gib(most)}"
    if is_up(host, subject):
        return ok(f"{_gib(free)} available while the lab runs")
    smaller = f"control_planes: 1  # in {subject.file}, or less memory under `machines`"
    if free < least:
        return failed(
            seen, "stop other programs that use memory: ps -eo rss,pid,args --sort=-rss | head", smaller
        )
    return ok(seen) if free >= most else warning(seen, smaller)


def cache_disk(host: Host, subject: Subject) -> Finding:
    folder = host.cache
    free = host.free_bytes(folder)
    needed = _missing_bytes(host, subject)
    seen = f"{cache.in_words(free)} free: {folder}"
    if needed == 0:
        return ok(seen)
    seen = f"{seen}; the missing bundle or box needs {cache.in_words(needed)}"
    if free < needed:
        return failed(
            seen, "export HALAB_CACHE=/path/on/another/disk", f"free some space: du -xh -d1 {folder}"
        )
    return ok(seen)


def engine_disk(host: Host, subject: Subject) -> Finding:
    """The disk where docker stores images and volumes, if the engine runs on this host."""
    try:
        data = host.docker().data
    except HalabError:
        return skipped("no docker engine answers")
    if local_socket(host) is None or not host.exists(data):
        return skipped(f"not on this host: {data}")
    free = host.free_bytes(data)
    needed = _IMAGE_BYTES + _NODE_BYTES * subject.new_nodes
    seen = f"{cache.in_words(free)} free: {data}"
    if free >= needed or is_up(host, subject):
        return ok(seen)
    seen = f"{seen}; a lab needs up to {cache.in_words(needed)}"
    return failed(
        seen, "docker image prune --all --filter label=halab.box", f"free some space: du -xh -d1 {data}"
    )


def inotify(host: Host, subject: Subject) -> Finding:
    instances = _number(host, "/proc/sys/fs/inotify/max_user_instances")
    watches = _number(host, "/proc/sys/fs/inotify/max_user_watches")
    if instances is None or watches is None:
        return skipped("cannot read the limits in /proc/sys/fs/inotify")
    seen = f"{instances} instances, {watches} watches"
    fixes = []
    if instances < _WANTED_INSTANCES:
        fixes.append(fix.sysctl(host, "fs.inotify.max_user_instances", _WANTED_INSTANCES))
    if watches < _WANTED_WATCHES:
        fixes.append(fix.sysctl(host, "fs.inotify.max_user_watches", _WANTED_WATCHES))
    if not fixes:
        return ok(seen)
    needed = (_INSTANCES_PER_NODE * subject.nodes, _WATCHES_PER_NODE * subject.nodes)
    seen = f"{seen}; this lab needs {needed[0]} and {needed[1]}"
    if instances < needed[0] or watches < needed[1]:
        return failed(seen, " && ".join(fixes))
    return warning(f"{seen}, and a second lab may not start", " && ".join(fixes))


def open_files(host: Host, subject: Subject) -> Finding:
    numbers = (host.text("/proc/sys/fs/file-nr") or "").split()
    if len(numbers) != 3:
        return skipped("cannot read /proc/sys/fs/file-nr")
    used, limit = int(numbers[0]), int(numbers[2])
    needed = _FILES_PER_NODE * subject.nodes
    if limit - used < needed:
        seen = f"{used} of {limit} are open; the lab needs {needed} more"
        return failed(seen, fix.sysctl(host, "fs.file-max", used + 10 * needed))
    return ok(f"{used} open, at least {needed} more allowed")


def _missing_bytes(host: Host, subject: Subject) -> int:
    # Vagrant stores a stock box in its own home, not in the cache
    is_built = not is_stock(subject.written.box)
    box_bytes = SPACE_BYTES[subject.provider] if is_built else 0
    source = subject.written.kubernetes.source
    bundle = box = None
    with suppress(HalabError):  # a damaged bundle or box is built again
        bundle = host.bundle(subject.release, source)
        box = is_built and bundle and host.box(subject.written.box, bundle, subject.provider)
    return (0 if bundle else bundles.space_bytes(source)) + (0 if box else box_bytes)


def is_up(host: Host, subject: Subject) -> bool:
    """A lab that is up has its memory and disk space already."""
    try:
        return host.running_machines(subject.lab_dir) == len(subject.machines)
    except HalabError:
        return False


def free_mebibytes(files: Files) -> int | None:
    """The memory that programs can still get; None if the kernel does not say it."""
    line = re.search(r"^MemAvailable:\s+(\d+) kB", files.text("/proc/meminfo") or "", re.MULTILINE)
    return int(line[1]) // 1024 if line else None


def _idle_mebibytes(machine: Machine) -> int:
    return _IDLE_NODE_MEBIBYTES if machine.has_kubelet else _IDLE_BALANCER_MEBIBYTES


def _number(files: Files, path: str) -> int | None:
    text = (files.text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _gib(mebibytes: int) -> str:
    return f"{mebibytes / 1024:.1f} GiB"


CHECKS = (
    Check("memory", "a machine without memory fails in ways that look like injected faults", memory, pace=Pace.QUICK,
          about_machines_host=True, boot_reason="without enough memory a machine boots slowly, or the kernel kills it"),
    Check("cache disk", "the cache holds bundles and boxes", cache_disk, pace=Pace.QUICK),
    Check("engine disk", "docker stores images and the machines' disks there; etcd stops when it is full", engine_disk,
          DOCKER_ONLY, pace=Pace.QUICK),
    Check("inotify", "systemd and the kubelets of all containers share root's limit and do not start above it", inotify,
          DOCKER_ONLY, pace=Pace.QUICK, about_machines_host=True,
          boot_reason="above the limit systemd does not start in a container, so there is no SSH server"),
    Check("open files", "all containers share the kernel's limit", open_files,
          DOCKER_ONLY, pace=Pace.QUICK, about_machines_host=True),
)  # fmt: skip
