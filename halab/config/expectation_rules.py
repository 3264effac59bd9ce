"""Rules for one expectation of a scenario file: it must be complete, and it must be possible to judge it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from halab.config.expectation import (
    Expectation,
    FactExpectation,
    FactName,
    ProbeExpectation,
)
from halab.config.fault_rules import Finding, KnownFaults
from halab.config.lab_traits import ADDRESS_NEEDS, Condition
from halab.config.load_balancer import Balancer, choosing_nodes, reporting_balancers
from halab.config.loading import listed, nearest
from halab.config.quantities import Bounds
from halab.config.targets import ALL_CONTROL_PLANES, ALL_MEMBERS, OTHERS, FaultTarget, TargetKind, kind_of
from halab.config.yaml_source import Path

AMOUNTS = ("longest_outage", "failed_share", "outages")
_FORMS = ("changed", "unchanged", "value", "increase")
# The machines that a probe asks directly.
_DIRECT = FaultTarget.MEMBER.kinds


@dataclass(frozen=True)
class ExpectationRules:
    """The rules for one step. `path` is the path of its `expect`; `later` are the faults of later steps."""

    path: Path
    known: KnownFaults
    later: Mapping[str, int]
    conditions: tuple[Condition, ...]

    def problems(self, expectation: Expectation) -> Iterator[Finding]:
        if isinstance(expectation, ProbeExpectation):
            yield from self._probe(expectation)
        else:
            yield from self._fact(expectation)
        if expectation.fault is not None and expectation.fault not in self.known.injected:
            yield (*self.path, "during"), self.known.unknown_fault(expectation.fault, self.later)
        if expectation.target is not None:
            for what in self._target(expectation, expectation.target):
                yield (*self.path, "on"), what

    def _probe(self, expectation: ProbeExpectation) -> Iterator[Finding]:
        for what in contradictions(expectation):
            yield self.path, what
        probe = expectation.probe
        if probe.is_direct and expectation.target is None:
            asked = FaultTarget.MEMBER if probe.is_of_etcd else FaultTarget.CONTROL_PLANE
            whom = "a worker" if probe.is_of_workers else f"{asked}, a fault or others"
            yield (*self.path, "probe"), f"{probe} needs `on`: {whom}"
        if not probe.is_direct and expectation.target is not None:
            yield (*self.path, "on"), f"{probe} asks the load balancer: leave `on` out"

    def _fact(self, expectation: FactExpectation) -> Iterator[Finding]:
        fact = expectation.fact
        for what in fact_contradictions(expectation):
            yield self.path, what
        if fact.is_of_a_machine and expectation.target is None:
            yield (*self.path, "fact"), f"{fact} needs `on`"
        if not fact.is_of_a_machine and expectation.target is not None:
            yield (*self.path, "fact"), f"{fact} is a fact of the whole lab: leave `on` out"
        if fact is FactName.UNIT_STATE and expectation.unit is None:
            yield (*self.path, "fact"), f"{fact} needs `unit`, such as kubelet"
        if fact is not FactName.UNIT_STATE and expectation.unit is not None:
            yield (*self.path, "fact"), f"{fact} has no unit: leave `unit` out"
        if expectation.value is not None:
            for what in self._value(fact, expectation.value):
                yield (*self.path, "value"), what
        if fact.traits.needs_an_address and not self.known.needs.has_address:
            yield (*self.path, "fact"), f"{fact} needs a virtual address: {ADDRESS_NEEDS}"
        if fact is FactName.BACKEND_OF and not any(kind.nodes_choose for kind in self._kinds()):
            yield (
                (*self.path, "fact"),
                f"{fact} needs nodes that choose an API server: add {choosing_nodes('when')}",
            )
        if fact is FactName.DNS_RECORD and not any(kind.has_dns for kind in self._kinds()):
            yield (
                (*self.path, "fact"),
                f"{fact} needs a lab with DNS: write `needs: {{load_balancer: {Balancer.DNS}}}`",
            )
        if fact is FactName.BACKEND:
            for what in self._backend():
                yield (*self.path, "fact"), what

    def _kinds(self) -> list[Balancer]:
        """The kinds of load balancers that the scenario needs and that the step is for."""
        wanted = (
            self.known.needs.load_balancer,
            *(condition.load_balancer for condition in self.conditions),
        )
        return [kind for kind in wanted if kind is not None]

    def _backend(self) -> Iterator[str]:
        balancers = self._kinds()
        silent = [balancer for balancer in balancers if not balancer.has_one_view]
        able = reporting_balancers()
        if silent:
            yield f"only {able} reports its backends, and this step is for {silent[0]}"
        elif not balancers:
            yield f"only {able} reports its backends: add `when: {{load_balancer: {able}}}`"

    def _value(self, fact: FactName, value: str) -> Iterator[str]:
        if fact.traits.is_a_number:
            yield f"the value of {fact} cannot be known in advance: expect an `increase`"
        elif not fact.is_sampled:
            yield f"a start time cannot be known in advance: expect {fact} `changed`"
        elif fact.traits.values is not None and value not in fact.traits.values:
            yield f"{fact} should be {listed(sorted(fact.traits.values))}, not {value}"
        elif fact.traits.values is None and kind_of(value) not in (kinds := self._value_kinds(fact)):
            example = "lb2" if TargetKind.BALANCER in kinds else "cp1"
            yield f"{fact} should be a {listed(sorted(kinds))}, such as {example}, not {value}"
        else:
            yield from self.known.missing_machine(value)

    def _value_kinds(self, fact: FactName) -> frozenset[TargetKind]:
        """The kinds of the machine that is the value of a fact of the lab."""
        is_holder = fact.traits.needs_an_address
        return frozenset({self.known.needs.holder_kind}) if is_holder else fact.traits.value_kinds

    def _target(self, expectation: Expectation, target: str) -> Iterator[str]:
        is_probe = isinstance(expectation, ProbeExpectation)
        of_workers = isinstance(expectation, ProbeExpectation) and expectation.probe.is_of_workers
        kinds = frozenset({TargetKind.WORKER}) if of_workers else _DIRECT
        if target == OTHERS:
            yield from self._others(expectation)
            return
        if (
            target not in self.known.injected
            and target not in (ALL_CONTROL_PLANES, ALL_MEMBERS)
            and (not kind_of(target) or is_probe and kind_of(target) not in kinds)
        ):
            if target in self.later:
                yield self.known.unknown_fault(target, self.later)
            else:
                known = [OTHERS, ALL_CONTROL_PLANES, ALL_MEMBERS, "cp1", *self.known.injected]
                yield f"no such machine or fault: {target}{nearest(target, known)}"
            return
        if target not in self.known.injected:
            yield from self.known.missing_machine(target)
        allowed = self.known.topologies(self.conditions)
        fits = frozenset().union(*map(expectation.kinds_in, allowed))
        is_known = fits and self.known.kinds(target)
        if is_known and not self.known.fits(target, expectation.kinds_in, self.conditions):
            asked = expectation.probe if isinstance(expectation, ProbeExpectation) else expectation.fact
            yield f"{asked} needs a {listed(sorted(fits))}, but this may be another machine: {target}"

    def _others(self, expectation: Expectation) -> Iterator[str]:
        """Rules for `others`: the control planes that a fault did not hit (that of `during`, or the one before)."""
        if isinstance(expectation, FactExpectation) and not expectation.fact.is_sampled:
            yield "this fact is read from named machines only: write a machine or a fault"
        yield from self.known.missing_machine(OTHERS)
        named = expectation.fault or next(reversed(self.known.injected), "")
        if named in self.known.injected and self.known.injected[named].hits_all:
            yield f"there are no others: {named} hits every control plane"


def contradictions(expectation: ProbeExpectation) -> Iterator[str]:
    """Yield what is wrong with the combined conditions of one expectation of a probe."""
    ok, fails, during = expectation.ok, expectation.fails, expectation.during
    amounts = amounts_of(expectation)
    given = [name for name, value in (("ok", ok), ("fails", fails)) if value is not None]
    if not given and not amounts:
        yield f"should expect something: ok, fails, {listed(AMOUNTS)}"
    if len(given) == 2:
        yield "cannot expect both ok and fails"
    elif given and amounts:
        yield f"cannot expect both {given[0]} and {next(iter(amounts))}"
    for promise in filter(None, (ok, fails)):
        if promise.always and during is None:
            yield "`always` needs a window: add `during` and the name of a fault"
        if not promise.always and during is not None:
            yield "`within` counts from the last inject, heal, join or wait, not over a window: leave `during` out"
    for name in amounts:
        if during is None:
            yield f"`{name}` needs a window: add `during` and the name of a fault"
    some = [name for name, bounds in amounts.items() if bounds.least > 0]
    none = [name for name, bounds in amounts.items() if bounds.most == 0]
    if some and none:
        yield f"{some[0]} expects an outage, but {none[0]} expects none"


def fact_contradictions(expectation: FactExpectation) -> Iterator[str]:
    """Yield what is wrong with the combined conditions of one expectation of a fact."""
    fact, during = expectation.fact, expectation.during
    forms = [name for name in _FORMS if getattr(expectation, name) is not None]
    if len(forms) != 1:
        yield f"needs exactly one of {listed(_FORMS)}"
        return
    (form,) = forms
    if form == "value" and (expectation.reached is None) == (during is None):
        yield "a value needs `reached: within` a time, or `during` a fault"
    if form != "value" and expectation.reached is not None:
        yield f"`reached` needs a value, not {form}"
    if form == "changed" and during is not None:
        yield "`within` counts from the last inject, heal, join or wait, not over a window: leave `during` out"
    if form == "increase" and not fact.traits.is_a_number:
        yield f"{fact} is not a number and cannot increase"
    if form == "increase" and during is None:
        yield "`increase` needs a window: add `during` and the name of a fault"
    if form == "unchanged" and during is not None and not fact.is_sampled:
        yield f"{fact} is not sampled, so it is unknown over a window: leave `during` out"


def amounts_of(expectation: ProbeExpectation) -> dict[str, Bounds]:
    """Its bounds on amounts, by name."""
    amounts = {name: getattr(expectation, name) for name in AMOUNTS}
    return {name: bounds for name, bounds in amounts.items() if bounds is not None}
