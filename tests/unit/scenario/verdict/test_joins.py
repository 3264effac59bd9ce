"""Promises about a join are judged by the record of how it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.run_builder import META, MadeRun

from halab.config.twin import Verdict
from halab.scenario.record import events
from halab.scenario.record.events import Event
from halab.scenario.verdict import joins
from halab.scenario.verdict.judgement import JudgementState
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result
from halab.scenario.verdict.verdict import judge

LEARNER = "error execution phase etcd-join: etcdserver: can only promote a learner member"
OUTPUT = ("[preflight] Running pre-flight checks", LEARNER, "To see the stack trace, use --v=5")
RUN = "kubeadm join --config join.yaml"
STEPS = """
title: A control plane joins
teaches: It joins, or does not.
needs: {control_planes: 3}
steps:
  - inject: leave-cluster
    name: left
    on: any-cp
  - do: join
    on: left
    PROMISE
  - heal: left
recover: {steady: within 90s}
twin: {replace: {left: nothing}}
"""
FAILS = "fails: within 60s"
SAYS = f"{FAILS}\n    says: can only promote a learner member"


def run(
    promise: str,
    code: int | None = 1,
    seconds: float = 40.0,
    *,
    output: tuple[str, ...] = OUTPUT,
    **more: Any,
) -> MadeRun:
    return MadeRun(text=STEPS.replace("PROMISE", promise), join=(RUN, code, seconds, output), **more)


def joined(result: Result) -> PromiseOutcome:
    (outcome,) = (outcome for outcome in result.outcomes if outcome.kind is PromiseKind.EXPECTATION)
    return outcome


def verdict(made: MadeRun) -> tuple[PromiseStatus, str]:
    outcome = joined(judge(made.evidence()))
    return outcome.standing, outcome.seen


@pytest.mark.parametrize(
    ("promise", "code", "seen"),
    [
        ("ok: within 60s", 0, "kubeadm join on cp2 succeeded after 40s"),
        (FAILS, 1, f"kubeadm join on cp2 failed with exit code 1 after 40s: {LEARNER}"),
        (SAYS, 1, f"kubeadm join on cp2 failed with exit code 1 after 40s: {LEARNER}"),
        ("ends: within 60s", 0, "kubeadm join on cp2 succeeded after 40s"),
        ("ends: within 60s", 1, f"kubeadm join on cp2 failed with exit code 1 after 40s: {LEARNER}"),
        ("ok: within 60s\n    says: Running", 0, f"kubeadm join on cp2 succeeded after 40s: {OUTPUT[0]}"),
        ("ok: within 40s", 0, "kubeadm join on cp2 succeeded after 40s"),
    ],
)
def test_a_join_that_ends_as_promised_keeps_its_promise(promise: str, code: int, seen: str) -> None:
    result = judge(run(promise, code).evidence())
    assert (joined(result).standing, joined(result).seen) == (PromiseStatus.KEPT, seen)
    assert (result.verdict, joined(result).measured) == (Verdict.PASS, 40.0)


@pytest.mark.parametrize(
    ("promise", "code", "seconds", "seen"),
    [
        ("ok: within 60s", 1, 40, f"failed with exit code 1 after 40s: {LEARNER}"),
        ("ok: within 60s", None, 60, f"did not end and was stopped after 60s: {LEARNER}"),
        ("ok: within 39.9s", 0, 40, "succeeded after 40s, but 39.9s was promised"),
        (FAILS, 0, 40, "succeeded after 40s, but should have failed"),
        (FAILS, None, 60, f"did not end and was stopped after 60s: {LEARNER}"),
        (FAILS, 1, 61, "failed with exit code 1 after 61s, but 60s was promised"),
        ("ends: within 60s", None, 60, f"did not end and was stopped after 60s: {LEARNER}"),
        (
            f"{FAILS}\n    says: no route",
            1,
            40,
            f'failed with exit code 1 after 40s and did not say "no route": {LEARNER}',
        ),
    ],
)
def test_a_join_that_ends_otherwise_breaks_its_promise(
    promise: str, code: int | None, seconds: float, seen: str
) -> None:
    result = judge(run(promise, code, seconds).evidence())
    assert (joined(result).standing, joined(result).seen) == (
        PromiseStatus.BROKEN,
        f"kubeadm join on cp2 {seen}",
    )
    assert result.verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("output", "reason"), [(OUTPUT, LEARNER), (("Killed",), "Killed"), ((), "no output")]
)
def test_the_reason_of_a_failure_is_the_error_of_kubeadm_or_its_last_line(
    output: tuple[str, ...], reason: str
) -> None:
    _, seen = verdict(run("ok: within 60s", 137, output=output))
    assert seen == f"kubeadm join on cp2 failed with exit code 137 after 40s: {reason}"


def test_patience_stretches_the_limit() -> None:
    slow = replace(META, patience=2.0)
    assert verdict(run(FAILS, 1, 61, meta=slow))[0] is PromiseStatus.KEPT
    assert verdict(run(FAILS, 1, 121, meta=slow))[0] is PromiseStatus.BROKEN
    outcome = joined(judge(run(FAILS, 1, 61, meta=slow).evidence()))
    assert (outcome.limit_seconds, outcome.patient_seconds) == (60, 120)


def test_without_a_record_of_its_end_a_join_is_unjudged() -> None:
    made = run(FAILS, drop=lambda event: isinstance(event, events.JoinEnded))
    result = judge(made.evidence())
    assert result.verdict is Verdict.ERROR
    assert joined(result).seen == (
        "no join ended on cp2: the machine was in the cluster already, or the run ended before"
    )


def test_the_end_of_another_join_is_no_evidence() -> None:
    def elsewhere(**values: Any) -> PromiseStatus:
        def moved(event: Event) -> Event:
            return replace(event, **values) if isinstance(event, events.JoinEnded) else event

        return verdict(run(FAILS, change=moved))[0]

    assert elsewhere(machine="cp3") is PromiseStatus.UNJUDGED
    assert elsewhere(index=2) is PromiseStatus.UNJUDGED
    assert elsewhere(seconds=41.0) is PromiseStatus.KEPT


def test_every_machine_of_the_fault_must_join_as_promised() -> None:
    def both(code: int | None) -> Result:
        made = run("ok: within 60s", 0).evidence()
        more = []
        for record in made.records:
            what = record.what
            if isinstance(what, events.FaultEvent):
                more.append(replace(record, what=replace(what, machine="cp3")))
            if isinstance(what, events.JoinEnded):
                other = replace(what, machine="cp3", code=code, seconds=45.0, output=OUTPUT)
                more.append(replace(record, what=other))
        records = sorted([*made.records, *more], key=lambda record: record.t)
        return judge(replace(made, records=records))

    kept, broken = joined(both(0)), joined(both(1))
    assert (kept.standing, kept.measured) == (PromiseStatus.KEPT, 45.0)
    assert kept.seen == "kubeadm join on cp2 succeeded after 40s; kubeadm join on cp3 succeeded after 45s"
    assert (broken.standing, broken.seen) == (
        PromiseStatus.BROKEN,
        f"kubeadm join on cp3 failed with exit code 1 after 45s: {LEARNER}",
    )


def test_a_run_that_ended_before_the_join_did_not_reach_it() -> None:
    made = run(FAILS, drop=lambda event: isinstance(event, events.StepStarted | events.JoinEnded))
    assert verdict(made) == (PromiseStatus.UNJUDGED, "the run did not reach this step")


def test_without_the_fault_no_join_is_judged() -> None:
    made = run(FAILS, drop=lambda event: isinstance(event, events.FaultStarted)).evidence()
    judgement = joins.evaluate(made.history, 1)
    assert (judgement.state, judgement.seen) == (JudgementState.OPEN, "left was not injected")


@pytest.mark.parametrize(
    "text",
    [
        STEPS.replace("PROMISE", f"{FAILS}\n    when: {{provider: libvirt}}"),
        STEPS.replace("PROMISE", FAILS).replace("any-cp", "any-cp\n    when: {provider: libvirt}"),
    ],
)
def test_a_join_is_left_out_with_its_condition_or_with_its_fault(text: str) -> None:
    made = MadeRun(text=text, join=(RUN, 0, 40.0, OUTPUT)).evidence()
    outcome = joined(judge(made))
    assert outcome.standing is PromiseStatus.LEFT_OUT and "libvirt" in outcome.seen


def test_the_next_promise_counts_from_the_end_of_the_join() -> None:
    text = STEPS.replace("PROMISE", f"{FAILS}\n  - expect: {{probe: write-via-lb, ok: within 1s}}")
    history = MadeRun(text=text, join=(RUN, 1, 40.0, OUTPUT)).evidence().history
    (end,) = (t for t, _ in history.events(events.JoinEnded))
    assert history.counts_from(2) == end
