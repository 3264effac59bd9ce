from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.run_builder import FAILED, META, PASSED, STOP, MadeRun, lane, leaders, ledger, readings, waiting

from halab.config.load_balancer import Balancer
from halab.config.twin import Verdict
from halab.scenario.record import events
from halab.scenario.record.check_results import CheckResult, CheckState
from halab.scenario.record.events import Event, Record, Sample, SteadyCheckPoint
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Samples
from halab.scenario.verdict.deadline import answered, fails_within, ok_within
from halab.scenario.verdict.judgement import JudgementState
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result
from halab.scenario.verdict.verdict import judge

P = Lane("p")


def judged(run: MadeRun) -> Result:
    return judge(run.evidence())


def step(result: Result, number: int) -> PromiseOutcome:
    """What became of the expectation of a step, counted from one."""
    (found,) = [outcome for outcome in result.outcomes if outcome.step == number - 1]
    return found


def of_kind(result: Result, kind: PromiseKind) -> PromiseOutcome:
    (found,) = [outcome for outcome in result.outcomes if outcome.kind is kind]
    return found


def without(*kinds: type[Event]) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, kinds)


def expecting(words: str) -> str:
    """The scenario with other expectations over the window of its fault."""
    head, _, tail = STOP.partition("  - expect: {probe: write-via-lb")
    return f"{head}  - expect: {{{words}}}\n" + tail[tail.index("recover:") :]


# the whole


def test_a_run_that_kept_every_promise_passes() -> None:
    result = judged(MadeRun())
    assert result.verdict is Verdict.PASS
    assert result.reasons == ()
    assert {outcome.standing for outcome in result.outcomes} == {PromiseStatus.KEPT}
    assert result.recovery_seconds == pytest.approx(12.5)


def test_a_run_lasts_until_its_last_record() -> None:
    evidence = MadeRun().evidence()
    assert judge(evidence).seconds == max(each.t for each in evidence.records) > 1
    assert judge(replace(evidence, records=[])).seconds == 0.0


def test_a_fault_that_did_nothing_loses_by_a_named_expectation() -> None:
    result = judged(MadeRun(out={"ready-direct@cp2": [], "write-direct@cp2": []}, expect_seconds=13))
    assert result.verdict is Verdict.FAIL
    assert result.reasons == (
        "step 2: ready-direct on cp2 answered: 0 of 50 samples failed, never 3 in a row",
    )


def test_the_twin_is_judged_by_its_own_scenario() -> None:
    run = MadeRun(out={"ready-direct@cp2": []}, expect_seconds=13, meta=replace(META, is_twin=True))
    evidence = run.evidence()
    assert {r.what.fault for r in evidence.records if isinstance(r.what, events.FaultStarted)} == {"nothing"}
    assert judge(evidence).verdict is Verdict.FAIL


@pytest.mark.parametrize("words", ["", "no such capability"])
def test_a_lab_that_cannot_do_it_is_skipped_with_the_reason(words: str) -> None:
    evidence = replace(MadeRun().evidence(), records=[Record(0.1, events.Skipped(words))])
    result = judge(evidence)
    assert (result.verdict, result.reasons, result.outcomes) == (Verdict.SKIP, (words,), ())


def test_an_empty_record_is_an_error() -> None:
    result = judge(replace(MadeRun().evidence(), records=[], samples=Samples()))
    assert result.verdict is Verdict.ERROR
    assert not result.of(PromiseStatus.KEPT, PromiseStatus.BROKEN)


def test_records_without_samples_are_an_error() -> None:
    result = judge(replace(MadeRun().evidence(), samples=Samples()))
    assert result.verdict is Verdict.ERROR


# steady before


def test_a_lab_that_was_not_steady_before_is_an_error_whatever_else_was_seen() -> None:
    def unsteady(event: Event) -> Event:
        if isinstance(event, events.Steady) and event.when is SteadyCheckPoint.BEFORE:
            return replace(event, ok=False, seen="etcd on cp3 does not answer")
        return event

    result = judged(MadeRun(change=unsteady, out={"write-via-lb": [(6, 15)]}))
    assert result.verdict is Verdict.ERROR
    assert result.reasons[0] == "steady before: etcd on cp3 does not answer"
    assert not result.of(PromiseStatus.BROKEN)


def test_what_an_unsteady_lab_did_is_reported_but_not_judged() -> None:
    """What does not apply to this lab is left out, steady or not."""
    text = STOP.replace(
        "recover:", "  - expect: {fact: backend, on: stopped, value: down, during: stopped}\n"
        "    when: {load_balancer: nginx}\nrecover:",
    )  # fmt: skip

    def restless(event: Event) -> Event:
        if isinstance(event, events.Steady) and event.when is SteadyCheckPoint.BEFORE:
            return replace(event, ok=False)
        return event

    made = MadeRun(text=text, out={"write-via-lb": [(7, 13)]}, change=restless)
    steady, *rest = judged(made).outcomes
    assert (steady.kind, steady.at, steady.standing) == (PromiseKind.STEADY, 0.4, PromiseStatus.UNJUDGED)
    expected = {
        each.name: each.standing for each in judged(replace(made, change=lambda event: event)).outcomes
    }
    assert {each.name for each in rest} == set(expected) - {steady.name}
    for each in rest:
        left_out = expected[each.name] is PromiseStatus.LEFT_OUT
        assert each.standing is (PromiseStatus.LEFT_OUT if left_out else PromiseStatus.UNJUDGED)
        assert each.seen.startswith("not judged, because the lab was not steady before: ") is not left_out
    assert sum(each.standing is PromiseStatus.LEFT_OUT for each in rest) == 1


def test_a_record_without_a_steady_state_before_is_an_error() -> None:
    result = judged(
        MadeRun(
            drop=lambda event: isinstance(event, events.Steady) and event.when is SteadyCheckPoint.BEFORE
        )
    )
    assert result.verdict is Verdict.ERROR


# during


def test_an_outage_within_its_bound_is_kept_and_reported() -> None:
    result = judged(MadeRun(out={"write-via-lb": [(7, 11)]}))
    assert result.verdict is Verdict.PASS
    assert step(result, 5).measured == pytest.approx(4.02)
    assert step(result, 5).seen == "write-via-lb was out for 4s, from 7.0s (connection refused)"


def test_an_outage_beyond_its_bound_says_what_was_promised_and_seen_and_which_samples_show_it() -> None:
    result = judged(MadeRun(out={"write-via-lb": [(7, 13)]}))
    assert result.verdict is Verdict.FAIL
    outcome = step(result, 5)
    assert outcome.standing is PromiseStatus.BROKEN
    assert outcome.promised == "write-via-lb longest outage at most 5s during stopped"
    assert outcome.seen == "write-via-lb was out for 6s, from 7.0s (connection refused)"
    assert outcome.at == pytest.approx(7.0)
    (shown,) = outcome.evidence
    assert (str(shown.lane), shown.samples) == ("write-via-lb", 30)
    assert shown.start == pytest.approx(7.0)
    assert shown.end == pytest.approx(12.8)


def test_an_outage_before_the_fault_or_after_the_heal_breaks_no_promise_over_the_window() -> None:
    result = judged(MadeRun(out={"write-via-lb": [(0, 5.4), (18.6, 30)]}))
    assert step(result, 5).standing is PromiseStatus.KEPT


@pytest.mark.parametrize(("until", "verdict"), [(22, Verdict.PASS), (24, Verdict.FAIL), (30, Verdict.FAIL)])
def test_an_outage_that_goes_on_past_the_heal_counts_to_its_real_end(until: float, verdict: Verdict) -> None:
    """The heal begins at 18.5 s."""
    result = judged(MadeRun(out={"write-via-lb": [(18, until)]}))
    assert result.verdict is verdict
    lasted = f"{until - 18}s"
    assert step(result, 5).seen == f"write-via-lb was out for {lasted}, from 18.0s (connection refused)"


def test_an_outage_that_is_within_its_bound_when_the_samples_end_is_not_judged() -> None:
    made = MadeRun(out={"write-via-lb": [(18, 99)]}, recover_seconds=2.0)
    result = judged(made)
    assert result.verdict is Verdict.ERROR
    assert step(result, 5).seen == "write-via-lb was out for at least 3s: no sample of it after 21.0s"


def test_a_fault_that_was_shorter_than_the_bound_is_not_judged() -> None:
    result = judged(MadeRun(text=STOP.replace("wait: 10s", "wait: 1s")))
    assert result.verdict is Verdict.ERROR
    assert result.reasons == (
        "step 5: the fault `stopped` lasted only 4s, too short for an outage of 5s"
        ": make it longer with a `wait` before its heal, or lower the bound",
    )


def test_always_ok_is_broken_by_one_sample() -> None:
    result = judged(MadeRun(out={"ready-direct@cp3": [(9, 9.1)]}))
    assert step(result, 6).standing is PromiseStatus.BROKEN
    assert (
        step(result, 6).seen
        == "ready-direct on cp3 failed in 1 of 65 samples, first at 9.0s (connection refused)"
    )


def test_the_fault_itself_is_not_among_the_others() -> None:
    outcome = step(judged(MadeRun()), 6)
    assert {str(each.lane) for each in outcome.evidence} == {"ready-direct@cp1", "ready-direct@cp3"}


def test_always_failing_counts_from_the_effect_of_the_fault() -> None:
    text = expecting("probe: ready-direct, on: stopped, fails: always, during: stopped")
    assert judged(MadeRun(text=text)).verdict is Verdict.PASS
    late = judged(MadeRun(text=text, out={"ready-direct@cp2": [(7, 30)]}))
    assert step(late, 5).standing is PromiseStatus.BROKEN
    assert "answered in 2 of 60 samples" in step(late, 5).seen


OVER_THE_HEAL = expecting("probe: write-via-lb, longest_outage: 3s, during: heal stopped")


@pytest.mark.parametrize(
    ("out", "standing"),
    [
        # the heal begins at 18.5 s and takes 8 s
        ((19, 23), PromiseStatus.BROKEN),
        ((12, 19), PromiseStatus.KEPT),
        ((26, 40), PromiseStatus.BROKEN),
        ((26, 29), PromiseStatus.BROKEN),
        ((26, 28), PromiseStatus.KEPT),
        ((27, 40), PromiseStatus.KEPT),
        ((12, 40), PromiseStatus.BROKEN),
    ],
)
def test_the_cost_of_a_heal_is_judged_over_the_window_of_the_heal(
    out: tuple[float, float], standing: PromiseStatus
) -> None:
    made = MadeRun(text=OVER_THE_HEAL, heal_seconds=8.0, recover_seconds=20.0, out={"write-via-lb": [out]})
    outcome = step(judged(made), 5)
    assert outcome.standing is standing
    assert outcome.promised == "write-via-lb longest outage at most 3s during heal stopped"


def test_the_heal_of_a_fault_leaves_the_others_alone_like_the_fault() -> None:
    text = expecting("probe: ready-direct, on: others, ok: always, during: heal stopped")
    made = MadeRun(text=text, heal_seconds=8.0, out={"ready-direct@cp3": [(20, 20.3)]})
    outcome = step(judged(made), 5)
    assert outcome.standing is PromiseStatus.BROKEN
    assert outcome.seen.startswith("ready-direct on cp3 failed in 2 of ")


def test_a_heal_that_did_not_begin_or_did_not_end_is_not_judged() -> None:
    never = step(judged(MadeRun(text=OVER_THE_HEAL, drop=without(events.HealStarted, events.Healed))), 5)
    assert (never.standing, never.seen) == (PromiseStatus.UNJUDGED, "stopped is not being healed yet")
    half = step(judged(MadeRun(text=OVER_THE_HEAL, drop=without(events.Healed))), 5)
    assert (half.standing, half.seen) == (PromiseStatus.UNJUDGED, "stopped is not healed yet")


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize(
    "words",
    [
        "probe: write-via-lb, longest_outage: 1s, during: stopped",
        "probe: write-via-lb, failed_share: 0%, during: stopped",
        "probe: write-via-lb, ok: always, during: stopped",
    ],
)
def test_a_sampler_that_stood_still_is_no_evidence_against_the_lab(words: str, is_told: bool) -> None:
    """For 3 s; earlier versions did not tell, and gave up the questions that were on their way."""

    def stood_still(taken: list[Sample]) -> list[Sample]:
        seconds, stalled = (2.0, 1.9) if is_told else (3.05, 0.0)
        late: dict[str, Any] = {"ok": False, "detail": "timed out", "seconds": seconds, "stalled": stalled}
        kept = [each for each in taken if not 8 <= each.t < 11]
        return [replace(each, **late) if 7.9 <= each.t < 8 or each.t == 7.8 else each for each in kept]

    result = judged(MadeRun(text=expecting(words), changed_samples=stood_still))
    assert step(result, 5).standing is PromiseStatus.UNJUDGED
    assert step(result, 5).seen.startswith("no sample of write-via-lb for 3.")
    assert (
        "(answers that the sampler could not read because it stood still: 1; was the sampler stopped"
        in step(result, 5).seen
    )
    assert not result.of(PromiseStatus.BROKEN)
    assert result.verdict is Verdict.ERROR


def test_a_write_that_was_acknowledged_to_a_sampler_that_stood_still_is_in_the_ledger() -> None:
    def numbered(taken: list[Sample]) -> list[Sample]:
        writes = [each for each in taken if each.probe == "write-via-lb"]
        late = replace(writes[3], seconds=3.05)
        return [replace(late if each is writes[3] else each, number=n) for n, each in enumerate(writes)]

    history = MadeRun(changed_samples=numbered).evidence().history
    assert len(history.samples.void) == 1
    assert 3 in history.ledger()[0]


@pytest.mark.parametrize(("share", "standing"), [("10%", PromiseStatus.KEPT), ("5%", PromiseStatus.BROKEN)])
def test_a_share_is_judged_over_the_window(share: str, standing: PromiseStatus) -> None:
    text = expecting(f"probe: write-via-lb, failed_share: {share}, during: stopped")
    outcome = step(judged(MadeRun(text=text, out={"write-via-lb": [(7, 8)]})), 5)
    assert outcome.standing is standing
    assert outcome.measured == pytest.approx(5 / 65)


def test_one_broken_amount_of_two_breaks_the_expectation_and_seconds_are_reported() -> None:
    text = expecting("probe: write-via-lb, longest_outage: 3s, failed_share: 5%, during: stopped")
    outcome = step(judged(MadeRun(text=text, out={"write-via-lb": [(7, 8), (9, 10)]})), 5)
    assert outcome.standing is PromiseStatus.BROKEN
    assert "failed in 15.4% of 65 samples" in outcome.seen


def test_a_gap_in_the_window_is_not_judged() -> None:
    result = judged(MadeRun(missing={"write-via-lb": [(8, 12)]}))
    assert result.verdict is Verdict.ERROR
    assert step(result, 5).seen == "no sample of write-via-lb for 4.2s during stopped"


def test_a_gap_does_not_hide_a_broken_promise() -> None:
    result = judged(MadeRun(missing={"write-via-lb": [(6, 9)]}, out={"write-via-lb": [(10, 16)]}))
    assert result.verdict is Verdict.FAIL


def test_an_outage_is_not_lengthened_by_a_gap() -> None:
    result = judged(MadeRun(missing={"write-via-lb": [(9, 13)]}, out={"write-via-lb": [(7, 13)]}))
    assert step(result, 5).standing is PromiseStatus.UNJUDGED


def test_a_probe_that_never_ran_is_not_judged() -> None:
    result = judged(MadeRun(missing={"write-via-lb": [(0, 99)]}))
    assert step(result, 5).seen == "no sample of write-via-lb during stopped"
    assert result.verdict is Verdict.ERROR


def test_a_fault_that_was_never_healed_leaves_its_window_open() -> None:
    drop = without(events.HealStarted, events.Healed)
    result = judged(MadeRun(drop=drop))
    assert step(result, 5).seen == "stopped is not healed yet"
    assert result.verdict is Verdict.ERROR


# within


@pytest.mark.parametrize(
    ("pattern", "limit", "state", "measured"),
    [
        ("+++++", 1, JudgementState.MET, 0.0),
        ("++++", 1, JudgementState.OPEN, None),
        ("-----+++++", 2, JudgementState.MET, 1.01),
        ("-----+++++", 1.01, JudgementState.MET, 1.01),
        ("-----+++++", 1, JudgementState.BROKEN, 1.01),
        ("-----++++", 2, JudgementState.OPEN, None),
        # by the first good answer, whenever its question was asked
        ("--sssss", 2, JudgementState.MET, 1.9),
        ("--sssss", 1, JudgementState.BROKEN, 1.9),
        ("--s++++", 1, JudgementState.MET, 0.61),
        ("+++++-----", 5, JudgementState.OPEN, None),
        ("+++++-+++++", 5, JudgementState.MET, 1.21),
        ("+++++-+++++", 1, JudgementState.BROKEN, 1.21),
        ("----------", 5, JudgementState.OPEN, None),
        ("----------", 1, JudgementState.BROKEN, 1.8),
        ("--++++-++++", 1, JudgementState.BROKEN, 1.41),
        ("", 1, JudgementState.OPEN, None),
        # what was not asked is neither good nor bad
        ("+++++..............+++++", 1, JudgementState.OPEN, None),
        ("..............+++++", 1, JudgementState.OPEN, None),
        ("-----..............+++++", 2, JudgementState.OPEN, None),
        ("-----..............-----", 2, JudgementState.BROKEN, 4.6),
        ("-----..............+++++", 5, JudgementState.MET, 3.81),
    ],
)
def test_ok_within(pattern: str, limit: float, state: JudgementState, measured: float | None) -> None:
    found = ok_within(lane(pattern), P, 0.0, limit)
    assert found.state is state
    if measured is not None:
        assert found.figures[0].value == pytest.approx(measured)


@pytest.mark.parametrize(
    ("pattern", "limit", "state"),
    [
        ("---", 1, JudgementState.MET),
        ("--", 1, JudgementState.OPEN),
        ("+++---", 1, JudgementState.MET),
        ("+++---", 0.5, JudgementState.BROKEN),
        ("++--", 0.5, JudgementState.OPEN),
        ("--+--+--+++++", 1, JudgementState.BROKEN),
        ("+++++", 5, JudgementState.OPEN),
        ("++++++++", 1, JudgementState.BROKEN),
        ("---+++++++++", 1, JudgementState.MET),
        ("++++..............++", 2, JudgementState.OPEN),
        ("--..............-+++", 1, JudgementState.OPEN),
        ("", 1, JudgementState.OPEN),
    ],
)
def test_fails_within(pattern: str, limit: float, state: JudgementState) -> None:
    assert fails_within(lane(pattern), P, 0.0, limit).state is state


def test_a_run_waits_for_a_hanging_question() -> None:
    """A balancer with one hung backend of three: two quick answers, one that times out after two seconds."""
    made = lane("+" * 20 + "++h" * 10)
    seen = [sample for sample in made if sample.t >= 4]
    for now in (4.5, 5.0, 5.5, 6.0, 6.5):
        written = [sample for sample in made if sample.end <= now]
        for evidence in (made, written):
            known = [sample for sample in answered(evidence, now) if sample.t >= 4]
            assert ok_within(known, P, 4.0, 5).state is JudgementState.OPEN, now
    assert ok_within(seen, P, 4.0, 1).state is JudgementState.BROKEN


def test_a_run_does_not_wait_for_a_question_that_a_busy_host_left_out_long_ago() -> None:
    made = lane("+++++++..+++++++++++++++++")
    assert list(answered(made, 99)) == made


def asked_at(*moments: float) -> list[Sample]:
    return [Sample(moment, 0.02, "p", None, True, "201", None) for moment in moments]


def test_a_pause_of_the_sampler_is_not_taken_for_a_hanging_question_once_the_evidence_shows_it() -> None:
    made = asked_at(0.0, 0.2, 0.4, 0.6, 0.91, 1.1, 1.3, 1.5, 1.7, 1.9, 2.1, 2.3, 2.5, 2.7, 2.9, 3.1, 3.3)
    now = 2.0
    written = [sample for sample in made if sample.end <= now]
    assert [sample.t for sample in answered(written, now)] == [0.0, 0.2, 0.4, 0.6]
    assert list(answered(made, now)) == written


def test_one_more_answer_does_not_revoke_a_decision_of_the_run() -> None:
    """As it was seen: the answer that came 20 ms later made the sampler's usual pause a little shorter."""
    made = asked_at(
        62.2608, 62.4536, 62.6138, 62.7887, 63.0198, 63.2642, 63.376, 63.6258, 63.8411, 64.0467, 64.2089,
        64.3731, 64.6648, 64.8587, 65.0542, 65.1658, 65.4629, 65.5961, 65.8451, 65.9701, 66.2123, 66.3769,
        66.5765, 66.8013, 67.0093, 67.2134, 67.3864, 67.6322, 67.8045, 68.0557, 68.1708, 68.3808,
    )  # fmt: skip
    for now in (67.4, 67.4067, 67.42):
        asked = [sample for sample in answered(made, now) if sample.t >= 66.0623]
        assert ok_within(asked, P, 66.0623, 3.0).state is JudgementState.MET, now


def test_expectations_in_a_row_count_from_the_same_moment() -> None:
    text = STOP.replace(
        "  - wait: 10s\n", "  - expect: {probe: write-via-lb, ok: within 3s}\n  - wait: 10s\n"
    )
    result = judged(MadeRun(text=text, out={"write-via-lb": [(6.6, 8)]}))
    assert step(result, 3).measured == pytest.approx(1.5, abs=0.11)
    assert step(result, 3).standing is PromiseStatus.KEPT


def test_events_after_the_runner_went_on_do_not_break_a_promise_with_a_limit() -> None:
    text = waiting("probe: write-via-lb, ok: within 3s")
    result = judged(MadeRun(text=text, out={"write-via-lb": [(12, 13)]}))
    assert step(result, 2).standing is PromiseStatus.KEPT


def test_a_limit_that_the_run_did_not_wait_for_is_not_judged() -> None:
    result = judged(MadeRun(out={"ready-direct@cp2": [(9, 22)]}, expect_seconds=1))
    assert step(result, 2).standing is PromiseStatus.UNJUDGED
    assert result.verdict is Verdict.ERROR


def test_a_step_that_was_not_reached_is_not_judged() -> None:
    result = judged(MadeRun(drop=without(events.ExpectationEnded)))
    assert result.verdict is Verdict.ERROR
    assert step(result, 2).seen == "the run did not reach this step"


# facts


FACT = waiting("fact: kube-apiserver-started, on: stopped, changed: within 10s")
STILL = waiting("fact: kube-apiserver-started, on: stopped, unchanged: true")


@pytest.mark.parametrize(
    ("text", "before", "after", "seconds", "standing"),
    [
        (FACT, "100", "250", 2, PromiseStatus.KEPT),
        (FACT, "100", "100", 2, PromiseStatus.UNJUDGED),
        (FACT, "100", "100", 11, PromiseStatus.BROKEN),
        (FACT, "100", None, 2, PromiseStatus.UNJUDGED),
        (FACT, "100", None, 11, PromiseStatus.BROKEN),
        (FACT, "100", "250", 11, PromiseStatus.BROKEN),
        (FACT, None, "250", 2, PromiseStatus.UNJUDGED),
        (STILL, "100", "100", 2, PromiseStatus.KEPT),
        (STILL, "100", "250", 2, PromiseStatus.BROKEN),
        (STILL, "100", None, 2, PromiseStatus.BROKEN),
        (STILL, None, None, 2, PromiseStatus.UNJUDGED),
    ],
)
def test_facts(
    text: str, before: str | None, after: str | None, seconds: float, standing: PromiseStatus
) -> None:
    run = MadeRun(text=text, facts={"kube-apiserver-started": (before, after)}, expect_seconds=seconds)
    assert step(judged(run), 2).standing is standing


@pytest.mark.parametrize("text", [FACT, STILL])
def test_a_fact_that_was_never_read_is_not_judged(text: str) -> None:
    assert step(judged(MadeRun(text=text)), 2).standing is PromiseStatus.UNJUDGED


# conditions


def test_an_expectation_that_does_not_apply_is_left_out_and_does_not_count() -> None:
    text = STOP.replace(
        "longest_outage: 5s, during", "longest_outage: 1s, when: {load_balancer: nginx}, during"
    )
    run = MadeRun(text=text, out={"write-via-lb": [(7, 13)]})
    result = judged(run)
    assert result.verdict is Verdict.PASS
    assert step(result, 5).standing is PromiseStatus.LEFT_OUT
    assert step(result, 5).seen == "the load balancer is haproxy, not nginx"
    on_nginx = judged(replace(run, meta=replace(META, load_balancer=Balancer.NGINX)))
    assert on_nginx.verdict is Verdict.FAIL


def test_expectations_about_a_fault_that_is_left_out_are_left_out_too() -> None:
    text = STOP.replace(
        "with: {pod: kube-apiserver}", "with: {pod: kube-apiserver}\n    when: {load_balancer: nginx}"
    )
    drop = without(events.FaultStarted, events.FaultInjected, events.HealStarted, events.Healed)
    result = judged(MadeRun(text=text, drop=drop))
    assert step(result, 5).standing is PromiseStatus.LEFT_OUT
    # nothing was injected: nothing was learned
    assert result.verdict is Verdict.ERROR


# heal and recovery


def steady_after(**changes: Any) -> Callable[[Event], Event]:
    def change(event: Event) -> Event:
        if isinstance(event, events.Steady) and event.when is SteadyCheckPoint.AFTER:
            return replace(event, **changes)
        return event

    return change


def test_recovery_counts_from_the_start_of_the_heal() -> None:
    outcome = of_kind(judged(MadeRun(heal_seconds=5, recover_seconds=7)), PromiseKind.RECOVERY)
    assert outcome.measured == pytest.approx(12)


def test_recovery_can_count_from_the_inject() -> None:
    text = STOP.replace("{steady: within 90s}", "{steady: within 90s, from: inject}")
    outcome = of_kind(judged(MadeRun(text=text)), PromiseKind.RECOVERY)
    assert outcome.measured == pytest.approx(25.5)
    assert outcome.promised == "steady within 90s from the inject"


def test_a_late_recovery_fails_with_the_time_it_took() -> None:
    result = judged(MadeRun(recover_seconds=100))
    assert result.verdict is Verdict.FAIL
    assert result.reasons == ("recovery: steady only after 100.5s",)
    assert result.recovery_seconds == pytest.approx(100.5)


def test_no_recovery_fails_if_the_run_waited_for_its_bound() -> None:
    change = steady_after(ok=False, seen="node cp2 is not Ready")
    assert judged(MadeRun(change=change, recover_seconds=91)).verdict is Verdict.FAIL
    assert judged(MadeRun(change=change, recover_seconds=40)).verdict is Verdict.ERROR


def test_a_run_that_ended_before_it_recovered_is_an_error() -> None:
    drop = without(events.RunEnded)
    run = MadeRun(
        drop=lambda event: (
            drop(event) or (isinstance(event, events.Steady) and event.when is SteadyCheckPoint.AFTER)
        )
    )
    result = judged(run)
    assert result.verdict is Verdict.ERROR
    assert of_kind(result, PromiseKind.RECOVERY).standing is PromiseStatus.UNJUDGED


def heal_fails(event: Event) -> Event:
    if isinstance(event, events.Healed):
        return events.HealFailed(event.name, event.fault, event.target, event.machine, "no answer from cp2")
    return event


def test_a_failed_heal_is_an_error_and_the_lab_is_not_blamed_for_not_recovering() -> None:
    def change(event: Event) -> Event:
        return steady_after(ok=False)(heal_fails(event))

    result = judged(MadeRun(change=change, recover_seconds=200))
    assert result.verdict is Verdict.ERROR
    assert "heal stopped: no answer from cp2" in result.reasons
    assert of_kind(result, PromiseKind.RECOVERY).standing is PromiseStatus.UNJUDGED


def test_a_failed_heal_does_not_hide_a_broken_promise() -> None:
    result = judged(MadeRun(change=heal_fails, out={"write-via-lb": [(7, 13)]}))
    assert result.verdict is Verdict.FAIL


def test_a_heal_that_succeeds_at_the_second_try_is_a_heal() -> None:
    run = MadeRun()
    failed = Record(18.52, events.HealFailed("stopped", "hold-static-pod", "any-cp", "cp2", "no answer"))
    assert judge(replace(run, extra=[failed]).evidence()).verdict is Verdict.PASS


def test_a_fault_on_several_machines_has_one_window_and_all_must_be_healed() -> None:
    def others(kind: type[Event], t: float) -> Record:
        of = {"name": "stopped", "fault": "hold-static-pod", "target": "all-cp", "machine": "cp3"}
        return Record(t, kind(**of, **({"effect": "x"} if kind is events.FaultInjected else {})))

    begun = [others(events.FaultStarted, 6.6), others(events.FaultInjected, 7.0)]
    healed = [others(events.HealStarted, 18.6), others(events.Healed, 18.9)]
    out = {"ready-direct@cp3": [(7, 22)]}
    whole = judged(MadeRun(extra=[*begun, *healed], out=out))
    assert whole.verdict is Verdict.PASS
    assert {str(each.lane) for each in step(whole, 6).evidence} == {"ready-direct@cp1"}
    assert judged(MadeRun(extra=begun, out=out)).verdict is Verdict.ERROR


# patience


def test_patience_stretches_waiting_limits_and_recovery() -> None:
    run = MadeRun(out={"ready-direct@cp2": [(20, 30)]}, expect_seconds=16, recover_seconds=100)
    assert judged(run).verdict is Verdict.FAIL
    assert judged(replace(run, meta=replace(META, patience=2.0))).verdict is Verdict.PASS


def test_limits_are_reported_with_and_without_patience() -> None:
    patient = judged(MadeRun(meta=replace(META, patience=2.0)))
    wait, recovery = step(patient, 2), of_kind(patient, PromiseKind.RECOVERY)
    assert (wait.limit_seconds, wait.patient_seconds) == (10, 20)
    assert (recovery.limit_seconds, recovery.patient_seconds) == (90, 180)


def test_patience_never_stretches_promises_over_a_window() -> None:
    run = MadeRun(out={"write-via-lb": [(7, 13)]}, meta=replace(META, patience=10.0))
    result = judged(run)
    assert result.verdict is Verdict.FAIL
    assert (step(result, 5).limit_seconds, step(result, 5).patient_seconds) == (5, 5)


# ledger, checks, the run


def test_a_lost_acknowledged_write_fails_whatever_else_passed() -> None:
    result = judged(MadeRun(change=ledger(missing=(17, 18))))
    assert result.verdict is Verdict.FAIL
    assert result.reasons == ("ledger: 2 of 153 acknowledged writes are lost: 17, 18",)


def test_an_unacknowledged_write_may_exist_or_not() -> None:
    assert judged(MadeRun(change=ledger(unacknowledged_found=10))).verdict is Verdict.PASS


def test_a_ledger_that_is_empty_or_was_not_read_is_an_error() -> None:
    assert judged(MadeRun(change=ledger(acknowledged=0))).verdict is Verdict.ERROR
    assert judged(MadeRun(drop=without(events.Ledger))).verdict is Verdict.ERROR


CHECKED = STOP + "checks: [checks/test_etcd.py]\n"
BROKEN_SETUP = CheckResult("checks.test_etcd", "test_x", CheckState.ERROR, 0.0, "cannot connect")
SKIPPED = CheckResult("checks.test_etcd", "test_y", CheckState.SKIPPED, 0.0, "not here")


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ([PASSED], Verdict.PASS),
        ([PASSED, FAILED], Verdict.FAIL),
        ([PASSED, BROKEN_SETUP], Verdict.ERROR),
        ([FAILED, BROKEN_SETUP], Verdict.FAIL),
        ([PASSED, SKIPPED], Verdict.PASS),
        ([SKIPPED], Verdict.ERROR),
        ([], Verdict.ERROR),
        (None, Verdict.ERROR),
    ],
)
def test_checks(checks: list[CheckResult] | None, verdict: Verdict) -> None:
    assert judged(MadeRun(text=CHECKED, checks=checks)).verdict is verdict


def test_checks_that_could_not_run_are_an_error_with_the_reason() -> None:
    def change(event: Event) -> Event:
        return (
            events.Checks(0, 0, "test_etcd.py does not import")
            if isinstance(event, events.Checks)
            else event
        )

    result = judged(MadeRun(text=CHECKED, change=change))
    assert result.reasons == ("checks: test_etcd.py does not import",)


def counting(passed: int, failed: int) -> Callable[[Event], Event]:
    return lambda event: events.Checks(passed, failed) if isinstance(event, events.Checks) else event


@pytest.mark.parametrize(
    ("counted", "checks"),
    [
        ((1, 3), [PASSED]),
        ((2, 0), [PASSED, FAILED]),
        ((3, 0), [PASSED]),
        ((0, 0), [PASSED]),
        ((0, 2), [FAILED]),
    ],
)
def test_checks_that_the_timeline_contradicts_are_an_error(
    counted: tuple[int, int], checks: list[CheckResult]
) -> None:
    result = judged(MadeRun(text=CHECKED, checks=checks, change=counting(*counted)))
    assert result.verdict is Verdict.ERROR
    assert (
        f"checks: the timeline has {counted[0]} passed and {counted[1]} failed checks, " in result.reasons[0]
    )


def test_checks_are_judged_even_if_the_scenario_names_none() -> None:
    assert judged(MadeRun(checks=[FAILED])).verdict is Verdict.ERROR
    there = Record(40.0, events.Checks(0, 1))
    assert judged(MadeRun(checks=[FAILED], extra=[there])).verdict is Verdict.FAIL
    assert judged(MadeRun(extra=[there])).verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("files", "verdict"),
    [
        ("checks/test_etcd.py", Verdict.PASS),
        ("./checks/test_etcd.py", Verdict.PASS),
        ("test_etcd.py", Verdict.PASS),
        ("checks/test_etcd.py, checks/test_empty.py", Verdict.ERROR),
        ("checks/test_etc.py", Verdict.ERROR),
        ("checks/etcd.py", Verdict.ERROR),
    ],
)
def test_a_check_file_without_a_test_is_an_error(files: str, verdict: Verdict) -> None:
    found = [replace(PASSED, file="test_etcd")] if files == "test_etcd.py" else [PASSED]
    result = judged(MadeRun(text=STOP + f"checks: [{files}]\n", checks=found))
    assert result.verdict is verdict
    if verdict is Verdict.ERROR:
        missed = files.rpartition(", ")[2]
        assert result.reasons == (
            f"checks: no check of {missed} ran: does it have a function whose name begins with test_?",
        )


def test_a_scenario_without_checks_needs_none() -> None:
    assert judged(MadeRun(checks=None)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("extra", "reason"),
    [
        (events.RunInterrupted("SIGINT"), "run: interrupted by SIGINT"),
        (events.Error("the engine is gone"), "run: the engine is gone"),
        (
            events.Error("no Go", "install Go\nor use another host"),
            "run: no Go; install Go; or use another host",
        ),
    ],
)
def test_a_run_that_was_disturbed_is_an_error(extra: Event, reason: str) -> None:
    result = judged(MadeRun(extra=[Record(10.0, extra)]))
    assert (result.verdict, result.reasons) == (Verdict.ERROR, (reason,))
    assert result.is_interrupted is isinstance(extra, events.RunInterrupted)


def test_a_disturbed_run_that_broke_a_promise_before_still_fails() -> None:
    run = MadeRun(extra=[Record(30.0, events.RunInterrupted("SIGINT"))], out={"write-via-lb": [(7, 13)]})
    result = judged(run)
    assert result.verdict is Verdict.FAIL
    assert result.is_interrupted


@pytest.mark.parametrize("kind", [events.RunEnded, events.SamplerStopped])
def test_an_incomplete_record_is_an_error(kind: type[Event]) -> None:
    assert judged(MadeRun(drop=without(kind))).verdict is Verdict.ERROR


@pytest.mark.parametrize("busy", [0.3, 1.0, None])
def test_a_busy_host_is_in_the_result_and_does_not_change_the_verdict(busy: float | None) -> None:
    evidence = MadeRun().evidence()
    assert judge(evidence).host_busy is None
    records = [
        replace(each, what=replace(each.what, host_busy=busy))
        if isinstance(each.what, events.SamplerStopped)
        else each
        for each in evidence.records
    ]
    result = judge(replace(evidence, records=records))
    assert (result.host_busy, result.verdict) == (busy, Verdict.PASS)


def test_the_use_of_the_host_is_unknown_if_the_sampler_did_not_stop() -> None:
    assert judged(MadeRun(drop=without(events.SamplerStopped))).host_busy is None


def test_samples_that_are_missing_from_the_record_are_an_error() -> None:
    evidence = MadeRun().evidence()
    kept = [sample for name in evidence.samples.lanes for sample in evidence.samples.of(name)][1:]
    result = judge(replace(evidence, samples=Samples(kept)))
    assert result.verdict is Verdict.ERROR
    assert " were taken" in result.reasons[0]


def test_samples_of_another_lane_do_not_replace_missing_ones() -> None:
    def swapped(taken: list[Sample]) -> list[Sample]:
        return [replace(each, probe="read-via-lb") if each is taken[-1] else each for each in taken]

    evidence = MadeRun().evidence()
    made = [sample for name in evidence.samples.lanes for sample in evidence.samples.of(name)]
    result = judge(replace(evidence, samples=Samples(swapped(made))))
    assert result.verdict is Verdict.ERROR
    assert " were taken" in result.reasons[0]


def test_a_sample_from_after_the_sampler_stopped_is_an_error() -> None:
    """Every sample is there, and one of the clocks stepped."""

    def stepped(taken: list[Sample]) -> list[Sample]:
        return [replace(each, t=each.t + 3) if each.t > 15 else each for each in taken]

    result = judged(MadeRun(changed_samples=stepped))
    assert result.verdict is Verdict.ERROR
    assert any("but the sampler stopped at" in reason for reason in result.reasons)


def test_a_timeline_that_goes_back_in_time_is_an_error() -> None:
    evidence = MadeRun().evidence()
    turned = [*evidence.records[:-1], Record(3.0, evidence.records[-1].what)]
    result = judge(replace(evidence, records=turned))
    assert result.verdict is Verdict.ERROR
    assert result.reasons == ("run: the timeline goes back in time at 3.0s",)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fails: within 10s}", "fails: within 10s, when: {load_balancer: nginx}}"),
        ("with: {pod: kube-apiserver}", "with: {pod: kube-apiserver}\n    when: {load_balancer: nginx}"),
    ],
)
def test_a_run_without_an_expectation_that_shows_the_fault_is_an_error(old: str, new: str) -> None:
    result = judged(MadeRun(text=STOP.replace(old, new)))
    assert result.verdict is Verdict.ERROR
    seen = "no expectation shows a fault on a lab with Kubernetes 1.37.2, docker and haproxy"
    assert f"run: {seen}" in result.reasons


# faults that are refused, and what is left behind

REFUSED = Record(
    6.0, events.FaultRefused("stopped", "shift-clock", "any-cp", "cp2", "the clock is the host's")
)


def nothing_done(event: Event) -> bool:
    """The run of a fault that was refused has no steps, no heals and no recovery in it."""
    kept = (events.RunStarted, events.SamplerStarted, events.SamplerStopped, events.Audit, events.RunEnded)
    return not (
        isinstance(event, kept)
        or (isinstance(event, events.Steady) and event.when is SteadyCheckPoint.BEFORE)
    )


def test_a_first_fault_that_is_refused_skips_the_scenario_with_the_reason() -> None:
    result = judged(MadeRun(drop=nothing_done, extra=[REFUSED]))
    assert (result.verdict, result.outcomes) == (Verdict.SKIP, ())
    assert result.reasons == ("shift-clock was refused on cp2: the clock is the host's",)


def test_a_refused_fault_that_left_nothing_behind_is_still_a_skip() -> None:
    made = MadeRun(drop=nothing_done, extra=[REFUSED, Record(7.0, events.Audit(()))])
    assert judged(made).verdict is Verdict.SKIP


@pytest.mark.parametrize(
    "trouble",
    [
        events.Error("cp2 does not answer"),
        events.RunInterrupted("SIGINT"),
        events.Audit(("nft table halab_1 on cp2",)),
    ],
)
def test_a_refused_fault_does_not_hide_other_problems(trouble: Event) -> None:
    result = judged(MadeRun(drop=nothing_done, extra=[REFUSED, Record(7.0, trouble)]))
    assert result.verdict is Verdict.ERROR
    assert "stopped: shift-clock was refused on cp2: the clock is the host's" in result.reasons


def test_an_incomplete_record_with_a_refused_fault_is_not_a_skip() -> None:
    run = MadeRun(drop=lambda event: nothing_done(event) or isinstance(event, events.RunEnded))
    assert judged(replace(run, extra=[REFUSED])).verdict is Verdict.ERROR


def test_a_later_fault_that_is_refused_is_an_error() -> None:
    result = judged(MadeRun(extra=[replace(REFUSED, t=12.0)]))
    assert result.verdict is Verdict.ERROR
    assert result.reasons == ("stopped: shift-clock was refused on cp2: the clock is the host's",)


def test_a_promise_broken_before_a_fault_was_refused_stays_broken() -> None:
    run = MadeRun(extra=[replace(REFUSED, t=16.0)], out={"write-via-lb": [(7, 15)]})
    assert judged(run).verdict is Verdict.FAIL


def audited(*leftovers: str) -> Result:
    return judged(MadeRun(extra=[Record(40.0, events.Audit(leftovers))]))


def test_leftovers_of_faults_are_an_error_that_names_them() -> None:
    result = audited("nft table halab_1 on cp2", "stopped process etcd on cp1")
    assert result.verdict is Verdict.ERROR
    assert result.reasons == ("audit: left behind: nft table halab_1 on cp2; stopped process etcd on cp1",)
    assert of_kind(result, PromiseKind.AUDIT).at == 40.0


def test_a_clean_audit_passes() -> None:
    result = audited()
    assert result.verdict is Verdict.PASS
    assert of_kind(result, PromiseKind.AUDIT).seen == "nothing is left behind"


def test_leftovers_do_not_hide_a_broken_promise() -> None:
    run = MadeRun(extra=[Record(40.0, events.Audit(("x",)))], out={"write-via-lb": [(7, 13)]})
    assert judged(run).verdict is Verdict.FAIL


# states, sampled all the time

LED = waiting("fact: etcd-leader, changed: within 5s")


def test_a_new_leader_is_read_from_the_states() -> None:
    result = judged(MadeRun(text=LED, states=leaders()))
    outcome = step(result, 2)
    assert result.verdict is Verdict.PASS
    assert outcome.seen == "etcd-leader changed from cp2 to cp3 after 1.7s"
    assert outcome.measured == pytest.approx(8.2 - 6.51)
    assert (outcome.limit_seconds, outcome.promised) == (5, "etcd-leader changed within 5s")


def test_a_leader_that_changes_too_late_fails() -> None:
    text = LED.replace("within 5s", "within 1s")
    result = judged(MadeRun(text=text, states=leaders()))
    assert result.reasons == ("step 2: etcd-leader changed from cp2 to cp3 only after 1.7s",)
    patient = judged(MadeRun(text=text, states=leaders(), meta=replace(META, patience=2.0)))
    assert patient.verdict is Verdict.PASS


def test_states_that_were_not_sampled_are_not_judged() -> None:
    assert step(judged(MadeRun(text=LED)), 2).standing is PromiseStatus.UNJUDGED
    blind = leaders(missing=[(4, 15)])
    assert (
        step(judged(MadeRun(text=LED, states=blind, expect_seconds=6)), 2).standing is PromiseStatus.UNJUDGED
    )


def test_a_leader_that_was_read_by_the_runner_is_judged_as_well() -> None:
    """As runs of before the sampler knew states."""
    run = MadeRun(
        text=LED,
        extra=[
            Record(5.4, events.Fact("etcd-leader", None, "cp2")),
            Record(7.0, events.Fact("etcd-leader", None, "cp3")),
        ],
    )
    assert step(judged(run), 2).standing is PromiseStatus.KEPT


@pytest.mark.parametrize(
    ("words", "states", "standing"),
    [
        (
            "node-ready, on: stopped, value: false, reached: within 5s",
            {0: "true", 8: "false"},
            PromiseStatus.KEPT,
        ),
        (
            "node-ready, on: stopped, value: false, reached: within 1s",
            {0: "true", 8: "false"},
            PromiseStatus.BROKEN,
        ),
        ("node-ready, on: stopped, value: true, during: stopped", {0: "true"}, PromiseStatus.KEPT),
        (
            "node-ready, on: stopped, value: true, during: stopped",
            {0: "true", 12: "unknown"},
            PromiseStatus.BROKEN,
        ),
        (
            "node-ready, on: stopped, value: true, during: stopped",
            {0: "true", 19: "unknown"},
            PromiseStatus.KEPT,
        ),
        ("node-ready, on: stopped, unchanged: true", {0: "true"}, PromiseStatus.KEPT),
        ("node-ready, on: stopped, unchanged: true", {0: "true", 7: "false"}, PromiseStatus.BROKEN),
        (
            "node-ready, on: stopped, unchanged: true, during: stopped",
            {0: "true", 15: "false"},
            PromiseStatus.BROKEN,
        ),
        (
            "etcd-revision, on: stopped, increase: 1 to 50, during: stopped",
            {0: "5", 9: "30"},
            PromiseStatus.KEPT,
        ),
        (
            "etcd-revision, on: stopped, increase: 20, during: stopped",
            {0: "5", 9: "30"},
            PromiseStatus.BROKEN,
        ),
    ],
)
def test_every_form_of_a_fact(words: str, states: dict[float, str | None], standing: PromiseStatus) -> None:
    text = waiting(f"fact: {words}")
    made = readings(words.partition(",")[0], "cp2", states)
    assert step(judged(MadeRun(text=text, states=made, expect_seconds=3)), 2).standing is standing


def test_a_fact_of_several_machines_must_hold_on_all() -> None:
    text = waiting("fact: node-ready, on: all-cp, value: true, during: stopped")
    good = [
        reading for name in ("cp1", "cp2", "cp3") for reading in readings("node-ready", name, {0: "true"})
    ]
    assert step(judged(MadeRun(text=text, states=good)), 2).standing is PromiseStatus.KEPT
    bad = [*good[:-1], replace(good[100], value="false", t=12.0)]
    outcome = step(judged(MadeRun(text=text, states=bad)), 2)
    assert outcome.standing is PromiseStatus.BROKEN
    assert outcome.seen.startswith("node-ready on cp1 was false in 1 of")


# twins that add a fault

ADDING = STOP.replace(
    "{replace: {stopped: nothing}}",
    "{add: [{inject: freeze, name: frozen, on: cp1}], verdict: fail}",
)


def test_a_twin_that_adds_a_fault_counts_the_steps_as_the_file_does() -> None:
    meta = replace(META, is_twin=True)
    result = judged(MadeRun(text=ADDING, meta=meta, out={"write-via-lb": [(9, 16)]}))
    names = [each.name for each in result.outcomes if each.kind is PromiseKind.EXPECTATION]
    assert names == ["step 2", "step 5", "step 6"]
    assert [each.step for each in result.outcomes if each.kind is PromiseKind.EXPECTATION] == [2, 5, 6]
    assert result.verdict is Verdict.FAIL
    heals = [each.name for each in result.outcomes if each.kind is PromiseKind.HEAL]
    assert heals == ["heal frozen", "heal stopped"]
