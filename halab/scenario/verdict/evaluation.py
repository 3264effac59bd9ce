"""Judge one expectation by the evidence up to a moment.

The runner asks while a scenario runs, to know when it may go on. The verdict asks afterwards, with the same functions,
and gets the same answer.
"""

from __future__ import annotations

from dataclasses import replace

from halab.config.expectation import FactExpectation, ProbeExpectation, is_of_heal
from halab.config.step import Expect
from halab.scenario.record import events
from halab.scenario.record.history import History, Window
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Samples
from halab.scenario.verdict import deadline, facts
from halab.scenario.verdict.facts import FactReading, Track
from halab.scenario.verdict.judgement import Judgement, JudgementState, combine
from halab.scenario.verdict.window import during


def evaluate(history: History, index: int, now: float) -> Judgement:
    """Judge the expectation of a step by what was known at `now`, in seconds since the run began."""
    step = history.scenario.steps[index]
    assert isinstance(step, Expect)
    expectation = step.expectation
    machines = history.machines_asked(index, expectation)
    if not machines:
        return Judgement(
            JudgementState.OPEN, f"no fault hit a machine that {expectation.target} can refer to"
        )
    window = history.window(expectation.during) if expectation.during else None
    if expectation.during and window is None:
        why = "is not being healed yet" if is_of_heal(expectation.during) else "was not injected"
        return Judgement(JudgementState.OPEN, f"{expectation.fault} {why}")
    if isinstance(expectation, FactExpectation):
        return combine([_fact(history, index, expectation, machine, window, now) for machine in machines])
    return combine([_probe(history, index, expectation, machine, window, now) for machine in machines])


def _probe(
    history: History,
    index: int,
    expectation: ProbeExpectation,
    machine: str | None,
    window: Window | None,
    now: float,
) -> Judgement:
    lane, samples = Lane(expectation.probe, machine), history.samples
    if window is not None:
        return _explained(during(expectation, samples, lane, window, now), samples, lane, window.start)
    counts_from = history.counts_from(index)
    if counts_from is None:
        return Judgement(JudgementState.OPEN, "the step before this one did not end")
    judgement = deadline.within(expectation, samples, lane, counts_from, history.patience, now)
    return _explained(judgement, samples, lane, counts_from)


def _explained(judgement: Judgement, samples: Samples, lane: Lane, start: float) -> Judgement:
    """An open judgement also says that answers could not be read: this host is the reason, and not the lab."""
    unread = sum(sample.lane == lane and sample.t >= start for sample in samples.void)
    if judgement.state is not JudgementState.OPEN or not unread:
        return judgement
    why = f"answers that the sampler could not read because it stood still: {unread}"
    return replace(
        judgement, seen=f"{judgement.seen} ({why}; was the sampler stopped, or is this host too busy?)"
    )


def _fact(
    history: History,
    index: int,
    expectation: FactExpectation,
    machine: str | None,
    window: Window | None,
    now: float,
) -> Judgement:
    """Without `during`, "before the fault" means the fault that is named, or else the last one before the step."""
    fact = track(history, expectation.state, machine)
    if window is not None and expectation.value is not None:
        return facts.held(fact, expectation.value, window, now)
    if window is not None and expectation.increase is not None:
        return facts.increased(
            fact, expectation.increase, window, now, may_fall=expectation.fact.traits.may_fall
        )
    if window is not None:
        return facts.unchanged(fact, window, now, over_window=True)
    counts_from = history.counts_from(index)
    window = history.window(expectation.target or "") or history.window(history.fault_before(index) or "")
    if counts_from is None or window is None:
        return Judgement(JudgementState.OPEN, "the step before this one did not end")
    promise = expectation.changed or expectation.reached
    if promise is None:
        return facts.unchanged(fact, window, now, over_window=False)
    assert promise.within_seconds is not None
    limit = promise.within_seconds * history.patience
    if expectation.value is not None:
        return facts.reached(fact, expectation.value, counts_from, limit, now)
    return facts.changed(fact, window, counts_from, limit, now)


def track(history: History, state: str, machine: str | None) -> Track:
    """All readings of a fact: by the sampler, or by the runner when it was needed."""
    lane = Lane(state, machine)
    sampled = [
        FactReading(state.t, state.end, state.value, state.detail) for state in history.states.of(lane)
    ]
    recorded = [
        FactReading(t, t, read.value)
        for t, read in history.events(events.Fact)
        if Lane(read.fact, read.machine) == lane
    ]
    readings = sorted([*sampled, *recorded], key=lambda reading: reading.t)
    return Track(lane, readings, is_sampled=bool(sampled))
