"""What must be true before a lab changes its size: nothing has been made yet when these checks refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from halab.errors import BadUsage, LabProblem
from halab.machines.power import PowerState
from halab.machines.provider import LabMachines
from halab.topology import balancer
from halab.topology.lab import Lab, Machine

_HEAL = "`halab status` shows what is wrong; heal open faults with `halab heal`, or start machines with `halab up`"


def new_machines(lab: Lab, goal: Lab) -> list[Machine]:
    """The machines that the lab lacks."""
    names = {machine.name for machine in lab.machines}
    return [machine for machine in goal.machines if machine.name not in names]


def require_known_to_balancers(largest: Lab, goal: Lab, new: Sequence[Machine]) -> None:
    """Raise BadUsage if a configuration of the user's own does not follow the control planes of the lab."""
    file = goal.balancer_file
    if file is None:
        return
    text = balancer.rendered(goal, file)
    missing = [m.name for m in new if m in goal.control_planes and not _names(text, m)]
    gone = [machine for machine in largest.control_planes if machine not in goal.control_planes]
    stale = [machine.name for machine in gone if _names(text, machine)]
    wrong = f"has no server for {', '.join(missing)}" if missing else f"still has {', '.join(stale)}"
    if missing or stale:
        raise BadUsage(
            f"the load balancer's configuration {wrong}: {file.path}",
            hint="write a template that loops over lab.control_planes, so that its servers follow the lab",
        )


def _names(text: str, machine: Machine) -> bool:
    """Whether a configuration has the machine, by its address or its name."""
    words = "|".join(map(re.escape, (str(machine.address), machine.name, machine.hostname)))
    return bool(re.search(rf"(?<![\w.-])({words})(?![\w-]|\.\w)", text))


def require_all_healthy(voters: Mapping[str, bool]) -> None:
    """Raise LabProblem if an etcd member does not work: one more would make the majority larger."""
    silent = [name for name, is_healthy in voters.items() if not is_healthy]
    if silent:
        raise LabProblem(
            f"no machine can be added while an etcd member does not work: {', '.join(silent)}", hint=_HEAL
        )


def order(leaving: Sequence[Machine], voters: Mapping[str, bool]) -> list[Machine]:
    """The machines in the order in which they leave: workers, then dead members, then the last control plane first.

    A dead member counts for the majority until it is removed.
    """
    last_first = list(reversed(leaving))
    last_first.sort(key=lambda machine: (machine.name in voters, voters.get(machine.name, False)))
    return last_first


def require_quorum(leaving: Sequence[str], voters: Mapping[str, bool]) -> None:
    """Raise LabProblem if etcd would lose its majority before, while or after these members leave, in this order."""
    left = dict(voters)
    for name in (None, *(name for name in leaving if name in voters)):
        if name is not None:
            del left[name]
        working = [member for member, is_healthy in left.items() if is_healthy]
        needed = len(left) // 2 + 1
        if len(working) < needed:
            when = f"without {name}, " if name else ""
            raise LabProblem(
                f"{when}etcd needs {needed} of {', '.join(left)}, but only "
                f"{', '.join(working) or 'none'} work{'s' if len(working) == 1 else ''}",
                hint=_HEAL,
            )


def require_thawed(machines: LabMachines, goal: Lab) -> None:
    """Raise LabProblem if a machine that stays is frozen: it would never answer."""
    stay = {machine.name for machine in goal.machines}
    frozen = [
        machine.name
        for machine in machines.lab.machines
        if machine.name in stay and machines.state(machine.name) is PowerState.FROZEN
    ]
    if frozen:
        raise LabProblem(f"these machines are frozen: {', '.join(frozen)}", hint=_HEAL)
