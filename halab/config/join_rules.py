"""Rules for the joins of a scenario file: a fault took the machine out of the cluster, and is not healed yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from halab.config.fault_facts import FAULT_FACTS, facts_of
from halab.config.fault_rules import Finding, KnownFaults
from halab.config.loading import listed
from halab.config.scenario import Scenario
from halab.config.step import Inject, Join, JoinEnding
from halab.config.targets import TargetKind

# The heal of these faults joins the machine, however the join of the scenario ended: the lab is complete afterwards.
_HEALED_BY_JOIN = sorted(name for name, facts in FAULT_FACTS.items() if facts.is_healed_by_join)


def problems(
    scenario: Scenario, index: int, known: KnownFaults, later: Mapping[str, int]
) -> Iterator[Finding]:
    """Yield what is wrong with the join of that step. `known` has the faults of earlier steps, `later` the others."""
    step = scenario.steps[index]
    assert isinstance(step, Join)
    path = ("steps", index)
    if len(step.endings) != 1:
        yield path, f"needs exactly one of {listed(JoinEnding)}"
    for ending in step.endings:
        if getattr(step, ending).within_seconds < 1:
            yield (*path, str(ending)), "a join takes seconds: give it 1s or more"
    if step.says is not None and len(step.says.splitlines()) > 1:
        yield (*path, "says"), "should be one line"
    for what in _fault_problems(scenario, step, known, later):
        yield (*path, "on"), what


def _fault_problems(
    scenario: Scenario, step: Join, known: KnownFaults, later: Mapping[str, int]
) -> Iterator[str]:
    name = step.fault
    if name not in known.injected:
        yield known.unknown_fault(name, later)
        return
    inject = scenario.steps[known.injected[name].index]
    assert isinstance(inject, Inject)
    if not facts_of(inject.fault).is_healed_by_join:
        yield f"{inject.fault} takes no machine out of the cluster; name a fault that does: {listed(_HEALED_BY_JOIN)}"
    elif TargetKind.BALANCER in known.kinds(name):
        yield f"the load balancer joins no cluster: {name} must be on nodes only"
    elif name in known.healed:
        yield f"is already healed in step {known.healed[name] + 1}, and the heal joined its machines: {name}"
