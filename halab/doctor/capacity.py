"""Checks of what a lab uses up: memory, disk, the kernel's own limits."""

from __future__ import annotations

import re
from contextlib import suppress

from halab.config.lab import ProviderKind, is_stock
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.engines import local_socket
from halab.doctor.host import Host
from halab.errors import HalabError
from halab.images import cache

_MEBIBYTE = 1 << 20
# What machines of an idle lab use, in MiB, with room to start: three control planes and a load balancer took
# 1.5 GiB. The memory of a lab file is the most that a machine may take, not what it begins with.
_IDLE_MEBIBYTES = {True: 650, False: 100}

# The image, once as a tar and once unpacked, then what each node writes: its copy of the images, etcd, logs.
_IMAGE_BYTES = 3_000_000_000
_NODE_BYTES = 1_000_000_000
# A tree, its tar and the bundle's parts while they are made.
_BUNDLE_BYTES = 4 << 30
_BOX_BYTES = {ProviderKind.DOCKER: 4 << 30, ProviderKind.LIBVIRT: 6 << 30}

# Measured in a lab of three control planes and a load balancer: 83 instances and 528 watches of inotify, all of
# them root's (systemd, kubelet, API server, controller-manager, containerd), and 2900 open files on the whole host.
_INSTANCES_PER_NODE = 28
_WATCHES_PER_NODE = 180
_FILES_PER_NODE = 1000
# For five labs side by side and whatever else runs on the host. Linux begins with 128, which is one lab.
_MANY_INSTANCES = 512
_MANY_WATCHES = 8192


def memory(host: Host, subject: Subject) -> Finding:
    free = _memory_free(host)
    if free is None:
        return skipped("/proc/meminfo does not say what is available")
    most = sum(machine.memory_mebibytes for machine in subject.machines)
    least = sum(_IDLE_MEBIBYTES[machine.is_node] for machine in subject.machines)
    seen = f"{_gib(free)} available; the lab takes {_gib(least)} to {_gib(most)}"
    if _is_up(host, subject):
        return ok(f"{_gib(free)} available, with the lab running")
    smaller = f"control_planes: 1  # in {subject.file}, or less memory under `machines`"
    if free < least:
        return failed(seen, "end what else uses memory: ps -eo rss,pid,args --sort=-rss | head", smaller)
    return ok(seen) if free >= most else warning(seen, smaller)


def cache_disk(host: Host, subject: Subject) -> Finding:
    folder = host.cache
    free = host.free_bytes(folder)
    needed = _missing_bytes(host, subject)
    seen = f"{cache.in_words(free)} free: {folder}"
    if needed == 0:
        return ok(seen)
    seen = f"{seen}; what is not there yet takes {cache.in_words(needed)}"
    if free < needed:
        return failed(seen, "export HALAB_CACHE=/path/on/another/disk", f"make room: du -xh -d1 {folder}")
    return ok(seen)


def engine_disk(host: Host, subject: Subject) -> Finding:
    """The disk of images and volumes, where the engine is on this host."""
    try:
        data = host.engine().data
    except HalabError:
        return skipped("no engine answers")
    if local_socket(host) is None or not host.is_there(data):
        return skipped(f"not on this host: {data}")
    free = host.free_bytes(data)
    needed = _IMAGE_BYTES + _NODE_BYTES * subject.nodes
    seen = f"{cache.in_words(free)} free: {data}"
    if free >= needed or _is_up(host, subject):
        return ok(seen)
    seen = f"{seen}; a lab takes up to {cache.in_words(needed)}"
    return failed(seen, "docker image prune --all --filter label=halab.box", f"make room: du -xh -d1 {data}")


def inotify(host: Host, subject: Subject) -> Finding:
    instances = _number(host, "/proc/sys/fs/inotify/max_user_instances")
    watches = _number(host, "/proc/sys/fs/inotify/max_user_watches")
    if instances is None or watches is None:
        return skipped("/proc/sys/fs/inotify does not say")
    seen = f"{instances} instances, {watches} watches"
    more = []
    if instances < _MANY_INSTANCES:
        more.append(fix.sysctl(host, "fs.inotify.max_user_instances", _MANY_INSTANCES))
    if watches < _MANY_WATCHES:
        more.append(fix.sysctl(host, "fs.inotify.max_user_watches", _MANY_WATCHES))
    if not more:
        return ok(seen)
    takes = (_INSTANCES_PER_NODE * subject.nodes, _WATCHES_PER_NODE * subject.nodes)
    seen = f"{seen}; this lab takes {takes[0]} and {takes[1]}"
    if instances < takes[0] or watches < takes[1]:
        return failed(seen, " && ".join(more))
    return warning(f"{seen}, a second one may not start", " && ".join(more))


def open_files(host: Host, subject: Subject) -> Finding:
    told = (host.text("/proc/sys/fs/file-nr") or "").split()
    if len(told) != 3:
        return skipped("/proc/sys/fs/file-nr does not say")
    used, limit = int(told[0]), int(told[2])
    needed = _FILES_PER_NODE * subject.nodes
    if limit - used < needed:
        seen = f"{used} of {limit} are open, the lab needs {needed} more"
        return failed(seen, fix.sysctl(host, "fs.file-max", used + 10 * needed))
    return ok(f"{used} open, and room for {needed} more")


def _missing_bytes(host: Host, subject: Subject) -> int:
    # a stock box is Vagrant's, and lies in its home
    is_built = not is_stock(subject.written.box)
    of_box = _BOX_BYTES[subject.provider] if is_built else 0
    bundle = found = None
    with suppress(HalabError):  # what is broken is built anew
        bundle = host.bundle(subject.release, subject.written.kubernetes.source)
        found = is_built and bundle and host.box(subject.written.box, bundle, subject.provider)
    return (0 if bundle else _BUNDLE_BYTES) + (0 if found else of_box)


def _is_up(host: Host, subject: Subject) -> bool:
    """Whether its machines have their memory and disk already."""
    try:
        return host.running(subject.place) == len(subject.machines)
    except HalabError:
        return False


def _memory_free(host: Host) -> int | None:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", host.text("/proc/meminfo") or "", re.MULTILINE)
    return int(found[1]) // 1024 if found else None


def _number(host: Host, path: str) -> int | None:
    text = (host.text(path) or "").strip()
    return int(text) if text.isdecimal() else None


def _gib(mebibytes: int) -> str:
    return f"{mebibytes / 1024:.1f} GiB"


CHECKS = (
    Check("memory", "a machine out of memory fails in ways that look like faults", memory, pace=Pace.QUICK,
          of_the_machines_host=True, when_silent="without memory a machine boots slowly, or is ended by the kernel"),
    Check("cache disk", "bundles and boxes are kept there", cache_disk, pace=Pace.QUICK),
    Check("engine disk", "images and the disks of machines lie there; etcd stops when it is full", engine_disk,
          frozenset({ProviderKind.DOCKER}), pace=Pace.QUICK),
    Check("inotify", "systemd and kubelets in all containers share root's limit: one too many does not start", inotify,
          frozenset({ProviderKind.DOCKER}), pace=Pace.QUICK, of_the_machines_host=True,
          when_silent="above the limit systemd does not start in a container, and so no SSH server"),
    Check("open files", "all machines that are containers share the kernel's limit", open_files,
          frozenset({ProviderKind.DOCKER}), pace=Pace.QUICK, of_the_machines_host=True),
)  # fmt: skip
