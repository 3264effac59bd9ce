"""Find the machines that a fault hits: by name, or by their role at this moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from halab.cluster import etcd, kube, node_choice, virtual_address
from halab.cluster.api import Api
from halab.config import placeholders
from halab.config.fault_spec import with_texts
from halab.config.leader_roles import ETCD, LEASED_ROLES
from halab.config.placeholders import SELF, Part
from halab.config.targets import (
    ALL_BALANCERS,
    ALL_CONTROL_PLANES,
    ALL_MEMBERS,
    BALANCER,
    EVERYONE,
    OTHERS,
    VIP_HOLDER,
    TargetKind,
    kind_of,
    kinds_of,
    node_in,
)
from halab.errors import BadUsage, LabProblem
from halab.faults.fault import Fault
from halab.machines.guests import Guests
from halab.topology.lab import Lab, Machine


@dataclass(frozen=True)
class Targets:
    """Finds machines. `chosen` are the machines of earlier faults, by name; `seed` decides among equal machines.

    `texts` are the texts of the files that options name, by path.
    """

    lab: Lab
    guests: Guests
    api: Api
    chosen: Mapping[str, list[str]]
    seed: int
    texts: Mapping[str, str] = field(default_factory=dict)

    def machines(self, targets: Sequence[str]) -> list[str]:
        """The machines that the targets mean now, without duplicates, in the order of the targets."""
        machines = (machine for target in targets for machine in self._machines(target))
        return list(dict.fromkeys(machines))

    def options(self, fault: Fault, given: Mapping[str, str], machine: str) -> dict[str, str]:
        """The options of a fault for one machine: with the texts of files, machines by name, and no placeholders."""
        options = fault.complete(with_texts(fault, given, self.texts))
        for name, value in options.items():
            option = fault.options[name]
            if not option.is_target:
                options[name] = self.filled(value, machine, is_structured=option.reads is not None)
            elif value != EVERYONE:
                options[name] = ",".join(self._others_than(machine, value))
        # a value may be wrong only now: `mode: "{cp1}"`
        wrong = list(fault.problems_with(options))
        if wrong:
            raise BadUsage("; ".join(wrong))
        return options

    def filled(self, text: str, machine: str, *, is_structured: bool = False) -> str:
        """An option or a script for a machine, with its placeholders replaced."""

        def meaning(target: str, part: Part) -> str:
            try:
                names = [machine] if target == SELF else self._machines(target)
            except BadUsage as error:
                hint = f"write \\{{{target}}} if it is not a placeholder; {error.hint}"
                raise BadUsage(f"no such machine or role: {{{target}}}", hint=hint) from error
            return ",".join(part_of(self.lab.machine(name), part) for name in names)

        return placeholders.fill(text, meaning, is_structured=is_structured)

    def _others_than(self, machine: str, target: str) -> list[str]:
        names = (
            [machine.name for machine in self.lab.machines] if target == OTHERS else self._machines(target)
        )
        others = [name for name in names if name != machine]
        if not others:
            raise BadUsage(
                f"{target} means no machine but {machine}, the machine of the fault: name another machine"
            )
        return others

    def _machines(self, target: str) -> list[str]:
        names = [machine.name for machine in self.lab.machines]
        control_planes = [machine.name for machine in self.lab.control_planes]
        members = [machine.name for machine in self.lab.members]
        balancers = [machine.name for machine in self.lab.balancers]
        if target in self.chosen:
            return self.chosen[target]
        if target in names:
            return [target]
        if node := node_in(target):
            return [node_choice.of(self.guests, self.lab, self._node(node))]
        if kinds_of(target) == {TargetKind.BALANCER} and not balancers:
            if self.lab.balancing_machines:
                hint = f"name a node, such as {self.lab.nodes[0].name}"
                raise BadUsage(f"every node of this lab has a load balancer of its own: {target}", hint=hint)
            raise BadUsage(
                f"no machine of this lab has a load balancer: {target}",
                hint=f"{self.lab.load_balancer.kind} runs on the control planes; `{VIP_HOLDER}` has the address",
            )
        roles: dict[str, Callable[[], list[str]]] = {
            BALANCER: lambda: balancers,
            ALL_BALANCERS: lambda: balancers,
            VIP_HOLDER: lambda: [virtual_address.holder(self.guests, self.lab)],
            "all": lambda: names,
            ALL_CONTROL_PLANES: lambda: control_planes,
            "any-cp": lambda: [random.Random(self.seed).choice(control_planes)],
            ETCD.leader: lambda: [etcd.leader(self.guests, self.lab)],
            "etcd-follower": lambda: [random.Random(self.seed).choice(self._followers())],
            "etcd-followers": self._followers,
            ALL_MEMBERS: lambda: members,
            **{role.leader: partial(self._holder, role.lease) for role in LEASED_ROLES},
        }
        if target not in roles:
            raise BadUsage(f"no such target: {target}", hint=f"the lab has {', '.join([*names, *roles])}")
        return roles[target]()

    def _node(self, name: str) -> str:
        nodes = [machine.name for machine in self.lab.nodes]
        if name not in nodes:
            raise BadUsage(f"no such node: {name}", hint=f"the lab has {', '.join(nodes)}")
        return name

    def _followers(self) -> list[str]:
        leader = etcd.leader(self.guests, self.lab)
        followers = [machine.name for machine in self.lab.members if machine.name != leader]
        if not followers:
            raise LabProblem("etcd has no follower: the lab has one member")
        return followers

    def _holder(self, lease: str) -> list[str]:
        machine = kube.leaders(self.api, self.lab)[lease]
        if machine is None:
            raise LabProblem(f"{lease} has no leader: nobody holds its lease")
        return [machine]


def part_of(machine: Machine, part: Part) -> str:
    """What a placeholder for a machine means."""
    match part:
        case Part.ADDRESS:
            return str(machine.address)
        case Part.NAME:
            return machine.name
        case Part.HOSTNAME:
            return machine.hostname


def require_target(lab: Lab, fault: Fault, options: Mapping[str, str], machine: str) -> None:
    """Raise BadUsage if a fault with these options makes no sense on a machine."""
    needed = fault.target_with(options)
    on_nodes = lab.load_balancer.kind.is_on_every_node
    if kind_of(machine) not in needed.kinds_in(lab.etcd_topology, on_nodes=on_nodes):
        raise BadUsage(f"{fault.name} needs {needed}, but this is another machine: {machine}")
