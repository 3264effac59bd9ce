"""Properties of every verdict."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.run_builder import (
    CONTROL_PLANES,
    STOP,
    MadeRun,
    lane,
    leaders,
    ledger,
    measured,
    readings,
    recounted,
    samples,
    waiting,
)

from halab.config.expectation import ProbeExpectation
from halab.config.twin import Verdict
from halab.scenario.record import events
from halab.scenario.record.events import Event, Record, Sample
from halab.scenario.record.folder import Evidence
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Samples
from halab.scenario.record.states import States
from halab.scenario.verdict.deadline import fails_within, ok_within, within
from halab.scenario.verdict.judgement import JudgementState
from halab.scenario.verdict.result import Result
from halab.scenario.verdict.verdict import judge

P = Lane("p")

RUN = MadeRun(expect_seconds=2).evidence()
ALL = [sample for name in RUN.samples.lanes for sample in RUN.samples.of(name)]
OK = ProbeExpectation.model_validate({"probe": "write-via-lb", "ok": "within 3s"})
WITHOUT_FAILS = waiting("probe: write-via-lb, ok: within 10s")


def rejudged(evidence: Evidence, changed: list[Sample]) -> Result:
    """With what a run counts of its samples made to agree: it is not what is looked at."""
    return judge(recounted(replace(evidence, samples=Samples(changed))))


@given(st.lists(st.integers(0, len(ALL) - 1), max_size=60), st.integers(0, len(ALL) - 1))
def test_one_more_failure_never_turns_fail_into_pass(failed: list[int], another: int) -> None:
    """Where nothing is promised to fail."""
    evidence = MadeRun(text=WITHOUT_FAILS).evidence()
    taken = [sample for name in evidence.samples.lanes for sample in evidence.samples.of(name)]

    def spoiled(places: set[int]) -> list[Sample]:
        return [replace(each, ok=False) if number in places else each for number, each in enumerate(taken)]

    places = {place % len(taken) for place in failed}
    before = rejudged(evidence, spoiled(places)).verdict
    after = rejudged(evidence, spoiled(places | {another % len(taken)})).verdict
    severity = [Verdict.PASS, Verdict.ERROR, Verdict.FAIL]
    assert not (before is Verdict.FAIL and after is Verdict.PASS)
    if before is Verdict.FAIL:
        assert severity.index(after) >= severity.index(Verdict.ERROR)


@given(st.randoms(use_true_random=False))
def test_decisions_of_the_run_still_hold_in_the_verdict(chance: random.Random) -> None:
    """Asked as the sampler asks, at any moment of half a period, and answered at once and well."""
    made = [
        Sample(number * 0.2 + chance.uniform(0, 0.1), 0.02, "p", None, True, "201", None)
        for number in range(60)
    ]
    for poll in (chance.uniform(5, 8) for _ in range(20)):
        written = Samples(sample for sample in made if sample.end <= poll)
        if within(OK, written, P, 4.0, 1.0, poll).state is JudgementState.MET:
            for later in (poll, poll + 0.02, poll + 0.1):
                assert within(OK, Samples(made), P, 4.0, 1.0, later).state is JudgementState.MET


@given(st.randoms(use_true_random=False))
def test_the_order_of_lines_changes_nothing(order: random.Random) -> None:
    shuffled = list(ALL)
    order.shuffle(shuffled)
    assert rejudged(RUN, shuffled) == rejudged(RUN, ALL)


@given(st.sets(st.sampled_from(sorted({str(sample.lane) for sample in ALL}))))
def test_a_lane_that_is_missing_never_helps(lost: set[str]) -> None:
    kept = [sample for sample in ALL if str(sample.lane) not in lost]
    result = rejudged(RUN, kept)
    asked = {"write-via-lb", "ready-direct@cp1", "ready-direct@cp2", "ready-direct@cp3"}
    assert result.verdict is (Verdict.ERROR if lost & asked else Verdict.PASS)


@given(st.sets(st.integers(0, len(RUN.records) - 1)))
def test_records_that_are_missing_never_turn_a_failure_into_a_pass(lost: set[int]) -> None:
    evidence = MadeRun(out={"write-via-lb": [(7, 13)]}).evidence()
    records = [record for number, record in enumerate(evidence.records) if number not in lost]
    assert judge(replace(evidence, records=records)).verdict is not Verdict.PASS


@given(st.floats(0, 30), st.floats(0, 30))
def test_every_cut_of_the_window_is_a_pass_only_if_it_is_no_longer_than_promised(
    start: float, length: float
) -> None:
    result = judge(MadeRun(out={"write-via-lb": [(start, start + length)]}).evidence())
    # what began in it counts to its real end; one that begins as it ends may be of either side
    began = start < 18.51
    inside = max(0.0, start + length - max(start, 5.41)) if began else 0.0
    if 18.2 < start < 18.6:
        assert result.verdict is not Verdict.ERROR
    elif inside > 5.2:
        assert result.verdict is Verdict.FAIL
    elif inside < 4.7:
        assert result.verdict is Verdict.PASS


RICH = MadeRun(
    text=STOP.replace(
        "  - wait: 10s\n",
        "  - expect: {fact: etcd-leader, changed: within 5s}\n  - wait: 10s\n",
    ),
    states=[*leaders(end=40), *readings("etcd-revision", "cp1", {0: "10", 20: "20"}, end=40)],
    extra=[
        Record(40.0, events.Members(20, dict.fromkeys(CONTROL_PLANES, 1), dict.fromkeys(CONTROL_PLANES, 9))),
        Record(41.0, events.Audit(())),
    ],
    out={"write-via-lb": [(7, 9)]},
).evidence()


@given(st.floats(-500, 500))
def test_shifting_all_times_changes_no_verdict_and_no_figure(shift: float) -> None:
    shifted = replace(
        RICH,
        records=[replace(each, t=each.t + shift) for each in RICH.records],
        samples=Samples(
            replace(each, t=each.t + shift) for name in RICH.samples.lanes for each in RICH.samples.of(name)
        ),
        states=States(
            replace(each, t=each.t + shift) for name in RICH.states.lanes for each in RICH.states.of(name)
        ),
    )
    before, after = judge(RICH), judge(shifted)
    assert before.verdict is after.verdict is Verdict.PASS
    assert [each.standing for each in before.outcomes] == [each.standing for each in after.outcomes]
    assert measured(after) == pytest.approx(measured(before))


@given(st.randoms(use_true_random=False))
def test_the_order_in_which_states_were_written_changes_nothing(order: random.Random) -> None:
    shuffled = [each for name in RICH.states.lanes for each in RICH.states.of(name)]
    order.shuffle(shuffled)
    assert judge(replace(RICH, states=States(shuffled))) == judge(RICH)


@given(st.sets(st.sampled_from([events.HealStarted, events.Healed, events.FaultInjected]), min_size=1))
def test_a_verdict_is_never_pass_with_a_fault_that_is_open(lost: set[type[Event]]) -> None:
    records = [each for each in RICH.records if type(each.what) not in lost]
    healed = any(isinstance(each.what, events.Healed) for each in records)
    verdict = judge(replace(RICH, records=records)).verdict
    assert (
        verdict is Verdict.PASS if healed and lost == {events.FaultInjected} else verdict is not Verdict.PASS
    )


@given(st.sets(st.integers(0, len(RICH.records) - 1)))
def test_a_missing_record_never_makes_a_run_fail(lost: set[int]) -> None:
    """What is not known is never held against a lab: without any record, a run is an error and no failure."""
    records = [record for number, record in enumerate(RICH.records) if number not in lost]
    assert judge(replace(RICH, records=records)).verdict is not Verdict.FAIL


@given(st.lists(st.tuples(st.floats(0, 35), st.floats(0, 8)), max_size=4))
def test_states_that_are_missing_never_make_a_failure(missing: list[tuple[float, float]]) -> None:
    kept = [
        each
        for name in RICH.states.lanes
        for each in RICH.states.of(name)
        if not any(start <= each.t < start + length for start, length in missing)
    ]
    assert judge(replace(RICH, states=States(kept))).verdict is not Verdict.FAIL


@given(st.sampled_from(RICH.history.ledger()[0]), st.sampled_from(RICH.history.ledger()[0]))
def test_one_more_lost_write_never_turns_fail_into_pass(first: int, second: int) -> None:
    """Also where another member is the one that lost it."""

    def losing(numbers: tuple[int, ...]) -> Result:
        change = ledger(missing=numbers)
        return judge(replace(RICH, records=[replace(each, what=change(each.what)) for each in RICH.records]))

    assert losing(()).verdict is Verdict.PASS
    assert losing((first,)).verdict is Verdict.FAIL
    assert losing(tuple({first, second})).verdict is Verdict.FAIL


@given(st.text("+-.", max_size=60), st.floats(0.2, 10))
def test_ok_and_fails_are_judged_by_samples_alone(pattern: str, limit: float) -> None:
    made = lane(pattern)
    ok, fails = ok_within(made, P, 0.0, limit), fails_within(made, P, 0.0, limit)
    if ok.state is JudgementState.MET:
        assert pattern.replace(".", "").endswith("+" * 5)
    if fails.state is JudgementState.MET:
        assert "-" * 3 in pattern.replace(".", "")
    if not any(sample.ok for sample in made):
        assert ok.state is not JudgementState.MET
    if all(sample.ok for sample in made):
        assert fails.state is not JudgementState.MET
        assert ok.state is not JudgementState.BROKEN
    for found in (ok, fails):
        if found.state is not JudgementState.OPEN:
            assert found.evidence


@given(st.text("+-", min_size=1, max_size=40), st.text("+-", max_size=20), st.floats(0.2, 5))
def test_what_is_broken_stays_broken(pattern: str, later: str, limit: float) -> None:
    """The runner may go on as soon as a promise is broken: nothing that comes later mends it."""
    for judge_lane in (ok_within, fails_within):
        if judge_lane(lane(pattern), P, 0.0, limit).state is JudgementState.BROKEN:
            assert judge_lane(lane(pattern + later), P, 0.0, limit).state is JudgementState.BROKEN


def test_built_samples_have_the_rate_that_they_claim() -> None:
    assert len(samples(end=10)) == 50
