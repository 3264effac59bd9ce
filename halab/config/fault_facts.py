"""What each fault does to its machine and to etcd's data, as far as a verdict or a report depends on it.

A verdict and a report must not import the faults themselves (halab/faults): those act on machines. So these facts are
here, by the name of the fault.
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
UPGRADE = "upgrade-kubernetes"


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
    """`is_lasting` is false for a fault that is over once it was injected (a kill, a reset): there is nothing to heal.

    `machine_becomes` is None for a fault that leaves the machine running and connected. `is_healed_by_join` is true for
    a fault that takes the machine out of the cluster. `longest_seconds` is a generous estimate of the time until it has
    its effect; most faults have a limit of one minute. `stays` says what no heal undoes: the next scenario needs a lab
    without it.
    """

    is_lasting: bool = True
    machine_becomes: MachineState | None = None
    loses_data: DataLoss = DataLoss.NONE
    is_healed_by_join: bool = False
    longest_seconds: float = 60.0
    stays: str = ""


_OVER_AT_ONCE = FaultFacts(is_lasting=False)
_LOST = FaultFacts(
    machine_becomes=MachineState.REMOVED, loses_data=DataLoss.OWN_MEMBER, is_healed_by_join=True
)

# The faults that are over at once, stop or cut off a machine, or lose data. All others have the defaults of FaultFacts.
FAULT_FACTS: dict[str, FaultFacts] = {
    "kill-process": _OVER_AT_ONCE,
    "restart-service": _OVER_AT_ONCE,
    "cut-link": FaultFacts(machine_becomes=MachineState.NO_NETWORK),
    "cut-power": FaultFacts(machine_becomes=MachineState.OFF),
    "reset": FaultFacts(is_lasting=False, machine_becomes=MachineState.OFF),
    "reboot": FaultFacts(is_lasting=False, machine_becomes=MachineState.OFF),
    FREEZE: FaultFacts(machine_becomes=MachineState.FROZEN),
    "lose-machine": _LOST,
    "leave-cluster": FaultFacts(loses_data=DataLoss.OWN_MEMBER, is_healed_by_join=True),
    "join-without-removing": _LOST,
    "join-with-expired-key": _LOST,
    "move-etcd-leader": _OVER_AT_ONCE,
    "lose-etcd-data": FaultFacts(loses_data=DataLoss.OWN_MEMBER),
    "corrupt-wal": FaultFacts(loses_data=DataLoss.OWN_MEMBER),
    # The others lose their data at once, and the machine's own member goes back to the snapshot.
    "lose-etcd-quorum": FaultFacts(loses_data=DataLoss.EVERY_MEMBER),
    "defragment": _OVER_AT_ONCE,
    # three control planes: 11 min 28 s on a busy host with two cores
    UPGRADE: FaultFacts(longest_seconds=1800.0, stays="the run has upgraded Kubernetes"),
}
_ORDINARY = FaultFacts()


def facts_of(fault: str) -> FaultFacts:
    """The facts of a fault by its name. A recorded run may name a fault that this version of halab does not know."""
    return FAULT_FACTS.get(fault, _ORDINARY)
