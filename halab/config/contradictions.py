"""Find expectations of a scenario that cannot both be met."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from halab.config.expectation import Expectation, FactExpectation, ProbeExpectation
from halab.config.expectation_rules import amounts_of
from halab.config.fault_rules import Finding
from halab.config.lab_traits import Condition
from halab.config.quantities import Bounds
from halab.config.scenario import Scenario
from halab.config.step import Expect, Inject, conditions


def problems(scenario: Scenario) -> Iterator[Finding]:
    """Yield every expectation that contradicts an earlier one, if some lab has both."""
    earlier: list[tuple[int, Expect]] = []
    for index, step in enumerate(scenario.steps):
        if not isinstance(step, Expect):
            continue
        for number, other in earlier:
            injected = any(isinstance(between, Inject) for between in scenario.steps[number:index])
            if _may_meet(conditions(other), conditions(step)) and _exclude(
                other.expectation, step.expectation, injected
            ):
                yield ("steps", index, "expect"), f"contradicts step {number + 1}"
                break
        earlier.append((index, step))


def _may_meet(one: list[Condition], other: list[Condition]) -> bool:
    return all(first.may_hold_with(second) for first, second in product(one, other))


def _exclude(one: Expectation, other: Expectation, injected: bool) -> bool:
    """`injected` is true if a fault is injected between them."""
    if (one.target, one.during) != (other.target, other.during):
        return False
    if isinstance(one, ProbeExpectation) and isinstance(other, ProbeExpectation):
        return one.probe == other.probe and one.during is not None and _answers_exclude(one, other)
    if isinstance(one, FactExpectation) and isinstance(other, FactExpectation):
        return one.state == other.state and _values_exclude(one, other, injected)
    return False


def _answers_exclude(one: ProbeExpectation, other: ProbeExpectation) -> bool:
    for first, second in ((one, other), (other, one)):
        if first.ok and (second.fails or any(bounds.least > 0 for bounds in amounts_of(second).values())):
            return True
        if first.fails and any(_is_little(*amount) for amount in amounts_of(second).items()):
            return True
    mine, theirs = amounts_of(one), amounts_of(other)
    return any(not mine[name].meet(theirs[name]) for name in mine.keys() & theirs.keys())


def _is_little(name: str, bounds: Bounds) -> bool:
    """True if a probe that always fails exceeds the bound in any window."""
    if bounds.least > 0:
        return False
    return {"longest_outage": True, "failed_share": bounds.most < 1, "outages": bounds.most < 1}[name]


def _values_exclude(one: FactExpectation, other: FactExpectation, injected: bool) -> bool:
    if one.during is not None:
        if one.value and other.value:
            return one.value != other.value
        if one.increase and other.increase:
            return not one.increase.meet(other.increase)
        increases = [bounds for bounds in (one.increase, other.increase) if bounds and bounds.least > 0]
        return bool(increases) and bool(one.unchanged or other.unchanged)
    # both count from the last fault
    return not injected and one.changed is not None and other.unchanged is not None
