"""How many labs of a matrix this host can have at the same time."""

from __future__ import annotations

from collections.abc import Sequence

from halab.config import lab_rules
from halab.config.lab import LabFile
from halab.doctor.capacity import free_mebibytes
from halab.doctor.host import Host

# One lab is measured well on two cores. Two labs on two cores disturb each other so much that gaps of the sampler end
# runs in errors. Nothing in between was measured.
_CORES = 4


def fitting(labs: Sequence[LabFile], host: Host) -> int:
    """How many of these labs can be up and measured at the same time, at least 1.

    Each needs the memory that its file allows its machines, and four cores.
    """
    free = free_mebibytes(host)
    if not labs or free is None:
        return 1
    return max(1, min(len(labs), host.cores // _CORES, free // max(map(mebibytes, labs))))


def mebibytes(lab: LabFile) -> int:
    """The memory of all machines of a lab, as its file limits it."""
    sizes = lab.machines.by_name
    return sum(
        (name in sizes and sizes[name].memory) or lab_rules.role_size(lab, role).memory
        for name, role in lab_rules.names(lab).items()
    )
