"""Faults of the disk that etcd writes to: full, or slow."""

from __future__ import annotations

import shlex
from contextlib import suppress

from halab.clock import NotYet, wait_for
from halab.config.lab import ProviderKind
from halab.config.lab_traits import Capability
from halab.config.targets import FaultTarget
from halab.errors import Unable
from halab.faults import processes, scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

ETCD_DATA = "/var/lib/etcd"
_EFFECT_SECONDS = 60
_PROCESS = "etcd"
# A write runs at 200 MB/s: this is enough for a disk of 40 GB if fallocate cannot fill it.
_FILL_SECONDS = 200

# Prints the disk that a folder is on, as MAJOR:MINOR. The kernel accepts limits for a disk, not for a partition.
DISK = """
disk() {
  local number
  number=$(stat -c '%Hd:%Ld' "$1")
  [ ! -e "/sys/dev/block/$number/partition" ] || number=$(cat "/sys/dev/block/$number/../dev")
  echo "$number"
}
"""

# The file that limits the disk writes of a process, and the function that sets a limit or removes it (0).
LIMIT = """
limit_file() {
  local path
  path=$(sed -n 's/^[0-9]*:blkio://p' "/proc/$1/cgroup")
  if [ -n "$path" ]; then
    echo "/sys/fs/cgroup/blkio${path%/}/blkio.throttle.write_iops_device"
  else
    echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$1/cgroup")/io.max"
  fi
}
limit() {
  case $1 in
    */io.max) echo "$2 wiops=${3/#0/max}" >"$1" ;;
    *) echo "$2 $3" >"$1" ;;
  esac
}
"""


def _require_own_disk(site: Site, entry: Entry) -> None:
    if site.lab.provider is ProviderKind.DOCKER:
        raise Unable("a container uses the host's disk: the fault would fill the host")


def _fill(site: Site, entry: Entry) -> str:
    _require_own_disk(site, entry)
    said = site.guests.run(entry.machine, fill_script(_folder(site, entry)), timeout_seconds=_FILL_SECONDS)
    return said.output.strip()


def _folder(site: Site, entry: Entry) -> str:
    """A folder on the disk of etcd: the scratch folder, or one beside etcd's data if the lab file gives it a disk."""
    disks = site.lab.machine(entry.machine).disks
    has_own = any(disk.mount == ETCD_DATA for disk in disks)
    return f"{ETCD_DATA}/halab-{entry.id}" if has_own else scratch.folder(entry)


def fill_script(folder: str, data: str = ETCD_DATA) -> str:
    """The script that fills the disk of etcd from a folder on it, and checks that nothing more can be written.

    fallocate takes most at once and keeps a thin disk thin; the rest is written.
    """
    return f"""
set -u
! systemd-detect-virt -cq || {{ echo 'in a container the disk belongs to the host' >&2; exit 1; }}
mkdir -p {folder}
[ "$(stat -c %d {folder})" = "$(stat -c %d {data})" ] || {{ echo 'not the disk of {data}: {folder}' >&2; exit 1; }}
fallocate -l "$(($(stat -f -c '%f * %S' {data})))" {folder}/fill 2>/dev/null
for size in 1M 4k; do dd if=/dev/zero bs=$size oflag=append conv=notrunc of={folder}/fill 2>/dev/null; done
sync -f {folder}
if dd if=/dev/zero of={data}/halab-probe bs=64k count=1 conv=fsync 2>/dev/null; then full=no; else full=yes; fi
rm -f {data}/halab-probe
[ $full = yes ] || {{ echo 'the disk is not full' >&2; exit 1; }}
echo "$(du -m {folder}/fill | cut -f 1)M were written, and nothing more can be written to {data}"
"""


def _make_room(site: Site, entry: Entry) -> None:
    site.guests.run(entry.machine, f"rm -rf {_folder(site, entry)}; {scratch.forget(entry)}")


def _throttle(site: Site, entry: Entry) -> str:
    """Limit the machine's own disk if it has one and no process is given, else the writes of a process."""
    if "process" not in entry.options:
        limit = int(entry.options["iops"])
        with suppress(Unable):
            site.power.limit_writes(entry.machine, limit)
            return f"{entry.machine} may write {limit} times a second to its disk"
    return _throttle_process(site, entry)


def _throttle_process(site: Site, entry: Entry) -> str:
    process, limit = entry.options.get("process", _PROCESS), entry.options["iops"]
    # record every limit before it is set: the heal removes all of them
    command = f"""{DISK}{LIMIT}
{scratch.make(entry)}
disk=$(disk {ETCD_DATA})
for pid in $(pgrep -x {shlex.quote(processes.short(process))}); do
  file=$(limit_file "$pid")
  echo "$file $disk" >>{scratch.folder(entry)}/limits
  limit "$file" "$disk" {limit} && grep -F "$disk " "$file"
done
"""

    def throttled() -> str:
        said = site.guests.run(entry.machine, command).output.split()
        if not said:
            raise NotYet(f"{process} does not run")
        return f"{process} may write {limit} times a second to the disk {said[0]}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{process} on {entry.machine} to be throttled", throttled, deadline)


def _let_write(site: Site, entry: Entry) -> None:
    site.power.limit_writes(entry.machine, None)
    limits = f"{scratch.folder(entry)}/limits"
    # a control group that no longer exists has no limit either
    command = f"""{LIMIT}
[ ! -e {limits} ] || sort -u {limits} | while read -r file disk; do [ ! -e "$file" ] || limit "$file" "$disk" 0; done
"""
    site.guests.run(entry.machine, f"set -e{command}\n{scratch.forget(entry)}")


FAULTS = (
    Fault(
        "fill-disk",
        "Fill the disk that etcd writes to, until it is healed.",
        _fill,
        _make_room,
        target=FaultTarget.MEMBER,
        needs=frozenset({Capability.OWN_DISK}),
        check=_require_own_disk,
    ),
    Fault(
        "throttle-disk",
        "Limit how often a machine, or one of its processes, may write to etcd's disk, until it is healed.",
        _throttle,
        _let_write,
        {
            "process": Option(
                "the name of a process (default: all of a virtual machine, or etcd in a container)",
                processes.PROCESS.pattern,
                "etcd",
                "",
            ),
            "iops": Option("a number of writes a second", r"[1-9][0-9]{0,4}", "20"),
        },
        target=FaultTarget.MEMBER,
        needs=frozenset({Capability.DISK_THROTTLE}),
    ),
)
