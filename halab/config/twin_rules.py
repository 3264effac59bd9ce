"""Rules for the losing twin of a scenario: that it is one change, that can be made, and that changes something."""

from __future__ import annotations

from collections.abc import Iterator

from halab.config.fault_facts import EDIT_BALANCER, NOTHING
from halab.config.fault_rules import Finding, KnownFaults
from halab.config.lab import BackendCheck, Balancer
from halab.config.loading import nearest
from halab.config.scenario import Scenario
from halab.config.step import Inject
from halab.config.twin import Replacement
from halab.config.yaml_source import Path


def problems(scenario: Scenario, cast: KnownFaults) -> Iterator[Finding]:
    """`cast` are all faults of the scenario."""
    twin = scenario.twin
    if len(twin.changes) != 1:
        yield ("twin",), "should say one of replace, add or set"
    injects = {step.name: step for step in reversed(scenario.injects)}
    for name, replacement in twin.replacements.items():
        for what in _replaced(name, replacement, injects, cast):
            yield ("twin", "replace", name), what
    yield from _added(twin.add or (), cast)
    if twin.set is not None:
        for what in _set(scenario, cast):
            yield ("twin", "set", "load_balancer"), what


def _replaced(name: str, by: Replacement, injects: dict[str, Inject], cast: KnownFaults) -> Iterator[str]:
    if name not in injects:
        yield f"no fault of that name is injected: {name}{nearest(name, injects)}"
        return
    if by.fault not in cast.faults:
        yield f"no such fault: {by.fault}{nearest(by.fault, cast.faults)}"
        return
    step = injects[name]
    options = by.options_after(step)
    if (by.fault, options) == (step.fault, step.options):
        yield f"changes nothing: the fault is {by.fault} already"
        return
    yield from cast.option_problems(by.fault, options, step.targets)
    for target in step.targets:
        yield from cast.place_problems(by.fault, target)


def _added(added: tuple[Inject, ...], cast: KnownFaults) -> Iterator[Finding]:
    # they come first: of the scenario's own faults they know nothing but that the names are taken
    ahead = KnownFaults(cast.faults, cast.needs)
    for number, step in enumerate(added):
        path: Path = ("twin", "add", number)
        if step.name in cast.injected:
            earlier = cast.injected[step.name].index + 1
            yield (*path, "name"), f"is already the name of the fault of step {earlier}: {step.name}"
        yield from ahead.inject(path, -1, step)
        if step.fault == NOTHING:
            yield (*path, "inject"), "changes nothing: this fault does nothing"


def _set(scenario: Scenario, cast: KnownFaults) -> Iterator[str]:
    settings = scenario.twin.settings
    if EDIT_BALANCER not in cast.faults:
        yield f"no such fault: {EDIT_BALANCER}"
        return
    yield from cast.faults[EDIT_BALANCER].problems_with(settings)
    if settings.get("check") and scenario.needs.load_balancer is Balancer.NGINX:
        yield "only HAProxy checks its backends, but the scenario needs nginx"
    if dict(settings) == {"check": str(BackendCheck.READYZ)}:
        yield f"changes nothing: a lab has this setting anyway: {BackendCheck.READYZ}"
