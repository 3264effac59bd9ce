"""The longest duration of a scenario, for trainers who plan with it and for progress."""

from __future__ import annotations

from halab.config.expectation import Expectation, ProbeExpectation
from halab.config.fault_facts import facts_of
from halab.config.quantities import seconds_of
from halab.config.scenario import Scenario
from halab.config.step import AnyStep, Expect, Heal, Inject, Join, Wait
from halab.scenario.record.lanes import TIME_LIMIT_SECONDS
from halab.scenario.verdict.promises import waited_seconds

# Before the fault, the lab must be steady, and samples must show it: in two seconds, every probe has at least ten.
STEADY_BEFORE_SECONDS = 180.0
BASELINE_SECONDS = 2.0
# A run waits for a recovery beyond its bound: a late one is a measurement, and the next run needs a steady lab.
_BEYOND_BOUND = 2.0
_RECOVERY_AT_LEAST_SECONDS = 120.0
# After the limit of an expectation, answers to the last questions still arrive.
_EVIDENCE_SECONDS = TIME_LIMIT_SECONDS + 2.0
# A probe with a time limit of its own asks once a second, and five answers in a row are needed.
_RARE_EVIDENCE_SECONDS = 8.0
_HEAL_SECONDS = 60.0
# To note that machines joined.
_JOINED_SECONDS = 60.0
# The ledger and the members are read back, the check files run, the audit asks every machine, logs are collected.
_READ_BACK_SECONDS = 30.0
_CHECKS_SECONDS = 60.0
_AUDIT_SECONDS = 30.0
_LOGS_SECONDS = 30.0


def longest_seconds(scenario: Scenario, patience: float = 1.0) -> float:
    """An estimate of the longest run, in seconds: the sum of the limits of its steps.

    A run without problems takes a fraction of it.
    """
    before = STEADY_BEFORE_SECONDS * patience + BASELINE_SECONDS
    steps = sum(_step_seconds(scenario, step, patience) for step in scenario.steps)
    # by a step, or after the last one
    healing = sum(_with_limit(step, _HEAL_SECONDS) for step in scenario.injects) * patience
    after = _READ_BACK_SECONDS + _AUDIT_SECONDS + _LOGS_SECONDS
    if scenario.checks:
        after += _CHECKS_SECONDS * patience
    recovery = recovery_seconds((scenario.recover.steady.within_seconds or 0.0) * patience)
    return before + steps + healing + recovery + after


def recovery_seconds(bound_seconds: float) -> float:
    """How many seconds a run waits for a recovery with that bound."""
    return max(bound_seconds * _BEYOND_BOUND, _RECOVERY_AT_LEAST_SECONDS)


def evidence_seconds(scenario: Scenario, expectation: Expectation) -> float:
    """How long answers may still arrive after the limit of an expectation."""
    own = (
        scenario.probes.limits.get(expectation.probe) if isinstance(expectation, ProbeExpectation) else None
    )
    return _EVIDENCE_SECONDS if own is None else own + _RARE_EVIDENCE_SECONDS


def _step_seconds(scenario: Scenario, step: AnyStep, patience: float) -> float:
    match step:
        case Wait():
            return step.seconds
        case Inject():
            return _with_limit(step, facts_of(step.fault).longest_seconds) * patience
        case Heal():
            return 0.0  # counted with its inject
        case Join():
            return (step.limit_seconds + _JOINED_SECONDS) * patience
        case Expect():
            limit = waited_seconds(step.expectation)
            more = evidence_seconds(scenario, step.expectation)
            return 0.0 if limit is None else limit * patience + more


def _with_limit(step: Inject, seconds: float) -> float:
    """At least these seconds, and what the option `limit` of run-script allows for a script and for its check."""
    limit = step.arguments.get("limit")
    return max(seconds, 2 * seconds_of(limit)) if limit else seconds
