"""Whether one expectation holds, by the evidence up to a moment.

The runner asks while a scenario runs, to know when it may go on; the verdict asks afterwards, with the same
functions and the same answer.
"""

from __future__ import annotations

from halab.config.expectation import FactExpectation, FactName, ProbeExpectation, is_of_heal
from halab.config.step import Expect
from halab.scenario.record import events
from halab.scenario.record.events import lane
from halab.scenario.record.history import History, Window
from halab.scenario.verdict import deadline, facts
from halab.scenario.verdict import window as amounts
from halab.scenario.verdict.decision import Judgement, JudgementState, combine
from halab.scenario.verdict.facts import FactReading, Track


def evaluate(history: History, index: int, now: float) -> Judgement:
    """The expectation of a step, by what was known at `now`."""
    step = history.scenario.steps[index]
    assert isinstance(step, Expect)
    expectation = step.expectation
    machines = history.machines_asked(index, expectation)
    if not machines:
        return Judgement(JudgementState.OPEN, f"no fault hit a machine that {expectation.target} could mean")
    window = history.window(expectation.during) if expectation.during else None
    if expectation.during and window is None:
        why = "is not being healed yet" if is_of_heal(expectation.during) else "was not injected"
        return Judgement(JudgementState.OPEN, f"{expectation.fault} {why}")
    if isinstance(expectation, FactExpectation):
        return combine([_fact(history, index, expectation, each, window, now) for each in machines])
    return combine([_probe(history, index, expectation, each, window, now) for each in machines])


def _probe(
    history: History,
    index: int,
    expectation: ProbeExpectation,
    machine: str | None,
    window: Window | None,
    now: float,
) -> Judgement:
    name = lane(expectation.probe, machine)
    if window is not None:
        return amounts.during(expectation, history.samples, name, window, now)
    counts_from = history.counts_from(index)
    if counts_from is None:
        return Judgement(JudgementState.OPEN, "the step before did not end")
    return deadline.within(expectation, history.samples, name, counts_from, history.patience, now)


def _fact(
    history: History,
    index: int,
    expectation: FactExpectation,
    machine: str | None,
    window: Window | None,
    now: float,
) -> Judgement:
    """Without `during`, what was before the fault is what was before the one that is named, or the last one."""
    fact = track(history, expectation.fact, machine)
    if window is not None and expectation.value is not None:
        return facts.held(fact, expectation.value, window, now)
    if window is not None and expectation.increase is not None:
        return facts.increased(fact, expectation.increase, window, now)
    if window is not None:
        return facts.unchanged(fact, window, now, over_window=True)
    counts_from = history.counts_from(index)
    window = history.window(expectation.target or "") or history.window(history.fault_before(index) or "")
    if counts_from is None or window is None:
        return Judgement(JudgementState.OPEN, "the step before did not end")
    promise = expectation.changed or expectation.reached
    if promise is None:
        return facts.unchanged(fact, window, now, over_window=False)
    assert promise.within_seconds is not None
    limit = promise.within_seconds * history.patience
    if expectation.value is not None:
        return facts.reached(fact, expectation.value, counts_from, limit, now)
    return facts.changed(fact, window, counts_from, limit, now)


def track(history: History, fact: FactName, machine: str | None) -> Track:
    """All that was read of a fact: by the sampler, or by the runner when it was needed."""
    name = lane(fact, machine)
    sampled = [FactReading(each.t, each.end, each.value, each.detail) for each in history.states.of(name)]
    recorded = [
        FactReading(record.t, record.t, record.what.value)
        for record in history.records
        if isinstance(record.what, events.Fact) and lane(record.what.fact, record.what.machine) == name
    ]
    found = sorted([*sampled, *recorded], key=lambda each: each.t)
    return Track(name, found, is_sampled=bool(sampled))
