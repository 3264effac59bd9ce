"""The targets in scenario files: names of machines, and roles that are resolved at run time."""

from __future__ import annotations

import re
from enum import StrEnum

from halab.config.etcd import MOST_MEMBERS, Topology
from halab.config.leader_roles import ETCD, LEASED_ROLES
from halab.config.roles import MOST_BALANCERS, Role

# In an expectation: the control planes that a fault did not hit. In an option: all machines except the fault's own.
OTHERS = "others"
# Only in an option, and not a list of machines: all that is on the lab's network, the host included.
EVERYONE = "everyone"
ALL_CONTROL_PLANES = "all-cp"
# The machines with an etcd member: all control planes, or the machines of its own.
ALL_MEMBERS = "all-etcd"
# One machine, or both load balancers. `all-lb` says in the scenarios for two load balancers that both are meant.
BALANCER, ALL_BALANCERS = "lb", "all-lb"
# The machine that has the virtual address: one of two load balancers, or with kube-vip one of the control planes.
VIP_HOLDER = "vip-holder"
MOST_CONTROL_PLANES = 5
MOST_WORKERS = 20


class TargetKind(StrEnum):
    """The kinds of machines that a lab is made of."""

    CONTROL_PLANE = "control plane"
    WORKER = "worker"
    BALANCER = "load balancer"
    ETCD = "etcd machine"


_EVERY_KIND = frozenset(TargetKind)
# An etcd member is on a control plane, or on a machine of its own: a lab has only one of the two.
_MEMBERS = frozenset({TargetKind.CONTROL_PLANE, TargetKind.ETCD})
_OF_MEMBERS = (ETCD.leader, "etcd-follower", "etcd-followers", ALL_MEMBERS)
ROLES: dict[str, frozenset[TargetKind]] = {
    **dict.fromkeys((BALANCER, ALL_BALANCERS), frozenset({TargetKind.BALANCER})),
    VIP_HOLDER: frozenset({TargetKind.BALANCER, TargetKind.CONTROL_PLANE}),
    "all": _EVERY_KIND,
    **dict.fromkeys(
        (*(role.leader for role in LEASED_ROLES), "any-cp", ALL_CONTROL_PLANES),
        frozenset({TargetKind.CONTROL_PLANE}),
    ),
    **dict.fromkeys(_OF_MEMBERS, _MEMBERS),
}
# Roles that several machines have at once.
SEVERAL = frozenset({"all", ALL_CONTROL_PLANES, ALL_BALANCERS, "etcd-followers", ALL_MEMBERS})


class FaultTarget(StrEnum):
    """The machines that a fault makes sense on."""

    CONTROL_PLANE = "a control plane"
    MEMBER = "a machine with an etcd member"
    NODE = "a node"
    BALANCER = "the load balancer"
    ANY = "any machine"

    @property
    def kinds(self) -> frozenset[TargetKind]:
        """The kinds of machines that it can mean in any lab."""
        return _KINDS_AT[self]

    def kinds_in(self, topology: Topology, *, on_nodes: bool = False) -> frozenset[TargetKind]:
        """The kinds of machines that it means in labs of one topology; `on_nodes`: every node has a load balancer."""
        if self is FaultTarget.BALANCER and on_nodes:
            return FaultTarget.NODE.kinds
        return frozenset({member_kind(topology)}) if self is FaultTarget.MEMBER else self.kinds


_KINDS_AT = {
    FaultTarget.CONTROL_PLANE: frozenset({TargetKind.CONTROL_PLANE}),
    FaultTarget.MEMBER: _MEMBERS,
    FaultTarget.NODE: frozenset({TargetKind.CONTROL_PLANE, TargetKind.WORKER}),
    FaultTarget.BALANCER: frozenset({TargetKind.BALANCER}),
    FaultTarget.ANY: _EVERY_KIND,
}

_MACHINE = re.compile(rf"(?P<kind>{'|'.join(Role)})(?P<number>[1-9]\d?)", re.ASCII)
# The control plane whose API server the kubelet of a worker is connected to: `backend-of w1`.
_BACKEND_OF = re.compile(rf"backend-of (?P<node>{Role.WORKER}[1-9]\d?)", re.ASCII)
_KINDS = {
    Role.CONTROL_PLANE: TargetKind.CONTROL_PLANE,
    Role.WORKER: TargetKind.WORKER,
    Role.LOAD_BALANCER: TargetKind.BALANCER,
    Role.ETCD: TargetKind.ETCD,
}


def kind_of(name: str) -> TargetKind | None:
    """The kind of a machine by its name; None if it is not the name of a machine."""
    match = _MACHINE.fullmatch(name)
    return _KINDS[Role(match["kind"])] if match else None


def number_of(name: str) -> int:
    """3 for `cp3`; 0 if it is not the name of a machine."""
    match = _MACHINE.fullmatch(name)
    return int(match["number"]) if match else 0


def node_in(target: str) -> str | None:
    """`w1` for `backend-of w1`; None for another target."""
    match = _BACKEND_OF.fullmatch(target)
    return match["node"] if match else None


def kinds_of(target: str, topology: Topology | None = None) -> frozenset[TargetKind]:
    """The kinds of machines that a name or a role can mean, in any lab or in those of one topology.

    Empty if it is neither a name nor a role, and for an etcd machine in a stacked lab, which has none.
    """
    kind = TargetKind.CONTROL_PLANE if node_in(target) else kind_of(target)
    kinds = frozenset({kind}) if kind else ROLES.get(target, frozenset())
    if topology is Topology.EXTERNAL and target in _OF_MEMBERS:
        return kinds - {TargetKind.CONTROL_PLANE}
    return kinds - {TargetKind.ETCD} if topology is Topology.STACKED else kinds


def member_kind(topology: Topology) -> TargetKind:
    """The kind of the machines that have an etcd member."""
    return TargetKind.ETCD if topology is Topology.EXTERNAL else TargetKind.CONTROL_PLANE


# The largest number of machines of a kind that a lab can have.
MOST = {
    TargetKind.CONTROL_PLANE: MOST_CONTROL_PLANES,
    TargetKind.WORKER: MOST_WORKERS,
    TargetKind.BALANCER: MOST_BALANCERS,
    TargetKind.ETCD: MOST_MEMBERS,
}
