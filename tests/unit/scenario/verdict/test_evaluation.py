"""How expectations are judged by the record up to a moment, and what leaves them open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.run_builder import META, STOP, MadeRun, leaders, readings, waiting

from halab.config.expectation import FactName
from halab.scenario.record import events
from halab.scenario.record.events import Event, Record
from halab.scenario.record.folder import Evidence
from halab.scenario.verdict.evaluation import evaluate, track
from halab.scenario.verdict.judgement import Judgement, JudgementState


def dropping(evidence: Evidence, *kinds: type[Event]) -> Evidence:
    return replace(evidence, records=[each for each in evidence.records if not isinstance(each.what, kinds)])


def at(evidence: Evidence, index: int, now: float = 40.0) -> Judgement:
    return evaluate(evidence.history, index, now)


def over(words: str) -> str:
    """The scenario with another expectation over the window of its fault."""
    return STOP.replace(
        "probe: ready-direct, on: others, ok: always, during: stopped", f"{words}, during: stopped"
    )


def test_an_expectation_of_machines_that_no_fault_has_hit_is_open() -> None:
    judgement = at(dropping(MadeRun().evidence(), events.FaultStarted), 5)
    assert (judgement.state, judgement.seen) == (
        JudgementState.OPEN,
        "no fault hit a machine that others can refer to",
    )


@pytest.mark.parametrize(
    "words", ["probe: write-via-lb, ok: within 10s", "fact: etcd-leader, changed: within 5s"]
)
def test_an_expectation_that_counts_from_an_unfinished_step_is_open(words: str) -> None:
    evidence = dropping(MadeRun(text=waiting(words), states=leaders()).evidence(), events.StepEnded)
    judgement = at(evidence, 1)
    assert (judgement.state, judgement.seen) == (JudgementState.OPEN, "the step before this one did not end")


def test_a_fact_whose_fault_is_not_in_the_record_is_open() -> None:
    made = MadeRun(text=waiting("fact: etcd-leader, changed: within 5s"), states=leaders()).evidence()
    assert at(dropping(made, events.FaultStarted), 1).state is JudgementState.OPEN


def test_unchanged_during_a_window_allows_later_changes_and_unchanged_alone_does_not() -> None:
    """The fault begins at 5.51 s and is healed from 18.51 s on."""
    states = readings("etcd-leader", None, {0: "cp2", 20: "cp3"})
    assert (
        at(MadeRun(text=over("fact: etcd-leader, unchanged: true"), states=states).evidence(), 5).state
        is JudgementState.MET
    )
    just = MadeRun(text=waiting("fact: etcd-leader, unchanged: true"), states=states).evidence()
    assert at(just, 1, now=19.0).state is JudgementState.MET
    assert at(just, 1).state is JudgementState.BROKEN


@pytest.mark.parametrize(("value", "state"), [("cp3", JudgementState.MET), ("cp1", JudgementState.BROKEN)])
def test_a_run_waits_for_a_value(value: str, state: JudgementState) -> None:
    text = waiting(f"fact: etcd-leader, value: {value}, reached: within 5s")
    assert at(MadeRun(text=text, states=leaders()).evidence(), 1).state is state


@pytest.mark.parametrize(
    ("during", "kind", "seen"),
    [
        ("stopped", events.FaultStarted, "stopped was not injected"),
        ("heal stopped", events.HealStarted, "stopped is not being healed yet"),
    ],
)
def test_an_expectation_over_a_window_that_has_not_begun_is_open(
    during: str, kind: type[Event], seen: str
) -> None:
    text = STOP.replace("longest_outage: 5s, during: stopped", f"longest_outage: 5s, during: {during}")
    judgement = at(dropping(MadeRun(text=text).evidence(), kind), 4)
    assert (judgement.state, judgement.seen) == (JudgementState.OPEN, seen)


def test_a_probe_is_judged_on_each_machine_over_the_window() -> None:
    """The fault hits cp2."""
    assert at(MadeRun().evidence(), 5).state is JudgementState.MET
    judgement = at(MadeRun(out={"ready-direct@cp3": [(10, 11)]}).evidence(), 5)
    assert judgement.state is JudgementState.BROKEN
    assert judgement.seen.startswith("ready-direct on cp3 failed in 5 of ")


@pytest.mark.parametrize(("patience", "state"), [(1, JudgementState.BROKEN), (2, JudgementState.MET)])
@pytest.mark.parametrize(
    "words", ["fact: etcd-leader, changed: within 1s", "probe: write-via-lb, ok: within 1s"]
)
def test_patience_stretches_a_limit(words: str, patience: float, state: JudgementState) -> None:
    """The step before ends at 6.51 s; the leader changes, and writes are ok again, at 8.2 s."""
    run = MadeRun(
        text=waiting(words),
        states=leaders(),
        out={"write-via-lb": [(6, 8.2)]},
        meta=replace(META, patience=patience),
    )
    assert at(run.evidence(), 1).state is state


def test_a_value_is_judged_over_the_window() -> None:
    text = over("fact: etcd-leader, value: cp2")
    steady = readings("etcd-leader", None, {0: "cp2"})
    assert at(MadeRun(text=text, states=steady).evidence(), 5).seen == "etcd-leader was cp2 all the time"
    assert at(MadeRun(text=text, states=leaders()).evidence(), 5).state is JudgementState.BROKEN


def test_an_increase_is_judged_over_the_window() -> None:
    terms = readings("etcd-term", None, {0: "4", 10: "6"})
    run = MadeRun(text=over("fact: etcd-term, increase: 1 to 3"), states=terms)
    judgement = at(run.evidence(), 5)
    assert (judgement.state, judgement.seen) == (
        JudgementState.MET,
        "etcd-term went from 4 to 6, an increase of 2",
    )


def test_readings_of_the_runner_and_of_the_sampler_are_one_track_in_order() -> None:
    states = readings("etcd-leader", None, {0: "cp2"}, end=5)
    evidence = MadeRun(states=states).evidence()
    other_fact, other_machine = (events.Fact("etcd-term", None, "4"), events.Fact("etcd-leader", "cp1", "x"))
    early, late = events.Fact("etcd-leader", None, "cp1"), events.Fact("etcd-leader", None, "cp3")
    extra = [Record(20.0, late), Record(0.1, early), Record(0.2, other_fact), Record(0.3, other_machine)]
    both = track(replace(evidence, records=[*evidence.records, *extra]).history, FactName.ETCD_LEADER, None)
    assert both.is_sampled
    assert len(both.readings) == len(states) + 2
    assert [(reading.t, reading.value) for reading in (both.readings[1], both.readings[-1])] == [
        (0.1, "cp1"),
        (20.0, "cp3"),
    ]
    assert not track(MadeRun().evidence().history, FactName.ETCD_LEADER, None).is_sampled
