"""What each fault does to its machine and to etcd's data, as far as a verdict or a report depends on it.

A verdict and a report must not import the faults themselves (halab/faults): those act on machines. So these facts are
here, and a fault refers to its entry by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Faults that the scenario language or halab itself uses by name.
NOTHING = "nothing"
EDIT_BALANCER = "edit-balancer"
SNAPSHOT = "snapshot-etcd"
FREEZE = "freeze"
SHIFT_CLOCK = "shift-clock"


class DataLoss(StrEnum):
    """Which etcd members lose their data. Such a member starts again without it, and catches up with the others."""

    NONE = "none"
    OWN_MEMBER = "the member of the fault's machine"
    EVERY_MEMBER = "every member"


class MachineState(StrEnum):
    """What a fault turns a machine into, in the words of a report."""

    OFF = "off"
    FROZEN = "frozen"
    REMOVED = "removed"
    NO_NETWORK = "no network"


@dataclass(frozen=True)
class FaultFacts:
    """`is_lasting` is false for a fault that is over once it was injected (a kill, a reset): it heals by itself.

    `machine_becomes` is None for a fault that leaves the machine running and connected.
    """

    is_lasting: bool = True
    machine_becomes: MachineState | None = None
    loses_data: DataLoss = DataLoss.NONE


_LASTING = FaultFacts()
_OVER_AT_ONCE = FaultFacts(is_lasting=False)

# Every fault has an entry: tests/unit/faults/test_catalogue.py fails without one.
FAULT_FACTS: dict[str, FaultFacts] = {
    "kill-process": _OVER_AT_ONCE,
    "pause-process": _LASTING,
    "stop-service": _LASTING,
    "restart-service": _OVER_AT_ONCE,
    "hold-static-pod": _LASTING,
    "edit-manifest": _LASTING,
    "stray-manifest": _LASTING,
    EDIT_BALANCER: _LASTING,
    "hold-connections": _LASTING,
    "starve-cpu": _LASTING,
    "starve-memory": _LASTING,
    "fill-disk": _LASTING,
    "throttle-disk": _LASTING,
    SHIFT_CLOCK: _LASTING,
    "cut-link": FaultFacts(machine_becomes=MachineState.NO_NETWORK),
    "partition": _LASTING,
    "lose-packets": _LASTING,
    "delay-packets": _LASTING,
    "limit-rate": _LASTING,
    "drop-large-packets": _LASTING,
    "cut-power": FaultFacts(machine_becomes=MachineState.OFF),
    "reset": FaultFacts(is_lasting=False, machine_becomes=MachineState.OFF),
    "reboot": FaultFacts(is_lasting=False, machine_becomes=MachineState.OFF),
    FREEZE: FaultFacts(machine_becomes=MachineState.FROZEN),
    "lose-machine": FaultFacts(machine_becomes=MachineState.REMOVED, loses_data=DataLoss.OWN_MEMBER),
    "leave-cluster": FaultFacts(loses_data=DataLoss.OWN_MEMBER),
    "join-without-removing": FaultFacts(
        machine_becomes=MachineState.REMOVED, loses_data=DataLoss.OWN_MEMBER
    ),
    "join-with-expired-key": FaultFacts(
        machine_becomes=MachineState.REMOVED, loses_data=DataLoss.OWN_MEMBER
    ),
    "move-etcd-leader": _OVER_AT_ONCE,
    "lose-etcd-data": FaultFacts(loses_data=DataLoss.OWN_MEMBER),
    "corrupt-wal": FaultFacts(loses_data=DataLoss.OWN_MEMBER),
    "exhaust-etcd-quota": _LASTING,
    SNAPSHOT: _LASTING,
    # The others lose their data at once, and the machine's own member goes back to the snapshot.
    "lose-etcd-quorum": FaultFacts(loses_data=DataLoss.EVERY_MEMBER),
    "expire-certificate": _LASTING,
    "deny-by-webhook": _LASTING,
    NOTHING: _LASTING,
}


def facts_of(fault: str) -> FaultFacts:
    """The facts of a fault in a recorded run, which another version of halab may know and this one not."""
    return FAULT_FACTS.get(fault, _LASTING)
