"""The targets in scenario files: names of machines, and roles that are resolved at run time."""

from __future__ import annotations

import re
from enum import StrEnum

from halab.config.leader_roles import ETCD, LEASED_ROLES
from halab.config.roles import Role

# In an expectation: the control planes that a fault did not hit. In an option: all machines except the fault's own.
OTHERS = "others"
# Only in an option, and not a list of machines: all that is on the lab's network, the host included.
EVERYONE = "everyone"
ALL_CONTROL_PLANES = "all-cp"
# One machine, or both of a pair. `all-lb` says in the scenarios for a pair that both are meant.
BALANCER, ALL_BALANCERS = "lb", "all-lb"
# Of a pair, the machine that has the virtual address.
VIP_HOLDER = "vip-holder"
MOST_CONTROL_PLANES = 5
MOST_WORKERS = 20


class TargetKind(StrEnum):
    """The kinds of machines that a lab is made of."""

    CONTROL_PLANE = "control plane"
    WORKER = "worker"
    BALANCER = "load balancer"


_EVERY_KIND = frozenset(TargetKind)
ROLES: dict[str, frozenset[TargetKind]] = {
    **dict.fromkeys((BALANCER, ALL_BALANCERS, VIP_HOLDER), frozenset({TargetKind.BALANCER})),
    "all": _EVERY_KIND,
    **{
        role: frozenset({TargetKind.CONTROL_PLANE})
        for role in (
            ETCD.leader, "etcd-follower", "etcd-followers", *(role.leader for role in LEASED_ROLES), "any-cp",
            ALL_CONTROL_PLANES,
        )
    },
}  # fmt: skip
# Roles that several machines have at once.
SEVERAL = frozenset({"all", ALL_CONTROL_PLANES, ALL_BALANCERS, "etcd-followers"})


class FaultTarget(StrEnum):
    """The machines that a fault makes sense on."""

    CONTROL_PLANE = "a control plane"
    NODE = "a node"
    BALANCER = "the load balancer"
    ANY = "any machine"

    @property
    def kinds(self) -> frozenset[TargetKind]:
        return _KINDS_AT[self]


_KINDS_AT = {
    FaultTarget.CONTROL_PLANE: frozenset({TargetKind.CONTROL_PLANE}),
    FaultTarget.NODE: frozenset({TargetKind.CONTROL_PLANE, TargetKind.WORKER}),
    FaultTarget.BALANCER: frozenset({TargetKind.BALANCER}),
    FaultTarget.ANY: _EVERY_KIND,
}

_MACHINE = re.compile(rf"(?P<kind>{'|'.join(Role)})(?P<number>[1-9]\d?)", re.ASCII)
_KINDS = {
    Role.CONTROL_PLANE: TargetKind.CONTROL_PLANE,
    Role.WORKER: TargetKind.WORKER,
    Role.LOAD_BALANCER: TargetKind.BALANCER,
}


def kind_of(name: str) -> TargetKind | None:
    """The kind of a machine by its name; None if it is not the name of a machine."""
    match = _MACHINE.fullmatch(name)
    return _KINDS[Role(match["kind"])] if match else None


def number_of(name: str) -> int:
    """3 for `cp3`; 0 if it is not the name of a machine."""
    match = _MACHINE.fullmatch(name)
    return int(match["number"]) if match else 0


def kinds_of(target: str) -> frozenset[TargetKind]:
    """The kinds of machines that a name or a role can mean; empty if it is neither."""
    kind = kind_of(target)
    return frozenset({kind}) if kind else ROLES.get(target, frozenset())
