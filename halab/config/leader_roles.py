"""The components that elect a leader, and the names of the leaders in scenarios and in recorded runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LeaderRole:
    """`leader` is the target, the fact and the sampled state that mean the machine of the leader."""

    component: str
    leader: str


@dataclass(frozen=True)
class LeasedRole(LeaderRole):
    """A component that elects its leader with a lease of the Kubernetes API.

    `lease` is the name of the lease, and of the component's process and static pod. `holder` is the sampled state that
    means the process of the leader, which changes with each restart. The component says on `metrics_port` whether it
    leads.
    """

    lease: str
    holder: str
    metrics_port: int


ETCD = LeaderRole("etcd", "etcd-leader")
LEASED_ROLES = (
    LeasedRole("controller-manager", "kcm-leader", "kube-controller-manager", "kcm-holder", 10257),
    LeasedRole("scheduler", "scheduler-leader", "kube-scheduler", "scheduler-holder", 10259),
)
LEADER_ROLES = (ETCD, *LEASED_ROLES)
