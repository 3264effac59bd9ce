"""Check that a fault lasts long enough for the bound on the longest outage while it lasts.

An `expect … within` ends as soon as it is met, so only the waits guarantee how long a fault lasts. A fault that is over
at once, such as `kill-process`, is not ended by its heal, so an outage may be longer than the time between the two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from halab.config.expectation import ProbeExpectation
from halab.config.fault_facts import facts_of
from halab.config.fault_rules import Finding
from halab.config.lab_traits import LabTraits
from halab.config.quantities import format_duration
from halab.config.scenario import Scenario
from halab.config.step import Expect, Heal, Inject, Wait


def problems(scenario: Scenario) -> Iterator[Finding]:
    """Yield every `longest_outage` whose fault may be too short, on some lab that can run the scenario."""
    labs = list(scenario.labs)
    for index, step in enumerate(scenario.steps):
        if not isinstance(step, Expect) or not isinstance(step.expectation, ProbeExpectation):
            continue
        needed, fault = step.expectation.fault_seconds, step.expectation.fault
        if not needed or fault is None or not _is_lasting(scenario, fault):
            continue
        played = [lab for lab in labs if not scenario.left_out(index, lab)]
        waits = [(_waited(scenario, fault, lab), lab) for lab in played]
        waited, lab = min(waits, key=lambda wait: wait[0], default=(needed, None))
        if waited < needed:
            path = ("steps", index, "expect", "longest_outage")
            is_everywhere = all(seconds == waited for seconds, _lab in waits)
            yield path, _what(scenario, fault, needed, waited, None if is_everywhere else lab)


def _is_lasting(scenario: Scenario, fault: str) -> bool:
    """Whether the heal ends the fault; a name without an inject is reported elsewhere."""
    kinds = [step.fault for step in scenario.steps if isinstance(step, Inject) and step.name == fault]
    return any(facts_of(kind).is_lasting for kind in kinds)


def _waited(scenario: Scenario, fault: str, lab: LabTraits) -> float:
    """The seconds of all waits from the inject of a fault to its heal, or to the last step if no step heals it."""
    seconds, lasts = 0.0, False
    for index, step in enumerate(scenario.steps):
        if scenario.left_out(index, lab):
            continue
        if isinstance(step, Inject) and step.name == fault:
            lasts = True
        elif isinstance(step, Heal) and step.name == fault:
            break
        elif isinstance(step, Wait) and lasts:
            seconds += step.seconds
    # a name without an inject is reported elsewhere
    return seconds if lasts else math.inf


def _what(scenario: Scenario, fault: str, needed: float, waited: float, lab: LabTraits | None) -> str:
    is_healed = any(isinstance(step, Heal) and step.name == fault for step in scenario.steps)
    where = f"before `heal: {fault}`" if is_healed else f"after the inject of {fault}"
    on = f" on a lab with {lab.in_words}" if lab else ""
    return (
        f"{fault} must last {format_duration(needed)} to show this, but the waits while it lasts add up to"
        f" {format_duration(waited)}{on}: add `wait: {math.ceil(needed - waited)}s` {where}"
    )
