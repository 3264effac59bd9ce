"""What happened in a run, in the words of its scenario: when a fault began, what a step is measured from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from halab.config.scenario import (
    OTHERS,
    Expect,
    Expectation,
    Inject,
    ProbeExpectation,
    Scenario,
    Setting,
    conditions,
)
from halab.scenario import events
from halab.scenario.events import Record
from halab.scenario.outage import Samples


@dataclass(frozen=True)
class Fault:
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
    """From the inject of a fault to its heal. `effective` is when its effect was real; None: not yet."""

    start: float
    effective: float | None
    end: float | None


@dataclass(frozen=True)
class History:
    """A run so far: the scenario, what the lab is, and the evidence."""

    scenario: Scenario
    setting: Setting
    control_planes: Sequence[str]
    patience: float
    records: Sequence[Record]
    samples: Samples

    def unmet(self, index: int) -> list[str]:
        """Why a step is left out of this run; empty where it is part of it."""
        step = self.scenario.steps[index]
        unmet = [what for when in conditions(step) for what in when.fails_in(self.setting)]
        if isinstance(step, Expect):
            # what is expected of a fault goes with the fault
            expectation = step.expectation
            named = {expectation.target, getattr(expectation, "during", None)}
            for number, other in enumerate(self.scenario.steps[:index]):
                if isinstance(other, Inject) and other.name in named:
                    unmet += self.unmet(number)
        return unmet

    def faults(self) -> list[Fault]:
        """All faults in the order of their injects."""
        found: dict[tuple[str, str], Fault] = {}
        for record in self.records:
            what = record.what
            if isinstance(what, events.FaultStarted):
                started = Fault(what.name, what.fault, what.target, what.machine, record.t)
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

    def window(self, name: str) -> Window | None:
        faults = [fault for fault in self.faults() if fault.name == name]
        if not faults:
            return None
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
            named = expectation.during if isinstance(expectation, ProbeExpectation) else None
            hit = self.machines_of(named or self.fault_before(index) or "")
            return [name for name in self.control_planes if name not in hit] if hit else []
        if target in self.control_planes:
            return [target]
        return list(self.machines_of(target))

    def steady(self, when: events.When) -> tuple[float, events.Steady] | None:
        for record in reversed(self.records):
            if isinstance(record.what, events.Steady) and record.what.when == when:
                return record.t, record.what
        return None

    def _last(self, kind: type[events.StepEnded | events.ExpectationEnded], index: int) -> float | None:
        for record in reversed(self.records):
            if isinstance(record.what, kind) and record.what.index == index:
                return record.t
        return None
