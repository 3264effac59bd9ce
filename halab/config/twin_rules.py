"""Rules for the losing twin of a scenario: it must be exactly one change, possible, and different from the scenario."""

from __future__ import annotations

from collections.abc import Iterator

from halab.config.fault_facts import EDIT_BALANCER, NOTHING
from halab.config.fault_rules import Finding, KnownFaults
from halab.config.fault_spec import with_texts
from halab.config.load_balancer import checking_balancers
from halab.config.load_balancer_choices import BackendCheck
from halab.config.loading import nearest
from halab.config.scenario import Scenario
from halab.config.step import Inject, conditions
from halab.config.twin import Replacement
from halab.config.yaml_source import Path


def problems(scenario: Scenario, known: KnownFaults) -> Iterator[Finding]:
    """`known` has all faults of the scenario."""
    twin = scenario.twin
    if len(twin.changes) != 1:
        yield ("twin",), "needs exactly one of replace, add or set"
    injects = {step.name: step for step in reversed(scenario.injects)}
    for name, replacement in twin.replacements.items():
        yield from _replaced(name, replacement, injects, known)
    yield from _added(twin.add or (), known)
    if twin.set is not None:
        for what in _set(scenario, known):
            yield ("twin", "set", "load_balancer"), what


def _replaced(
    name: str, by: Replacement, injects: dict[str, Inject], known: KnownFaults
) -> Iterator[Finding]:
    path: Path = ("twin", "replace", name)
    if name not in injects:
        yield path, f"no fault of that name is injected: {name}{nearest(name, injects)}"
        return
    if by.fault not in known.faults:
        yield path, f"no such fault: {by.fault}{nearest(by.fault, known.faults)}"
        return
    step = injects[name]
    options = by.options_after(step)
    if (by.fault, options) == (step.fault, step.options):
        yield path, f"changes nothing: the fault is already {by.fault}"
        return
    # without options of its own, it has the options of the step
    where = path if by.options is None else (*path, "with")
    yield from known.option_problems(where, by.fault, options, step.targets)
    for target in step.targets:
        yield from (
            (path, what) for what in known.target_problems(by.fault, options, target, conditions(step))
        )


def _added(added: tuple[Inject, ...], known: KnownFaults) -> Iterator[Finding]:
    # they come first, so they cannot refer to the faults of the scenario, but must not use their names
    ahead = KnownFaults(known.faults, known.needs, known.texts)
    for number, step in enumerate(added):
        path: Path = ("twin", "add", number)
        if step.name in known.injected:
            earlier = known.injected[step.name].index + 1
            yield (*path, "name"), f"is already the name of the fault of step {earlier}: {step.name}"
        yield from ahead.inject(path, -1, step)
        if step.fault == NOTHING:
            yield (*path, "inject"), "changes nothing: this fault does nothing"


def _set(scenario: Scenario, known: KnownFaults) -> Iterator[str]:
    settings = scenario.twin.settings
    if EDIT_BALANCER not in known.faults:
        yield f"no such fault: {EDIT_BALANCER}"
        return
    yield from known.faults[EDIT_BALANCER].problems_with(
        with_texts(known.faults[EDIT_BALANCER], settings, known.texts)
    )
    needed = scenario.needs.load_balancer
    if needed and not needed.has_settings:
        yield f"{needed} has no settings that a run can change"
        return
    check = settings.get("check", BackendCheck.NONE)
    if check != BackendCheck.NONE and needed and not needed.checks_backends:
        yield f"only {checking_balancers()} checks its backends, but the scenario needs {needed}"
    if dict(settings) == {"check": str(BackendCheck.READYZ)}:
        yield f"changes nothing: every lab has this setting by default: {BackendCheck.READYZ}"
