"""What people write in a scenario file: a failure, what it must and must not do, and how it can lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import Field

from halab.config.expectation import (
    Expectation,
    FactExpectation,
    ProbeExpectation,
    Text,
)
from halab.config.fault_facts import EDIT_BALANCER
from halab.config.fault_spec import FaultSpec
from halab.config.lab_traits import LabTraits, Needs
from halab.config.loading import Model, listed
from halab.config.probe_options import ProbeOptions
from halab.config.quantities import Within
from halab.config.step import Expect, Inject, Join, Name, Step, edits_balancer, named, names_balancer, unmet
from halab.config.targets import TargetKind, kinds_of
from halab.config.twin import Twin


class Origin(StrEnum):
    HEAL = "heal"
    INJECT = "inject"


class Recover(Model):
    """How fast the lab must be steady again, counted from the last heal or from the first inject."""

    example: ClassVar[str] = "{steady: within 60s}"

    steady: Within
    origin: Origin = Field(Origin.HEAL, alias="from")


class LedgerScope(StrEnum):
    """Which acknowledged writes must still be there at the end."""

    ALL = "all"
    UNTIL_SNAPSHOT = "until-snapshot"  # writes after the snapshot may be lost: the scenario restores it
    NONE = "none"  # any write may be lost: the scenario shows how


class RevisionRule(StrEnum):
    """Whether an etcd member may answer with a lower revision than before."""

    NEVER_FALLS = "never-falls"
    MAY_FALL = "may-fall"


class Scenario(Model):
    """A scripted failure with expectations."""

    title: Text
    teaches: Text
    tags: tuple[Name, ...] = ()
    needs: Needs = Needs()
    steps: tuple[Step, ...] = Field(min_length=1)
    recover: Recover
    ledger: LedgerScope = LedgerScope.ALL
    revision: RevisionRule = RevisionRule.NEVER_FALLS
    linearizable: bool = Field(
        False,
        description="if true, clients also read and write a few keys of etcd, and their answers must be linearizable",
    )
    probes: ProbeOptions = ProbeOptions()
    checks: tuple[Text, ...] = ()
    twin: Twin

    @property
    def added(self) -> int:
        """The number of steps that were added before the steps of the file."""
        return 0

    @property
    def balancer_options(self) -> Mapping[str, str]:
        """Options of the fault edit-balancer for the whole run; mostly none."""
        return {}

    @property
    def injects(self) -> list[Inject]:
        return [step for _, step in self.numbered_injects]

    @property
    def numbered_injects(self) -> list[tuple[int, Inject]]:
        """The steps that inject, with their indexes."""
        return [(index, step) for index, step in enumerate(self.steps) if isinstance(step, Inject)]

    @property
    def expectations(self) -> list[Expectation]:
        return [step.expectation for step in self.steps if isinstance(step, Expect)]

    @property
    def named_probes(self) -> tuple[str, ...]:
        """The probes of all expectations and those that have options, without duplicates."""
        probes = {
            str(expectation.probe)
            for expectation in self.expectations
            if isinstance(expectation, ProbeExpectation)
        }
        return tuple(sorted(probes | self.probes.named))

    @property
    def named_states(self) -> tuple[str, ...]:
        """The facts and systemd units that must be read because an expectation names them."""
        facts = (
            expectation for expectation in self.expectations if isinstance(expectation, FactExpectation)
        )
        return tuple(sorted({fact.state for fact in facts if fact.fact.traits.only_if_named}))

    def left_out(self, index: int, setting: LabTraits) -> list[str]:
        """Why a step is left out of a run on such a lab; empty if it is not."""
        step = self.steps[index]
        reasons = unmet(step, setting)
        if isinstance(step, Expect | Join):
            # a promise about a fault is left out together with the fault
            names = named(step.expectation) if isinstance(step, Expect) else {step.fault}
            for number, other in enumerate(self.steps[:index]):
                if isinstance(other, Inject) and other.name in names:
                    reasons += self.left_out(number, setting)
        if not reasons and isinstance(step, Expect):
            reasons += self._not_there(index, step.expectation, setting)
        return reasons

    def _not_there(self, index: int, expectation: Expectation, setting: LabTraits) -> list[str]:
        """Why no machine of an expectation has what it is about, such as an API server where only etcd runs."""
        fits = expectation.kinds_in(setting.etcd)
        if expectation.target is None or not fits:
            return []
        kinds = self.kinds_of(expectation.target, index, setting)
        if not kinds or kinds & fits:
            return []
        what = expectation.probe if isinstance(expectation, ProbeExpectation) else expectation.fact
        found = f"with {setting.etcd} etcd, {expectation.target} is a machine of another kind"
        return [f"{what} needs a {listed(sorted(fits))}, and {found}"]

    def kinds_of(self, target: str, index: int, setting: LabTraits) -> frozenset[TargetKind]:
        """The kinds of machines that a target of the step with that index can mean on a lab; empty if it names none."""
        injects = {step.name: number for number, step in self.numbered_injects if number < index}
        if target not in injects:
            return kinds_of(target, setting.etcd)
        number = injects[target]
        inject = self.steps[number]
        assert isinstance(inject, Inject)
        return frozenset().union(*(self.kinds_of(name, number, setting) for name in inject.targets))

    def shows_a_fault_on(self, setting: LabTraits) -> bool:
        """True if some promise for such a lab cannot be met without a fault.

        A join counts too: a machine that no fault took out of the cluster cannot join it.
        """
        return any(
            (isinstance(step, Join) or isinstance(step, Expect) and step.expectation.shows_a_fault)
            and not self.left_out(index, setting)
            for index, step in enumerate(self.steps)
        )

    @property
    def labs(self) -> Iterator[LabTraits]:
        """Yield every kind of lab on which it is played, over all known minors, providers and load balancers."""
        return (lab for lab in self.needs.labs if not self._lacking_machines(lab))

    def _lacking_machines(self, setting: LabTraits) -> list[str]:
        """Why a lab without a machine for the load balancer cannot run it; empty if it can.

        With DNS, lb1 has something else: only a scenario that needs DNS means that machine.
        """
        if setting.balancers and setting.load_balancer.has_settings:
            return []
        is_meant = setting.balancers > 0 and self.needs.load_balancer is setting.load_balancer
        needs_it = edits_balancer if is_meant else names_balancer
        needing = [
            f"step {index + 1 - self.added}" if index >= self.added else "the losing twin"
            for index, step in enumerate(self.steps)
            if needs_it(step) and not unmet(step, setting)
        ]
        if self.balancer_options and not setting.load_balancer.has_settings:
            needing.append("the losing twin")
        what = f"{needing[0]} needs a load balancer on a machine of its own" if needing else ""
        return [f"{what}, and a lab with {setting.load_balancer} has none"] if what else []

    def lacking_in(self, setting: LabTraits, faults: Mapping[str, FaultSpec]) -> list[str]:
        """Why a lab cannot run it, in words: the needs of the scenario and of the faults that it would inject there."""
        names = [step.fault for step in self.injects if not unmet(step, setting)]
        names += [EDIT_BALANCER] if self.balancer_options else []
        lacking = self.needs.lacking_in(
            setting, [need for name in names for need in sorted(faults[name].needs)]
        )
        lacking += self._lacking_machines(setting)
        if not lacking:
            lacking += self._misplaced(setting, faults)
        if not lacking and not self.shows_a_fault_on(setting):
            lacking.append(f"no expectation shows a fault on a lab with {setting.in_words}")
        return lacking

    def _misplaced(self, setting: LabTraits, faults: Mapping[str, FaultSpec]) -> Iterator[str]:
        """Yield the faults whose targets are machines of another kind on this lab."""
        for index, step in self.numbered_injects:
            if self.left_out(index, setting):
                continue
            needed = faults[step.fault].target_with(step.arguments)
            on_nodes = setting.load_balancer.is_on_every_node
            for target in step.targets:
                if not self.kinds_of(target, index, setting) & needed.kinds_in(
                    setting.etcd, on_nodes=on_nodes
                ):
                    found = f"with {setting.etcd} etcd, {target} is a machine of another kind"
                    yield f"{step.fault} needs {needed}, and {found}"

    def losing(self) -> Losing:
        """The twin: the same scenario with its one change."""
        values: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        values["steps"] = (*(self.twin.add or ()), *map(self.twin.replaced, self.steps))
        return Losing.model_construct(**values)


class Losing(Scenario):
    """The twin of a scenario as it is run. The faults that it adds come before the steps of the file."""

    @property
    def added(self) -> int:
        return len(self.twin.add or ())

    @property
    def balancer_options(self) -> Mapping[str, str]:
        return self.twin.settings
