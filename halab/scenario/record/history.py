"""What happened in a run, in terms of its scenario: when a fault began, from when a step is measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from halab.config.expectation import Expectation, fault_in, is_of_heal
from halab.config.fault_facts import SNAPSHOT
from halab.config.lab_traits import LabTraits
from halab.config.scenario import LedgerScope, Scenario
from halab.config.step import Expect, Inject
from halab.config.targets import ALL_CONTROL_PLANES, ALL_MEMBERS, OTHERS, kind_of
from halab.scenario.record.events import (
    E,
    ExpectationEnded,
    FaultEvent,
    FaultInjected,
    FaultStarted,
    Healed,
    HealFailed,
    HealStarted,
    Record,
    Sample,
    Steady,
    SteadyCheckPoint,
    StepEnded,
    select,
)
from halab.scenario.record.outage import Samples
from halab.scenario.record.states import States


@dataclass(frozen=True)
class FaultSpan:
    """One fault on one machine, from its inject to its heal."""

    name: str
    fault: str
    target: str
    machine: str
    started: float
    injected: float | None = None
    effect: str = ""
    heal_started: float | None = None
    healed: float | None = None
    heal_failed: str | None = None


@dataclass(frozen=True)
class Window:
    """The time from the inject of a fault to its heal, or from the start to the end of its heal, in seconds.

    `effective` is when the fault took effect, or None before that.
    """

    start: float
    effective: float | None
    end: float | None


@dataclass(frozen=True)
class History:
    """A run so far: its scenario, its lab and its evidence."""

    scenario: Scenario
    setting: LabTraits
    control_planes: Sequence[str]
    # the machines with an etcd member
    members: Sequence[str]
    patience: float
    records: Sequence[Record]
    samples: Samples
    states: States = field(default_factory=States)

    def unmet(self, index: int) -> list[str]:
        """Why a step is left out of this run; empty if it is not."""
        return self.scenario.left_out(index, self.setting)

    def events(self, kind: type[E]) -> list[tuple[float, E]]:
        """The events of one kind with their times, in the order in which they were recorded."""
        return select(self.records, kind)

    @cached_property
    def faults(self) -> tuple[FaultSpan, ...]:
        """All faults in the order of their injects."""
        spans: dict[tuple[str, str], FaultSpan] = {}
        for t, event in self.events(FaultEvent):
            key = event.name, event.machine
            if isinstance(event, FaultStarted):
                spans[key] = FaultSpan(event.name, event.fault, event.target, event.machine, t)
            elif key in spans:
                spans[key] = _continued(spans[key], t, event)
        return tuple(spans.values())

    def machines_of(self, name: str) -> list[str]:
        """The machines that the fault of that name hit."""
        return [fault.machine for fault in self.faults if fault.name == name]

    def window(self, during: str) -> Window | None:
        """The window of a fault or of its heal; None if the fault was not injected, or its heal has not begun."""
        faults = [fault for fault in self.faults if fault.name == fault_in(during)]
        if not faults:
            return None
        if is_of_heal(during):
            return _heal_window(faults)
        injected = [fault.injected for fault in faults if fault.injected is not None]
        heals = [fault.heal_started for fault in faults if fault.heal_started is not None]
        effective = max(injected) if len(injected) == len(faults) else None
        return Window(min(fault.started for fault in faults), effective, min(heals, default=None))

    def counts_from(self, index: int) -> float | None:
        """The time from which `within` counts: the end of the last step before that is no expectation.

        So several expectations in a row count from the same time.
        """
        acting = [
            number
            for number, step in enumerate(self.scenario.steps[:index])
            if not isinstance(step, Expect) and not self.unmet(number)
        ]
        return self._last(StepEnded, acting[-1]) if acting else None

    def fault_before(self, index: int) -> str | None:
        """The name of the last fault that was injected before a step."""
        names = [
            step.name
            for number, step in enumerate(self.scenario.steps[:index])
            if isinstance(step, Inject) and not self.unmet(number)
        ]
        return names[-1] if names else None

    def ended(self, index: int) -> float | None:
        """When the runner went on from an expectation."""
        return self._last(ExpectationEnded, index)

    def machines_asked(self, index: int, expectation: Expectation) -> list[str | None]:
        """The machines that an expectation is about; None stands for the load balancer or for the lab."""
        target = expectation.target
        if target is None:
            return [None]
        if target == OTHERS:
            hit = self.machines_of(expectation.fault or self.fault_before(index) or "")
            asked = self.members if expectation.is_of_etcd else self.control_planes
            return [name for name in asked if name not in hit] if hit else []
        hit = self.machines_of(target)
        return list(hit or machines_meant(target, self.control_planes, self.members))

    def ledger(self) -> tuple[list[int], int]:
        """The numbers of the acknowledged writes that must still be there, and how many writes there were."""
        writes = self._writes()
        acknowledged = {sample.number for sample in writes if sample.ok and sample.number is not None}
        return sorted(acknowledged - self.given_up()), len(writes)

    def given_up(self) -> frozenset[int]:
        """The writes that a scenario gives up: all, or those from a snapshot that it restores until the last heal."""
        if self.scenario.ledger is LedgerScope.NONE:
            return frozenset(sample.number for sample in self._writes() if sample.number is not None)
        faults = self.faults
        snapshots = [fault.started for fault in faults if fault.fault == SNAPSHOT]
        if self.scenario.ledger is not LedgerScope.UNTIL_SNAPSHOT or not snapshots:
            return frozenset()
        begun = min(snapshots)
        healed = max(math.inf if fault.healed is None else fault.healed for fault in faults)
        return frozenset(
            sample.number
            for sample in self._writes()
            if sample.number is not None and sample.end > begun and sample.t < healed
        )

    def steady(self, when: SteadyCheckPoint) -> tuple[float, Steady] | None:
        """The last wait for the steady state at that point of the run."""
        waits = [(t, steady) for t, steady in self.events(Steady) if steady.when is when]
        return waits[-1] if waits else None

    def _writes(self) -> list[Sample]:
        """All writes, also void samples: a write acknowledged to a sampler that stood still was acknowledged."""
        lanes = [self.samples.void, *map(self.samples.of, self.samples.lanes)]
        return [sample for lane in lanes for sample in lane if sample.number is not None]

    def _last(self, kind: type[StepEnded | ExpectationEnded], index: int) -> float | None:
        times = [t for t, event in self.events(kind) if event.index == index]
        return times[-1] if times else None


def _continued(span: FaultSpan, t: float, event: FaultEvent) -> FaultSpan:
    match event:
        case FaultInjected():
            return replace(span, injected=t, effect=event.effect)
        case HealStarted():
            return replace(span, heal_started=span.heal_started or t)
        case Healed():
            return replace(span, healed=t, heal_failed=None)
        case HealFailed():
            return replace(span, heal_failed=event.why)
    return span


def _heal_window(faults: Sequence[FaultSpan]) -> Window | None:
    """From the first heal of a machine to the last; open until all machines are healed."""
    begun = [fault.heal_started for fault in faults if fault.heal_started is not None]
    healed = [fault.healed for fault in faults if fault.healed is not None]
    if not begun:
        return None
    return Window(min(begun), min(begun), max(healed) if len(healed) == len(faults) else None)


def machines_meant(target: str, control_planes: Sequence[str], members: Sequence[str]) -> Sequence[str]:
    """The machines that an expectation names directly; none if it names a fault."""
    if target == ALL_CONTROL_PLANES:
        return control_planes
    if target == ALL_MEMBERS:
        return members
    return [target] if kind_of(target) else []
