"""The faults that a soak injects, with what shows each of them, and the machines that a lab may lose."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from halab.config.etcd import Topology
from halab.config.fault_facts import facts_of
from halab.config.loading import listed, similar
from halab.config.targets import FaultTarget
from halab.errors import BadUsage, LabProblem
from halab.faults.catalogue import FAULTS
from halab.topology.lab import Lab

_MEMBER, _CONTROL_PLANE, _ANY = FaultTarget.MEMBER, FaultTarget.CONTROL_PLANE, FaultTarget.ANY
# Generous limits: a round is about data that may be lost, and not about times. The kubelet waits up to five minutes
# before it starts a container again that has died often.
SHOWN, STARTED_AGAIN = "within 60s", "within 6m"
# Stands for the probe that asks a machine of a group.
_PROBE_OF_GROUP = "{probe}"


class Part(StrEnum):
    """What a fault breaks. Two faults of the same part of a machine would disturb each other."""

    ETCD = "etcd"
    API_SERVER = "API server"
    NETWORK = "network"
    PROCESSOR = "processor"
    # Nothing else can be done on a machine while one of these is broken.
    AGENT = "kubelet or containerd"
    MACHINE = "machine"

    @property
    def is_exclusive(self) -> bool:
        return self in (Part.AGENT, Part.MACHINE)


@dataclass(frozen=True)
class Act:
    """A fault with its options. `shows` is the expectation that cannot be met without it, if there is one."""

    fault: str
    part: Part
    on: FaultTarget
    options: Mapping[str, str] = field(default_factory=dict)
    shows: Mapping[str, Any] | None = None

    @property
    def is_lasting(self) -> bool:
        return facts_of(self.fault).is_lasting

    def can_join(self, others: Sequence[Act]) -> bool:
        """True if it can be injected on a machine that has these faults."""
        return not others or not (
            self.part.is_exclusive
            or any(other.part.is_exclusive or other.part is self.part for other in others)
        )


@dataclass(frozen=True)
class Group:
    """Machines of one kind, of which the lab may lose `may_lose` at a time. `roles` are roles that one of them has."""

    machines: tuple[str, ...]
    roles: tuple[str, ...]
    runs: frozenset[FaultTarget]
    may_lose: int

    @property
    def probe(self) -> str:
        """The probe that asks one of these machines. That of an API server also needs the etcd member beside it."""
        return "ready-direct" if _CONTROL_PLANE in self.runs else "etcd-direct"

    @property
    def needs(self) -> str:
        """The requirement of a scenario that says how many of these machines the lab must have."""
        return "control_planes" if _CONTROL_PLANE in self.runs else "members"

    def takes(self, act: Act) -> bool:
        return act.on is _ANY or act.on in self.runs

    def shown(self, act: Act) -> dict[str, Any]:
        """The expectation that shows a fault on one of these machines; empty if nothing shows it for certain."""
        if act.shows is None:
            return {}
        return {name: self.probe if value == _PROBE_OF_GROUP else value for name, value in act.shows.items()}


def _fails(probe: str) -> dict[str, Any]:
    return {"probe": probe, "fails": SHOWN}


def _changed(fact: str) -> dict[str, Any]:
    return {"fact": fact, "changed": STARTED_AGAIN}


_PEERS = {"from": "others", "port": "2380"}
ACTS = (
    Act("kill-process", Part.ETCD, _MEMBER, {"process": "etcd"}, _changed("etcd-started")),
    Act("pause-process", Part.ETCD, _MEMBER, {"process": "etcd"}, _fails("etcd-direct")),
    Act("hold-static-pod", Part.ETCD, _MEMBER, {"pod": "etcd"}, _fails("etcd-direct")),
    Act("throttle-disk", Part.ETCD, _MEMBER, {"iops": "10"}),
    Act(
        "kill-process", Part.API_SERVER, _CONTROL_PLANE, {"process": "kube-apiserver"},
        _changed("kube-apiserver-started"),
    ),
    Act("pause-process", Part.API_SERVER, _CONTROL_PLANE, {"process": "kube-apiserver"}, _fails("ready-direct")),
    Act("hold-static-pod", Part.API_SERVER, _CONTROL_PLANE, {"pod": "kube-apiserver"}, _fails("ready-direct")),
    Act("partition", Part.NETWORK, _MEMBER, _PEERS, _fails("etcd-direct")),
    Act("partition", Part.NETWORK, _MEMBER, {**_PEERS, "direction": "in"}, _fails("etcd-direct")),
    Act("partition", Part.NETWORK, _MEMBER, {**_PEERS, "direction": "out"}, _fails("etcd-direct")),
    Act("lose-packets", Part.NETWORK, _MEMBER, {**_PEERS, "share": "30%"}),
    Act("delay-packets", Part.NETWORK, _ANY, {"by": "100ms", "jitter": "50ms"}),
    Act("starve-cpu", Part.PROCESSOR, _ANY, {"cpus": "0.3"}),
    Act(
        "stop-service", Part.AGENT, _CONTROL_PLANE, {"service": "kubelet"},
        {"fact": "unit-state", "unit": "kubelet", "value": "inactive", "reached": SHOWN},
    ),
    Act("restart-service", Part.AGENT, _ANY, {"service": "containerd"}, _changed("containerd-started")),
    Act("cut-link", Part.MACHINE, _ANY, {}, _fails(_PROBE_OF_GROUP)),
    Act("freeze", Part.MACHINE, _ANY, {}, _fails(_PROBE_OF_GROUP)),
    Act("cut-power", Part.MACHINE, _ANY, {}, _fails(_PROBE_OF_GROUP)),
    Act("reset", Part.MACHINE, _ANY, {}, _changed("machine-started")),
    Act("reboot", Part.MACHINE, _ANY, {}, _changed("machine-started")),
)  # fmt: skip
FAULT_NAMES = tuple(dict.fromkeys(act.fault for act in ACTS))


def groups_of(lab: Lab) -> list[Group]:
    """The groups of which the lab may lose a machine: etcd keeps its majority, and one API server stays.

    LabProblem if there is none.
    """
    members, control_planes = (
        tuple(machine.name for machine in machines) for machines in (lab.members, lab.control_planes)
    )
    minority = (len(members) - 1) // 2
    etcd_roles, other_roles = ("etcd-leader", "etcd-follower"), ("kcm-leader", "any-cp")
    if lab.etcd_topology is Topology.STACKED:
        groups = [
            Group(members, (*etcd_roles, *other_roles), frozenset({_MEMBER, _CONTROL_PLANE}), minority)
        ]
    else:
        groups = [
            Group(members, etcd_roles, frozenset({_MEMBER}), minority),
            Group(control_planes, other_roles, frozenset({_CONTROL_PLANE}), len(control_planes) - 1),
        ]
    groups = [group for group in groups if group.may_lose]
    if not groups:
        raise LabProblem(
            "a soak stops machines, and this lab may lose none of them",
            hint="use a lab with three control planes",
        )
    return groups


def acts_of(groups: Sequence[Group], lacking: Mapping[str, str], chosen: Collection[str] = ()) -> list[Act]:
    """The faults that the lab can take; with `chosen`, only those of these names.

    `lacking` says why the lab lacks capabilities. Raises BadUsage for a name that no soak uses, and LabProblem if the
    lab cannot take a chosen fault, or if none of them shows for certain.
    """
    for name in chosen:
        if name not in FAULT_NAMES:
            raise BadUsage(
                f"a soak does not use this fault: {name}{similar(name, FAULT_NAMES)}",
                hint=f"it uses {listed(FAULT_NAMES)}",
            )
        for need in sorted(FAULTS[name].needs & lacking.keys()):
            raise LabProblem(f"this lab does not support {name}: {lacking[need]}")
    acts = [
        act
        for act in ACTS
        if (not chosen or act.fault in chosen)
        and not FAULTS[act.fault].needs & lacking.keys()
        and any(group.takes(act) for group in groups)
    ]
    if not any(act.shows for act in acts):
        raise BadUsage(
            f"{listed(sorted(chosen))} alone is not enough: nothing shows for certain that it had an effect",
            hint="add another fault, such as --fault kill-process",
        )
    return acts
