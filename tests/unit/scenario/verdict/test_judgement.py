"""How expectations are judged by the record up to a moment, and what leaves them open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.run_builder import STOP, MadeRun, leaders, readings, waiting

from halab.scenario.record import events
from halab.scenario.record.events import Event
from halab.scenario.record.folder import Evidence
from halab.scenario.verdict.decision import Judgement, JudgementState
from halab.scenario.verdict.judgement import evaluate


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
