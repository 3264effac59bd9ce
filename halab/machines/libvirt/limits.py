"""Limits on what a virtual machine may take of its host's processors and disk, while it runs.

They are put to domains that `Hypervisor` has found, so that the library has one home.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from halab.errors import HostProblem, Unable
from halab.topology.lab import Machine

# VIR_DOMAIN_AFFECT_LIVE of libvirt's domain API: what is written down of the domain stays as it is.
_LIVE = 1
# VIR_CGROUP_CPU_QUOTA_MAX: what libvirt tells of `max` in control groups v2. Those of v1 say -1.
_NO_QUOTA = 17_592_186_044_415


def of_cpus(library: Any, domain: Any, machine: Machine, cpus: float | None) -> None:
    """libvirt does it with control groups: Unable where it has none.

    HostProblem where what is told back is not what was asked for.
    """
    share = -1 if cpus is None else max(1000, round(cpus / machine.cpus * 100_000))
    try:
        domain.setSchedulerParametersFlags({"vcpu_period": 100_000, "vcpu_quota": share}, _LIVE)
        told = int(domain.schedulerParametersFlags(_LIVE).get("vcpu_quota", share))
    except library.libvirtError as error:
        if not domain.isActive() or error.get_error_code() not in (
            library.VIR_ERR_OPERATION_INVALID,
            library.VIR_ERR_CONFIG_UNSUPPORTED,
            library.VIR_ERR_NO_SUPPORT,
        ):
            raise
        raise Unable(f"libvirt limits no processors here: {error.get_error_message()}") from error
    is_free = told <= 0 or told >= _NO_QUOTA
    if told != share and not (cpus is None and is_free):
        raise HostProblem(f"{machine.name} may run {told} µs of 100000, not {share}")


def of_writes(domain: Any, machine: Machine, per_second: int | None) -> None:
    """qemu itself delays writes. A second's worth may pass at once: no burst may be smaller, and libvirt's test driver
    wants one. HostProblem where what is told back is not what was asked for.
    """
    wanted = per_second or 0
    tree = ElementTree.fromstring(domain.XMLDesc())
    for each in tree.findall("./devices/disk[@device='disk']/target"):
        disk = each.get("dev", "")
        domain.setBlockIoTune(disk, {"write_iops_sec": wanted, "write_iops_sec_max": wanted}, _LIVE)
        told = domain.blockIoTune(disk, _LIVE)["write_iops_sec"]
        if told != wanted:
            raise HostProblem(f"{disk} of {machine.name} may write {told} times a second, not {wanted}")
