"""What the machines of a lab can really do. It is probed on one of them, and never assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from halab.config.lab import DiskCache, ProviderKind
from halab.config.lab_traits import Capability
from halab.errors import HalabError, LabProblem
from halab.faults.disk import DISK, ETCD_DATA
from halab.faults.site import Site

_OF_A_CONTAINER = {
    Capability.OWN_CLOCK: "a container shares the clock of its host",
    Capability.OWN_KERNEL: "a container shares the kernel of its host",
    Capability.OWN_DISK: "a container shares the disk of its host",
}
_UNSAFE = "the lab file says disk_cache: unsafe, so flushed data may not be on the disk"
_NO_NAME = "the lab file gives the endpoint no name (`endpoint: api.lab.example`)"
_TRIED = {
    Capability.NETEM: "the kernel cannot delay packets",
    Capability.TBF: "the kernel cannot limit the rate of packets",
    Capability.NFT_NUMGEN: "the kernel cannot choose packets by chance",
    Capability.DISK_THROTTLE: "the kernel does not limit writes to the disk",
}
_PROBE_SECONDS = 30
# At 4 writes a second, the first 4 of 8 may pass at once. With qemu-io, 8 took 760 ms, and 17 ms without a limit.
_WRITES, _WRITES_A_SECOND, _DELAYED_MILLISECONDS = 8, 4, 500
# For 3 writes at 10 a second: the first may pass at once, and a machine may be slow without a limit.
_SLOW_MILLISECONDS = 150

# Prints lines of NAME and `yes`, or NAME and the reason why not. Rules and queues are tried in a network namespace that
# ends with its process. The disk is tried in a control group that is removed again: unlimited, 3 writes of a block took
# 5 ms.
_PROBE = f"""{DISK}
tell() {{ echo "$1 ${{2:-yes}}"; }}
failed() {{ local said; said=$("$@" 2>&1) || head -n 1 <<<"${{said:-it failed}}" | sed "s|^Error: ||; s|[.]$||"; }}
alone() {{ failed unshare -n bash -c "$1"; }}

throttle() {{
  local group=/sys/fs/cgroup/blkio/halab-probe file={ETCD_DATA}/halab-probe disk begin took
  disk=$(disk {ETCD_DATA})
  [ -d /sys/fs/cgroup/blkio ] || group=/sys/fs/cgroup/halab-probe
  # the kernel releases a control group a moment after its last process
  trap "rm -f $file; rmdir $group 2>/dev/null || {{ sleep 0.2; rmdir $group; }}" RETURN
  mkdir -p $group || return
  if [ -e $group/io.max ]; then
    echo "$disk wiops=10" >$group/io.max || return
  else
    echo "$disk 10" >$group/blkio.throttle.write_iops_device || return
  fi
  begin=$(date +%s%N)
  bash -c "echo \\$\\$ >$group/cgroup.procs &&
    exec dd if=/dev/zero of=$file bs=4k count=3 oflag=dsync status=none" || return
  took=$((($(date +%s%N) - begin) / 1000000))
  [ $took -ge {_SLOW_MILLISECONDS} ] || {{ echo "3 writes at 10 a second took $took ms"; return 1; }}
}}

tell container "$(systemd-detect-virt -cq || echo no)"
tell netem "$(alone 'tc qdisc add dev lo root netem delay 1ms')"
tell tbf "$(alone 'tc qdisc add dev lo root tbf rate 1mbit burst 10kb latency 50ms')"
tell nft-numgen "$(alone 'nft add table inet halab_probe && nft add chain inet halab_probe c &&
  nft add rule inet halab_probe c numgen random mod 100 lt 30 drop')"
tell disk-throttle "$(failed throttle)"
"""

# Prints how many milliseconds synchronous writes to the disk took.
_WRITE = f"""
file=/var/lib/halab-probe
trap "rm -f $file" EXIT
begin=$(date +%s%N)
dd if=/dev/zero of=$file bs=4k count={_WRITES} oflag=dsync status=none
echo $((($(date +%s%N) - begin) / 1000000))
"""


@dataclass(frozen=True)
class Capabilities:
    """`has` are the names of the capabilities of a lab; `lacking` says why it lacks the others."""

    has: frozenset[str]
    lacking: Mapping[str, str]


def ruled_out(provider: ProviderKind, disk_cache: DiskCache, *, has_name: bool) -> dict[Capability, str]:
    """What a lab cannot do as its file says, and why. `has_name`: its endpoint has a name."""
    lacking = dict(_OF_A_CONTAINER) if provider is ProviderKind.DOCKER else {}
    if disk_cache is DiskCache.UNSAFE and provider is ProviderKind.LIBVIRT:
        lacking[Capability.SAFE_DISK] = _UNSAFE
    if not has_name:
        lacking[Capability.ENDPOINT_NAME] = _NO_NAME
    return lacking


def probe(site: Site) -> Capabilities:
    """Try every capability on the first control plane, and leave nothing behind. The other machines are equal to it."""
    machine = site.lab.control_planes[0].name
    output = site.guests.run(machine, _PROBE, timeout_seconds=_PROBE_SECONDS).output
    answers = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    try:
        is_container = answers.pop("container") == "yes" or site.lab.provider is ProviderKind.DOCKER
        results = {name: answers[str(name)] for name in _TRIED}
    except KeyError as error:
        raise LabProblem(
            f"{machine} did not say whether it can do {error}: {output.strip()[-200:]}"
        ) from error
    results = {name: why if why == "yes" else f"{_TRIED[name]}: {why}" for name, why in results.items()}
    if not is_container:
        results[Capability.DISK_THROTTLE] = _throttled(site)
    provider = ProviderKind.DOCKER if is_container else site.lab.provider
    known = ruled_out(provider, site.lab.disk_cache, has_name=site.lab.endpoint_name is not None)
    results |= {name: known.get(name, "yes") for name in Capability if name not in _TRIED}
    return Capabilities(
        has=frozenset(name for name, why in results.items() if why == "yes"),
        lacking={name: why for name, why in sorted(results.items()) if why != "yes"},
    )


def _throttled(site: Site) -> str:
    """`yes`, or why the hypervisor does not limit writes. Tried on a machine without etcd, if there is one."""
    machine = (*site.lab.balancers, *site.lab.workers, *site.lab.control_planes)[0].name

    def write() -> int:
        return int(site.guests.run(machine, _WRITE, timeout_seconds=_PROBE_SECONDS).output)

    try:
        free = write()
        site.power.limit_writes(machine, _WRITES_A_SECOND)
        try:
            limited = write()
        finally:
            site.power.limit_writes(machine, None)
    except (HalabError, ValueError) as error:
        return f"the hypervisor does not limit writes to the disk: {error}"
    if limited - free >= _DELAYED_MILLISECONDS:
        return "yes"
    took = f"{_WRITES} writes took {free} ms, and {limited} ms at {_WRITES_A_SECOND} a second"
    return f"the hypervisor does not limit writes to the disk: {took}"
