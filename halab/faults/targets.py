"""Which machine a fault hits: by name, or by its role at this moment."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from halab.cluster import etcd, kube
from halab.cluster.api import Api
from halab.errors import BadUsage, LabProblem
from halab.machines.guests import Guests
from halab.topology.lab import Lab


def resolve(
    target: str, *, lab: Lab, guests: Guests, api: Api, chosen: Mapping[str, list[str]], seed: int
) -> list[str]:
    """The machines that a target means now. `chosen` are the machines of earlier faults, by the fault's name."""
    names = [machine.name for machine in lab.machines]
    control_planes = [machine.name for machine in lab.control_planes]
    if target in chosen:
        return chosen[target]
    if target in names:
        return [target]
    roles: dict[str, Callable[[], list[str]]] = {
        "lb": lambda: [lab.balancer.name],
        "all-cp": lambda: control_planes,
        "any-cp": lambda: [random.Random(seed).choice(control_planes)],
        "etcd-leader": lambda: [etcd.leader(guests, lab)],
        "etcd-follower": lambda: [_follower(guests, lab, seed)],
        "kcm-leader": lambda: [_holder(api, "kube-controller-manager")],
        "scheduler-leader": lambda: [_holder(api, "kube-scheduler")],
    }
    if target not in roles:
        raise BadUsage(f"no such target: {target}", hint=f"the lab has {', '.join([*names, *roles])}")
    return roles[target]()


def _follower(guests: Guests, lab: Lab, seed: int) -> str:
    leader = etcd.leader(guests, lab)
    followers = [machine.name for machine in lab.control_planes if machine.name != leader]
    if not followers:
        raise LabProblem("etcd has no follower: the lab has one control plane")
    return random.Random(seed).choice(followers)


def _holder(api: Api, lease: str) -> str:
    machine = kube.leaders(api)[lease]
    if machine is None:
        raise LabProblem(f"nobody leads {lease}")
    return machine
