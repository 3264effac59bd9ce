"""What happened in a run, in the words of its scenario: when a fault began, what a step is measured from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from halab.config.expectation import Expectation, fault_in, is_of_heal
from halab.config.fault_facts import SNAPSHOT
from halab.config.lab_traits import LabTraits
from halab.config.scenario import LedgerScope, Scenario
from halab.config.step import Expect, Inject
from halab.config.targets import ALL_CONTROL_PLANES, OTHERS, kind_of
from halab.scenario.record import events
from halab.scenario.record.events import Record, Sample
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
    """From the inject of a fault to its heal, or from the start of its heal to the end of that.

    `effective` is when its effect was real; None: not yet.
    """

    start: float
    effective: float | None
    end: float | None


@dataclass(frozen=True)
class History:
    """A run so far: the scenario, what the lab is, and the evidence."""

    scenario: Scenario
    setting: LabTraits
    control_planes: Sequence[str]
    patience: float
    records: Sequence[Record]
    samples: Samples
    states: States = field(default_factory=States)

    def unmet(self, index: int) -> list[str]:
        """Why a step is left out of this run; empty where it is part of it."""
        return self.scenario.left_out(index, self.setting)

    def faults(self) -> list[FaultSpan]:
        """All faults in the order of their injects."""
        found: dict[tuple[str, str], FaultSpan] = {}
        for record in self.records:
            what = record.what
            if isinstance(what, events.FaultStarted):
                started = FaultSpan(what.name, what.fault, what.target, what.machine, record.t)
                found[what.name, what.machine] = started
                continue
            if not isinstance(
                what, (events.FaultInjected, events.HealStarted, events.Healed, events.HealFailed)
            ):
                continue
            key = what.name, what.machine
            fault = found.get(key)
            if fault is None:
                continue
            if isinstance(what, events.FaultInjected):
                found[key] = replace(fault, injected=record.t, effect=what.effect)
            elif isinstance(what, events.HealStarted):
                found[key] = replace(fault, heal_started=fault.heal_started or record.t)
            elif isinstance(what, events.Healed):
                found[key] = replace(fault, healed=record.t, heal_failed=None)
            else:
                found[key] = replace(fault, heal_failed=what.why)
        return list(found.values())

    def machines_of(self, name: str) -> list[str]:
        """The machines that a fault hit."""
        return [fault.machine for fault in self.faults() if fault.name == name]

    def window(self, during: str) -> Window | None:
        """That of a fault, or of its heal; None where it was not injected, or nothing of it is being healed yet."""
        faults = [fault for fault in self.faults() if fault.name == fault_in(during)]
        if not faults:
            return None
        if is_of_heal(during):
            return _heal_window(faults)
        injected = [fault.injected for fault in faults if fault.injected is not None]
        heals = [fault.heal_started for fault in faults if fault.heal_started is not None]
        effective = max(injected) if len(injected) == len(faults) else None
        return Window(min(fault.started for fault in faults), effective, min(heals, default=None))

    def counts_from(self, index: int) -> float | None:
        """What `within` counts from: the end of the last step before that did something.

        Expectations do nothing, so several in a row count from the same moment.
        """
        acting = [
            number
            for number, step in enumerate(self.scenario.steps[:index])
            if not isinstance(step, Expect) and not self.unmet(number)
        ]
        return self._last(events.StepEnded, acting[-1]) if acting else None

    def fault_before(self, index: int) -> str | None:
        """The name of the fault that was injected last before a step."""
        names = [
            step.name
            for number, step in enumerate(self.scenario.steps[:index])
            if isinstance(step, Inject) and not self.unmet(number)
        ]
        return names[-1] if names else None

    def ended(self, index: int) -> float | None:
        """When the runner went on from an expectation."""
        return self._last(events.ExpectationEnded, index)

    def machines_asked(self, index: int, expectation: Expectation) -> list[str | None]:
        """Which machines an expectation is about; None stands for the load balancer or the whole lab."""
        target = expectation.target
        if target is None:
            return [None]
        if target == OTHERS:
            hit = self.machines_of(expectation.fault or self.fault_before(index) or "")
            return [name for name in self.control_planes if name not in hit] if hit else []
        hit = self.machines_of(target)
        return list(hit or machines_meant(target, self.control_planes))

    def ledger(self) -> tuple[list[int], int]:
        """The numbers of the acknowledged writes that must still be there, and how many writes there were."""
        writes = self._writes()
        acknowledged = {sample.number for sample in writes if sample.ok and sample.number is not None}
        return sorted(acknowledged - self.given_up()), len(writes)

    def given_up(self) -> frozenset[int]:
        """The writes that a scenario gives up by going back to a snapshot: those from then until all was healed."""
        faults = self.faults()
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

    def steady(self, when: events.SteadyCheckPoint) -> tuple[float, events.Steady] | None:
        for record in reversed(self.records):
            if isinstance(record.what, events.Steady) and record.what.when == when:
                return record.t, record.what
        return None

    def _writes(self) -> list[Sample]:
        """All of them: what was acknowledged to a sampler that stood still was acknowledged."""
        lanes = [self.samples.void, *map(self.samples.of, self.samples.lanes)]
        return [sample for lane in lanes for sample in lane if sample.number is not None]

    def _last(self, kind: type[events.StepEnded | events.ExpectationEnded], index: int) -> float | None:
        for record in reversed(self.records):
            if isinstance(record.what, kind) and record.what.index == index:
                return record.t
        return None


def _heal_window(faults: Sequence[FaultSpan]) -> Window | None:
    """It is closed when the last machine of the fault is healed."""
    begun = [fault.heal_started for fault in faults if fault.heal_started is not None]
    healed = [fault.healed for fault in faults if fault.healed is not None]
    if not begun:
        return None
    return Window(min(begun), min(begun), max(healed) if len(healed) == len(faults) else None)


def machines_meant(target: str, control_planes: Sequence[str]) -> Sequence[str]:
    """The machines that an expectation names by themselves; none where it names a fault."""
    if target == ALL_CONTROL_PLANES:
        return control_planes
    return [target] if kind_of(target) else []
