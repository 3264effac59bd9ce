"""Faults of CPU and memory: a machine has less of them than the lab file gives it."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.config.lab import ProviderKind
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, Unable
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

_EFFECT_SECONDS = 60
# Enough to log in over SSH and heal, while the machine does its other work.
_LEAST_MEBIBYTES = 64
# The use of memory changes all the time: this far from the target is close enough.
_NEAR_MEBIBYTES = 16

# The CPU limit of a container, from its own control group: what the kernel really applies.
CPUS = """
cpus() {
  local quota period
  if [ -e /sys/fs/cgroup/cpu/cpu.cfs_quota_us ]; then
    quota=$(cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us) period=$(cat /sys/fs/cgroup/cpu/cpu.cfs_period_us)
  else
    read -r quota period </sys/fs/cgroup/cpu.max
  fi
  echo "$quota $period"
}
"""

# Prints the machine's memory limit, and how much of it is neither used nor a cache that the kernel can drop, in MiB.
# Prints `none` for a container without a limit: the fault would fill the host's memory.
_MEMORY = """
memory() {
  local limit used file group=/sys/fs/cgroup
  if ! systemd-detect-virt -cq; then
    awk '$1 == "MemTotal:" { total = int($2 / 1024) } $1 == "MemAvailable:" { print total, int($2 / 1024) }' \\
      /proc/meminfo
    return
  elif [ -e $group/memory/memory.limit_in_bytes ]; then
    limit=$(cat $group/memory/memory.limit_in_bytes) used=$(cat $group/memory/memory.usage_in_bytes)
    file=$(awk '/^total_(in)?active_file / { sum += $2 } END { printf "%d", sum }' $group/memory/memory.stat)
  else
    limit=$(cat $group/memory.max) used=$(cat $group/memory.current)
    file=$(awk '/^(in)?active_file / { sum += $2 } END { printf "%d", sum }' $group/memory.stat)
  fi
  if [ "$limit" = max ] || [ "$limit" -gt $((1 << 50)) ]; then echo 'none none'; return; fi
  echo "$((limit >> 20)) $(((limit - used + file) >> 20))"
}
"""


def _require_fewer_cpus(site: Site, entry: Entry) -> None:
    given = site.lab.machine(entry.machine).cpus
    if float(entry.options["cpus"]) >= given:
        raise BadUsage(f"{entry.machine} has {given} cores: {entry.options['cpus']} is not fewer")
    if site.lab.provider is ProviderKind.LIBVIRT:
        # raises Unable if the host cannot remove a limit, and so must not set one
        site.power.limit_cpus(entry.machine, None)


def _starve_of_cpus(site: Site, entry: Entry) -> str:
    wanted = float(entry.options["cpus"])
    site.power.limit_cpus(entry.machine, wanted)
    if site.lab.provider is not ProviderKind.DOCKER:
        return f"{entry.machine} has {wanted:g} cores"

    def limited() -> str:
        quota, period = site.guests.run(entry.machine, f"{CPUS}cpus").output.split()
        if quota in ("max", "-1") or abs(int(quota) / int(period) - wanted) > 0.01:
            raise NotYet(f"its control group has {quota} µs of {period} µs")
        return f"{entry.machine} has {quota} µs of each {period} µs"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{entry.machine} to have {wanted:g} cores", limited, deadline, every_seconds=0.2)


def _give_cpus(site: Site, entry: Entry) -> None:
    site.power.limit_cpus(entry.machine, None)


def _require_memory_limit(site: Site, entry: Entry) -> None:
    leave = _mebibytes(entry)
    if leave < _LEAST_MEBIBYTES:
        raise BadUsage(f"leave at least {_LEAST_MEBIBYTES}M, which the heal needs: {leave}M")
    limit, free = site.guests.run(entry.machine, f"{_MEMORY}memory").output.split()
    if limit == "none":
        raise Unable(
            f"{entry.machine} has no memory limit of its own: the fault would take all of the host's memory"
        )
    if int(free) <= leave:
        raise BadUsage(f"{entry.machine} has {free}M of its {limit}M free: {leave}M is not less")


def _starve_of_memory(site: Site, entry: Entry) -> str:
    leave, held = _mebibytes(entry), _held(entry)
    site.guests.run(
        entry.machine, f"mkdir -p {held} && mount -t tmpfs -o size=100%,mode=700 halab-memory {held}"
    )
    # a file in memory counts for the control group of its writer, and the kernel cannot drop it
    take = f"""
{_MEMORY}
read -r limit free < <(memory)
available=$(awk '$1 == "MemAvailable:" {{ print int($2 / 1024) }}' /proc/meminfo)
more=$((free - {leave}))
if [ "$limit" != none ] && [ $more -gt 0 ] && [ $more -lt $available ]; then
  fallocate -o "$(stat -c %s {held}/memory 2>/dev/null || echo 0)" -l "${{more}}M" {held}/memory
fi
memory
"""

    def taken() -> str:
        limit, free = site.guests.run(entry.machine, take).output.split()
        if int(free) > leave + _NEAR_MEBIBYTES:
            raise NotYet(f"{free}M are free")
        return f"{free}M of {limit}M are free"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{entry.machine} to be short of memory", taken, deadline, every_seconds=0.2)


def _give_memory(site: Site, entry: Entry) -> None:
    held = _held(entry)
    # after a power cut the mount is gone
    site.guests.run(
        entry.machine,
        f"while mountpoint -q {held}; do umount {held}; done; rmdir {held} 2>/dev/null || true",
    )


def _held(entry: Entry) -> str:
    return f"/run/halab-memory-{entry.id}"


def _mebibytes(entry: Entry) -> int:
    return int(entry.options["leave"].removesuffix("M"))


FAULTS = (
    Fault(
        "starve-cpu",
        "Give a machine fewer cores than the lab file does, until it is healed.",
        _starve_of_cpus,
        _give_cpus,
        {"cpus": Option("the number of cores that are left", r"[1-9]?[0-9]*(\.[0-9]+)?(?<=[1-9])0*", "0.2")},
        target=FaultTarget.ANY,
        check=_require_fewer_cpus,
    ),
    Fault(
        "starve-memory",
        "Fill a machine's memory and leave only a little free, until it is healed.",
        _starve_of_memory,
        _give_memory,
        {"leave": Option("the memory that stays free", r"[1-9][0-9]{0,5}M", "100M")},
        target=FaultTarget.ANY,
        check=_require_memory_limit,
    ),
)
