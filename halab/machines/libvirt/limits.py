"""Limits on a running virtual machine's use of its host's processors and disk."""

from __future__ import annotations

from xml.etree import ElementTree

from halab.errors import HostProblem, Unable
from halab.machines.libvirt.handles import Domain
from halab.topology.lab import Machine

# VIR_CGROUP_CPU_QUOTA_MAX: libvirt's number for `max` in control groups v2. For those of v1 it says -1.
_NO_QUOTA = 17_592_186_044_415


def of_cpus(domain: Domain, machine: Machine, cpus: float | None) -> None:
    """Limit the processor time of all the machine's cores together; None is no limit. Its definition stays as it is.

    libvirt does it with control groups. Raises Unable if there are none, and HostProblem if libvirt then reports
    another limit.
    """
    import libvirt

    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    share = -1 if cpus is None else max(1000, round(cpus / machine.cpus * 100_000))
    try:
        domain.setSchedulerParametersFlags({"vcpu_period": 100_000, "vcpu_quota": share}, live)
        reported = int(domain.schedulerParametersFlags(live).get("vcpu_quota", share))
    except libvirt.libvirtError as error:
        if not domain.isActive() or error.get_error_code() not in (
            libvirt.VIR_ERR_OPERATION_INVALID,
            libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
            libvirt.VIR_ERR_NO_SUPPORT,
        ):
            raise
        raise Unable(f"libvirt cannot limit processors here: {error.get_error_message()}") from error
    is_free = reported <= 0 or reported >= _NO_QUOTA
    if reported != share and not (cpus is None and is_free):
        seen = f"it reports {reported} µs of 100000, not {share}"
        raise HostProblem(f"libvirt did not set the limit of processor time of {machine.name}: {seen}")


def of_writes(domain: Domain, machine: Machine, per_second: int | None) -> None:
    """Limit the writes to every disk of the machine; None is no limit. Its definition stays as it is.

    qemu itself delays writes. A burst of one second's writes may pass: none may be smaller, and libvirt's test driver
    wants one. Raises HostProblem if the limit that libvirt then reports is another one.
    """
    import libvirt

    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    wanted = per_second or 0
    tree = ElementTree.fromstring(domain.XMLDesc())
    for target in tree.findall("./devices/disk[@device='disk']/target"):
        disk = target.get("dev", "")
        domain.setBlockIoTune(disk, {"write_iops_sec": wanted, "write_iops_sec_max": wanted}, live)
        reported = domain.blockIoTune(disk, live)["write_iops_sec"]
        if reported != wanted:
            raise HostProblem(f"{disk} of {machine.name} may write {reported} times a second, not {wanted}")
