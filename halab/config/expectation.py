"""What a scenario expects: of the answers that clients get, and of facts that are read from the lab."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from halab.config.etcd import Topology
from halab.config.lab_traits import Condition
from halab.config.loading import Model
from halab.config.probe import ProbeName
from halab.config.quantities import CountBounds, SecondsBounds, ShareBounds, Within, WithinOrAlways
from halab.config.targets import MOST_CONTROL_PLANES, FaultTarget, TargetKind, member_kind

Text = Annotated[str, Field(min_length=1)]


_CONTROL_PLANE = frozenset({TargetKind.CONTROL_PLANE})
_NODES = frozenset({TargetKind.CONTROL_PLANE, TargetKind.WORKER})
_WITH_KUBELET = frozenset({*_NODES, TargetKind.ETCD})
_MEMBERS = FaultTarget.MEMBER.kinds
_BALANCER = frozenset({TargetKind.BALANCER})
_WORKER = frozenset({TargetKind.WORKER})


@dataclass(frozen=True)
class FactTraits:
    """What a fact is. `kinds` are the kinds of machines that it is read from; None for a fact of the lab.

    `values` are its possible values, if they are known in advance, and `good_value` is the value in a healthy lab.
    `grows_by_itself` is how much a number may grow during a run without any fault. A number that `may_fall` can
    fall without a fault: its increase is that to its highest value. A state that costs something is read
    `only_if_named` by the scenario. `value_kinds` are the kinds of the machine that is the value of a fact of the lab.
    A fact that `needs_an_address` is about the virtual address, and its value is a machine that can have that address.
    """

    kinds: frozenset[TargetKind] | None = _CONTROL_PLANE
    is_a_number: bool = False
    grows_by_itself: int = 0
    values: frozenset[str] | None = None
    good_value: str | None = None
    may_fall: bool = False
    only_if_named: bool = False
    value_kinds: frozenset[TargetKind] = _CONTROL_PLANE
    needs_an_address: bool = False


_OF_CONTROL_PLANES = FactTraits()
_OF_THE_LAB = FactTraits(kinds=None)
# In MiB. An API server grows from 280 to 330 MiB in a run; nothing but a fault adds a GiB.
_MEMORY = FactTraits(is_a_number=True, grows_by_itself=1024, may_fall=True, only_if_named=True)
_MEMORY_WITH_KUBELET = replace(_MEMORY, kinds=_WITH_KUBELET)


class FactName(StrEnum):
    """What is read from inside the lab: when something started, who leads, the state of a member."""

    ETCD_STARTED = "etcd-started", FactTraits(_MEMBERS)
    API_SERVER_STARTED = "kube-apiserver-started"
    CONTROLLER_MANAGER_STARTED = "kube-controller-manager-started"
    SCHEDULER_STARTED = "kube-scheduler-started"
    KUBELET_STARTED = "kubelet-started", FactTraits(_WITH_KUBELET)
    CONTAINERD_STARTED = "containerd-started", FactTraits(_WITH_KUBELET)
    BALANCER_STARTED = "balancer-started", FactTraits(_BALANCER)
    MACHINE_STARTED = "machine-started", FactTraits(frozenset(TargetKind))
    ETCD_LEADER = "etcd-leader", FactTraits(kinds=None, value_kinds=_MEMBERS)
    CONTROLLER_MANAGER_LEADER = "kcm-leader", _OF_THE_LAB
    SCHEDULER_LEADER = "scheduler-leader", _OF_THE_LAB
    CONTROLLER_MANAGER_HOLDER = "kcm-holder", _OF_THE_LAB
    SCHEDULER_HOLDER = "scheduler-holder", _OF_THE_LAB
    ETCD_TERM = "etcd-term", FactTraits(kinds=None, is_a_number=True)
    NODE_READY = (
        "node-ready",
        FactTraits(_NODES, values=frozenset({"true", "false", "unknown"}), good_value="true"),
    )
    BACKEND = "backend", FactTraits(values=frozenset({"up", "down"}), good_value="up")
    ETCD_ALARM = (
        "etcd-alarm",
        FactTraits(_MEMBERS, values=frozenset({"none", "NOSPACE", "CORRUPT"}), good_value="none"),
    )
    # Every write increments the revision, and the sampler writes all the time. No lab makes this many in a day.
    ETCD_REVISION = "etcd-revision", FactTraits(_MEMBERS, is_a_number=True, grows_by_itself=10_000_000)

    # The control plane whose API server the kubelet of a worker is connected to. That of a control plane asks its own.
    BACKEND_OF = "backend-of", FactTraits(_WORKER, only_if_named=True)

    DNS_RECORD = "dns-record", FactTraits(values=frozenset({"listed", "absent"}), good_value="listed")
    VIP_HOLDER = "vip-holder", FactTraits(kinds=None, needs_an_address=True)
    VIP_HOLDERS = (
        "vip-holders",
        FactTraits(
            kinds=None,
            values=frozenset(map(str, range(MOST_CONTROL_PLANES + 1))),
            good_value="1",
            needs_an_address=True,
        ),
    )
    # From outside: the machine whose hardware address this host has for the virtual address.
    VIP_REACHED = "vip-reached", FactTraits(kinds=None, needs_an_address=True)

    ETCD_MEMBER = (
        "etcd-member",
        FactTraits(
            _MEMBERS,
            values=frozenset({"voter", "learner", "absent"}),
            good_value="voter",
            only_if_named=True,
        ),
    )
    ETCD_MEMBERS = (
        "etcd-members",
        FactTraits(
            kinds=None,
            values=frozenset(str(number) for number in range(MOST_CONTROL_PLANES + 1)),
            only_if_named=True,
        ),
    )
    KUBERNETES_ENDPOINT = (
        "kubernetes-endpoint",
        FactTraits(values=frozenset({"listed", "absent"}), good_value="listed", only_if_named=True),
    )
    ETCD_MEMORY = "etcd-memory", replace(_MEMORY, kinds=_MEMBERS)
    API_SERVER_MEMORY = "kube-apiserver-memory", _MEMORY
    CONTROLLER_MANAGER_MEMORY = "kube-controller-manager-memory", _MEMORY
    SCHEDULER_MEMORY = "kube-scheduler-memory", _MEMORY
    KUBELET_MEMORY = "kubelet-memory", _MEMORY_WITH_KUBELET
    CONTAINERD_MEMORY = "containerd-memory", _MEMORY_WITH_KUBELET
    BALANCER_MEMORY = "balancer-memory", replace(_MEMORY, kinds=_BALANCER)
    UNIT_STATE = (
        "unit-state",
        FactTraits(
            frozenset(TargetKind),
            values=frozenset({"active", "reloading", "inactive", "failed", "activating", "deactivating"}),
            good_value="active",
            only_if_named=True,
        ),
    )

    traits: FactTraits

    def __new__(cls, name: str, traits: FactTraits = _OF_CONTROL_PLANES) -> FactName:
        fact = str.__new__(cls, name)
        fact._value_ = name
        fact.traits = traits
        return fact

    @property
    def is_sampled(self) -> bool:
        """True for a state that the sampler reads all the time. Other facts are read when they are needed."""
        return not self.endswith("-started")

    @property
    def is_of_a_machine(self) -> bool:
        return self.traits.kinds is not None

    @property
    def kinds(self) -> frozenset[TargetKind]:
        """The kinds of machines that it is read from; empty for a fact of the whole lab."""
        return self.traits.kinds or frozenset()

    @property
    def is_of_etcd(self) -> bool:
        """True for a fact of each etcd member."""
        return self.traits.kinds == _MEMBERS


def fact_of(state: str) -> FactName:
    """The fact of a sampled state. The state of a systemd unit has the name of the unit."""
    return FactName(state) if state in list(FactName) else FactName.UNIT_STATE


_UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.@-]*")
_UNIT_TYPES = (".service", ".socket", ".timer", ".target", ".mount", ".path", ".slice", ".scope", ".swap")


def _unit(name: Any) -> str:
    """A name without a type is a service, as for systemctl."""
    if not isinstance(name, str) or len(name) > 200 or not _UNIT.fullmatch(name):
        raise ValueError("should be the name of a systemd unit, such as kubelet or fstrim.timer")
    return name if name.endswith(_UNIT_TYPES) else f"{name}.service"


UnitName = Annotated[str, BeforeValidator(_unit), WithJsonSchema({"type": "string"})]


def _word(value: Any) -> Any:
    """YAML reads `true` and `5` as a boolean and a number; facts are text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or not value:
        raise ValueError("should be one word, such as true, up or cp2")
    return value


Word = Annotated[str, BeforeValidator(_word), WithJsonSchema({"type": ["string", "boolean", "number"]})]
# `lb` is a role; expectations are about the one machine that has it.
Asked = Annotated[Text, AfterValidator(lambda name: "lb1" if name == "lb" else name)]


# `during: NAME` is the time from the inject of a fault to its heal, `during: heal NAME` the time of its heal.
_HEAL = "heal "


def is_of_heal(during: str) -> bool:
    return during.startswith(_HEAL)


def fault_in(during: str) -> str:
    """The name of the fault in the window."""
    return during.removeprefix(_HEAL)


class _Expectation(Model):
    target: Asked | None = Field(None, alias="on")
    during: Text | None = Field(
        None, description="a fault, from its inject to its heal, or `heal` and a fault"
    )
    when: Condition | None = None

    @property
    def fault(self) -> str | None:
        """The fault in its window."""
        return fault_in(self.during) if self.during else None

    @property
    def is_of_etcd(self) -> bool:
        """True if it is about etcd members; false if it is about machines of other kinds."""
        raise NotImplementedError

    def kinds_in(self, topology: Topology) -> frozenset[TargetKind]:
        """The kinds of machines that it can be about; empty if it is about no machine."""
        raise NotImplementedError


class ProbeExpectation(_Expectation):
    """What clients see: within a time limit, or over the window from a fault's inject to its heal (`during`).

    An amount such as `5s` is an upper bound. `2s to 20s` adds a lower bound, which shows that the fault had an effect.
    """

    probe: ProbeName
    ok: WithinOrAlways | None = None
    fails: WithinOrAlways | None = None
    longest_outage: SecondsBounds | None = None
    failed_share: ShareBounds | None = None
    outages: CountBounds | None = Field(None, description="how many outages there are")

    @property
    def is_of_etcd(self) -> bool:
        return self.probe.is_of_etcd

    def kinds_in(self, topology: Topology) -> frozenset[TargetKind]:
        if self.probe.is_of_workers:
            return _WORKER
        return frozenset({member_kind(topology)}) if self.is_of_etcd else _CONTROL_PLANE

    @property
    def fault_seconds(self) -> float:
        """How long its fault must last, so that a short fault cannot meet the bound; 0 if there is no such bound.

        The heal of a fault ends outages, so a short fault would meet any upper bound. It does not meet a lower bound.
        The end of a heal ends no outage.
        """
        bounds = self.longest_outage
        if bounds is None or self.during is None or is_of_heal(self.during):
            return 0.0
        return bounds.least if bounds.least or math.isinf(bounds.most) else bounds.most

    @property
    def shows_a_fault(self) -> bool:
        """True if it cannot be met without a fault."""
        amounts = (self.longest_outage, self.failed_share, self.outages)
        return self.fails is not None or any(bounds is not None and bounds.least > 0 for bounds in amounts)


class FactExpectation(_Expectation):
    """What a fact must be: changed since the fault, unchanged, or a given value.

    `unchanged` counts from the previous fault or, with `during`, over that fault's window.
    """

    fact: FactName
    unit: UnitName | None = Field(None, description="the systemd unit of unit-state")
    changed: Within | None = None
    unchanged: Literal[True] | None = None
    value: Word | None = None
    reached: Within | None = Field(
        None,
        description="when the fact must have the value, counted from the last inject, heal, join or wait",
    )
    increase: CountBounds | None = Field(
        None, description="how much a number increases in the window of `during`"
    )

    @property
    def is_of_etcd(self) -> bool:
        return self.fact.is_of_etcd

    def kinds_in(self, topology: Topology) -> frozenset[TargetKind]:
        return frozenset({member_kind(topology)}) if self.is_of_etcd else self.fact.kinds

    @property
    def state(self) -> str:
        """The name of its readings in the record of a run: the name of the fact, or of the unit."""
        return self.unit or str(self.fact)

    @property
    def shows_a_fault(self) -> bool:
        """True if it cannot be met without a fault.

        A named machine may lead without any fault. So a value shows a fault only if the healthy value is known.
        """
        by_itself = self.fact.traits.grows_by_itself
        if self.value is not None:
            good = self.fact.traits.good_value
            return good is not None and self.value != good
        if self.changed is not None:
            return by_itself == 0
        return self.increase is not None and self.increase.least > by_itself


Expectation = ProbeExpectation | FactExpectation
