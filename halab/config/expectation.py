"""What a scenario promises: of the answers that clients get, and of what is read off the lab."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from halab.config.lab_traits import Condition
from halab.config.loading import Model
from halab.config.probe import ProbeName
from halab.config.quantities import CountBounds, SecondsBounds, ShareBounds, Within, WithinOrAlways
from halab.config.targets import TargetKind

Text = Annotated[str, Field(min_length=1)]


class FactName(StrEnum):
    """What is known of the lab from its inside: when something started, who leads, what a member says of itself."""

    ETCD_STARTED = "etcd-started"
    API_SERVER_STARTED = "kube-apiserver-started"
    CONTROLLER_MANAGER_STARTED = "kube-controller-manager-started"
    SCHEDULER_STARTED = "kube-scheduler-started"
    KUBELET_STARTED = "kubelet-started"
    CONTAINERD_STARTED = "containerd-started"
    BALANCER_STARTED = "balancer-started"
    MACHINE_STARTED = "machine-started"
    ETCD_LEADER = "etcd-leader"
    CONTROLLER_MANAGER_LEADER = "kcm-leader"
    SCHEDULER_LEADER = "scheduler-leader"
    CONTROLLER_MANAGER_HOLDER = "kcm-holder"
    SCHEDULER_HOLDER = "scheduler-holder"
    ETCD_TERM = "etcd-term"
    NODE_READY = "node-ready"
    BACKEND = "backend"
    ETCD_ALARM = "etcd-alarm"
    ETCD_REVISION = "etcd-revision"

    @property
    def is_sampled(self) -> bool:
        """Whether it is a state that the sampler asks for all the time; else it is read when it is needed."""
        return not self.endswith("-started")

    @property
    def is_of_a_machine(self) -> bool:
        return self not in _OF_THE_LAB

    @property
    def is_a_number(self) -> bool:
        return self in _NUMBERS

    @property
    def grows_by_itself(self) -> int:
        """How much a lab to which nothing happens may add to it during a run; 0 where it then stays as it is."""
        return _GROWTH.get(self, 0)

    @property
    def kinds(self) -> frozenset[TargetKind]:
        """The machines that it can be read of; none where it is of the whole lab."""
        if not self.is_of_a_machine:
            return frozenset()
        return _KINDS.get(self, frozenset({TargetKind.CONTROL_PLANE}))

    @property
    def values(self) -> frozenset[str] | None:
        """What it can be where that is known beforehand."""
        return _VALUES.get(self)

    @property
    def good_value(self) -> str | None:
        """What it is while all is well."""
        return _GOOD.get(self)


_OF_THE_LAB = frozenset(
    {
        FactName.ETCD_LEADER,
        FactName.CONTROLLER_MANAGER_LEADER,
        FactName.SCHEDULER_LEADER,
        FactName.CONTROLLER_MANAGER_HOLDER,
        FactName.SCHEDULER_HOLDER,
        FactName.ETCD_TERM,
    }
)
_NUMBERS = frozenset({FactName.ETCD_TERM, FactName.ETCD_REVISION})
# Each write adds to the revision, and the sampler writes all the time: no lab makes so many of them in a day.
_GROWTH = {FactName.ETCD_REVISION: 10_000_000}
_NODES = frozenset({TargetKind.CONTROL_PLANE, TargetKind.WORKER})
_KINDS = {
    FactName.KUBELET_STARTED: _NODES,
    FactName.CONTAINERD_STARTED: _NODES,
    FactName.NODE_READY: _NODES,
    FactName.BALANCER_STARTED: frozenset({TargetKind.BALANCER}),
    FactName.MACHINE_STARTED: frozenset(TargetKind),
}
_VALUES = {
    FactName.NODE_READY: frozenset({"true", "false", "unknown"}),
    FactName.BACKEND: frozenset({"up", "down"}),
    FactName.ETCD_ALARM: frozenset({"none", "NOSPACE", "CORRUPT"}),
}
_GOOD = {FactName.NODE_READY: "true", FactName.BACKEND: "up", FactName.ETCD_ALARM: "none"}


def _word(value: Any) -> Any:
    """YAML has `true` and `5` as what they are; facts are text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str) or not value:
        raise ValueError("should be one word, such as true, up or cp2")
    return value


Word = Annotated[str, BeforeValidator(_word), WithJsonSchema({"type": ["string", "boolean", "number"]})]
# `lb` is a role among targets; what is promised is promised of the one machine that has it.
Asked = Annotated[Text, AfterValidator(lambda name: "lb1" if name == "lb" else name)]


# `during: heal NAME` is the time in which a fault is healed, `during: NAME` that from its inject to then.
_HEAL = "heal "


def is_of_heal(during: str) -> bool:
    return during.startswith(_HEAL)


def fault_in(during: str) -> str:
    """The name of the fault that a window is of."""
    return during.removeprefix(_HEAL)


class _Expectation(Model):
    target: Asked | None = Field(None, alias="on")
    during: Text | None = Field(
        None, description="a fault, from its inject to its heal, or `heal` and a fault"
    )
    when: Condition | None = None

    @property
    def fault(self) -> str | None:
        """The fault whose window it is about."""
        return fault_in(self.during) if self.during else None


class ProbeExpectation(_Expectation):
    """What clients see: within a limit, or over the window from a fault's inject to its heal (`during`).

    Of an amount, `5s` is the most; `2s to 20s` is the least that shows the fault, and the most.
    """

    probe: ProbeName
    ok: WithinOrAlways | None = None
    fails: WithinOrAlways | None = None
    longest_outage: SecondsBounds | None = None
    failed_share: ShareBounds | None = None
    outages: CountBounds | None = Field(None, description="how many there are")

    @property
    def fault_seconds(self) -> float:
        """How long its fault must last, so that an outage as long as its bound has room; 0 where it need not.

        The heal of a fault ends outages, so a short fault would keep any bound. The end of a heal ends none.
        """
        bounds = self.longest_outage
        if bounds is None or self.during is None or is_of_heal(self.during):
            return 0.0
        return bounds.least if math.isinf(bounds.most) else bounds.most

    @property
    def shows_a_fault(self) -> bool:
        """Whether it cannot hold where nothing happened."""
        amounts = (self.longest_outage, self.failed_share, self.outages)
        return self.fails is not None or any(bounds is not None and bounds.least > 0 for bounds in amounts)


class FactExpectation(_Expectation):
    """What is known from the inside: another value than before the fault, the same one, or a certain one.

    `unchanged` counts from the fault before, or with `during` over that fault's window.
    """

    fact: FactName
    changed: Within | None = None
    unchanged: Literal[True] | None = None
    value: Word | None = None
    reached: Within | None = Field(None, description="the value, counted from the step before")
    increase: CountBounds | None = Field(None, description="of a number, over the window of `during`")

    @property
    def shows_a_fault(self) -> bool:
        """Whether it cannot hold where nothing happened.

        A machine that is named may lead without any fault, so a value shows one only where the good value is known.
        """
        by_itself = self.fact.grows_by_itself
        if self.value is not None:
            return self.fact.good_value is not None and self.value != self.fact.good_value
        if self.changed is not None:
            return by_itself == 0
        return self.increase is not None and self.increase.least > by_itself


Expectation = ProbeExpectation | FactExpectation
