"""Promises about the time after the steps: recovery at its bounds, checks, a complete record."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.run_builder import META, PASSED, STOP, MadeRun

from halab.scenario.record import events
from halab.scenario.record.check_results import CheckResult, CheckState
from halab.scenario.record.events import Record, Sample, SteadyCheckPoint
from halab.scenario.record.folder import Evidence
from halab.scenario.record.outage import Samples
from halab.scenario.verdict import postconditions
from halab.scenario.verdict.result import PromiseOutcome, PromiseStatus


def recovery(
    *,
    steady_at: float,
    is_steady: bool = True,
    patience: float = 1.0,
    text: str = STOP,
    heals: tuple[float, ...] = (20.0,),
    injects: tuple[float, ...] = (5.0,),
) -> PromiseOutcome:
    """Of a record that has nothing but its faults, their heals, and when the lab was seen to be steady."""
    records: list[Record] = []
    for number, (inject, heal) in enumerate(zip(injects, heals, strict=True)):
        of = {"name": f"f{number}", "fault": "freeze", "target": "cp1", "machine": "cp1"}
        records += [
            Record(inject, events.FaultStarted(**of)),
            Record(heal, events.HealStarted(**of)),
            Record(heal + 0.5, events.Healed(**of)),
        ]
    records.append(Record(steady_at, events.Steady(SteadyCheckPoint.AFTER, is_steady, 1.0, "etcd on cp1")))
    made = MadeRun(text=text, meta=replace(META, patience=patience)).evidence()
    return postconditions.recovery(replace(made, records=sorted(records, key=lambda each: each.t)).history)


@pytest.mark.parametrize(
    ("steady_at", "is_steady", "patience", "standing"),
    [
        # the bound is 90 s from the heal at 20 s
        (110.0, True, 1.0, PromiseStatus.KEPT),
        (110.1, True, 1.0, PromiseStatus.BROKEN),
        # not steady: only a wait as long as the bound shows that it was not kept
        (110.0, False, 1.0, PromiseStatus.BROKEN),
        (109.9, False, 1.0, PromiseStatus.UNJUDGED),
        (200.0, True, 2.0, PromiseStatus.KEPT),
        (199.9, False, 2.0, PromiseStatus.UNJUDGED),
    ],
)
def test_a_recovery_at_its_bound(
    steady_at: float, is_steady: bool, patience: float, standing: PromiseStatus
) -> None:
    outcome = recovery(steady_at=steady_at, is_steady=is_steady, patience=patience)
    assert outcome.standing is standing
    assert outcome.figures[0].most == outcome.patient_seconds == 90 * patience


def test_a_recovery_counts_from_the_last_heal_or_from_the_first_inject() -> None:
    two = {"heals": (20.0, 30.0), "injects": (5.0, 8.0)}
    assert recovery(steady_at=50.0, **two).measured == pytest.approx(20)  # type: ignore[arg-type]
    from_inject = STOP.replace(
        "recover: {steady: within 90s}", "recover: {steady: within 90s, from: inject}"
    )
    assert recovery(steady_at=50.0, text=from_inject, **two).measured == pytest.approx(45)  # type: ignore[arg-type]


def test_a_recovery_without_a_heal_says_what_is_missing() -> None:
    made = MadeRun().evidence()
    healed = [each for each in made.records if isinstance(each.what, events.Healed)]
    open_ = replace(made, records=[each for each in made.records if each not in healed])
    assert postconditions.recovery(open_.history).seen == "some faults were not healed"
    assert postconditions.recovery(replace(made, records=[]).history).seen == "no fault was injected"


CHECKED = f"{STOP}checks: [checks/test_etcd.py]\n"


def checked(*results: CheckResult) -> list[PromiseOutcome]:
    return list(postconditions.checks(MadeRun(text=CHECKED, checks=list(results)).evidence()))


@pytest.mark.parametrize(
    ("state", "standing"),
    [
        (CheckState.PASSED, PromiseStatus.KEPT),
        (CheckState.FAILED, PromiseStatus.BROKEN),
        (CheckState.ERROR, PromiseStatus.UNJUDGED),
        (CheckState.SKIPPED, PromiseStatus.LEFT_OUT),
    ],
)
def test_every_check_has_the_status_of_its_result(state: CheckState, standing: PromiseStatus) -> None:
    one = replace(PASSED, name="test_another", state=state)
    passed, other = [each for each in checked(PASSED, one) if ": " in each.name]
    assert (passed.standing, other.standing) == (PromiseStatus.KEPT, standing)


def test_a_check_says_why_it_did_not_pass_or_else_only_its_state() -> None:
    told = replace(PASSED, name="test_told", state=CheckState.FAILED, text="assert 2 == 3")
    seen = {each.name: each.seen for each in checked(PASSED, told) if ": " in each.name}
    assert seen == {"test_etcd: test members are healthy": "passed", "test_etcd: test told": "assert 2 == 3"}


def test_checks_that_contradict_the_timeline_are_not_judged() -> None:
    made = MadeRun(text=CHECKED, checks=[PASSED]).evidence()
    two = replace(PASSED, name="test_two")
    outcomes = list(postconditions.checks(replace(made, checks=[PASSED, two])))
    assert [each.standing for each in outcomes] == [PromiseStatus.UNJUDGED] * 3


def test_every_check_file_needs_a_test_of_its_own() -> None:
    text = f"{STOP}checks: [checks/test_etcd.py, checks/test_lb.py]\n"
    other = replace(PASSED, file="checks.test_lb")
    outcomes = list(postconditions.checks(MadeRun(text=text, checks=[PASSED, other]).evidence()))
    assert [each.standing for each in outcomes] == [PromiseStatus.KEPT] * 2
    missing, _ = postconditions.checks(MadeRun(text=text, checks=[PASSED]).evidence())
    assert (missing.standing, missing.seen.partition(":")[0]) == (
        PromiseStatus.UNJUDGED,
        "no check of checks/test_lb.py ran",
    )


def test_checks_without_a_result_or_without_an_event_did_not_run() -> None:
    made = MadeRun(text=CHECKED, checks=[PASSED]).evidence()
    silent = [each for each in made.records if not isinstance(each.what, events.Checks)]
    assert [each.seen for each in postconditions.checks(replace(made, records=silent, checks=None))] == [
        "the checks did not run"
    ]
    for evidence in (replace(made, checks=None), replace(made, records=silent)):
        assert any(each.standing is PromiseStatus.UNJUDGED for each in postconditions.checks(evidence))


def ends(evidence: Evidence) -> list[str]:
    return [each.seen for each in postconditions.completeness(evidence.history)]


def test_two_records_at_the_same_moment_do_not_go_back_in_time() -> None:
    made = MadeRun().evidence()
    (last,) = [each for each in made.records if isinstance(each.what, events.RunEnded)]
    assert ends(replace(made, records=[*made.records, replace(last, what=events.Audit(()))])) == []


def test_a_sample_at_the_moment_the_sampler_stopped_is_not_late() -> None:
    (stopped,) = [
        each.t for each in MadeRun().evidence().records if isinstance(each.what, events.SamplerStopped)
    ]

    def moved(by: float) -> list[str]:
        def last_one(taken: list[Sample]) -> list[Sample]:
            return [*taken[:-1], replace(taken[-1], t=stopped + by)]

        return ends(MadeRun(changed_samples=last_one).evidence())

    assert moved(0.0) == []
    assert moved(0.1) == [
        f"a sample of write-direct on cp3 is from {stopped + 0.1:.1f}s, but the sampler stopped at {stopped:.1f}s"
    ]


@pytest.mark.parametrize(
    ("taken", "seen"),
    [
        ({"a": 1, "p": 2}, "the record has 0 samples of a, but 1 were taken"),
        ({"p": 3, "q": 1}, "the record has 2 samples of p, but 3 were taken"),
        ({}, "the record has 2 samples of p, but 0 were taken"),
        ({"p": 2, "q": 0}, ""),
        ({"p": 2}, ""),
    ],
)
def test_the_record_has_the_samples_that_were_taken_and_no_others(taken: dict[str, int], seen: str) -> None:
    """The first lane that is miscounted is named."""
    made = MadeRun().evidence()
    (stopped,) = [each for each in made.records if isinstance(each.what, events.SamplerStopped)]
    two = Samples([Sample(1.0, 0.01, "p", None, True, "200"), Sample(1.2, 0.01, "p", None, True, "200")])
    records = [replace(stopped, what=events.SamplerStopped(taken)), Record(99.0, events.RunEnded())]
    assert ends(replace(made, records=records, samples=two)) == ([seen] if seen else [])


def test_one_sample_of_a_lane_that_was_not_counted_is_one_too_many() -> None:
    made = MadeRun().evidence()
    one = Samples([Sample(1.0, 0.01, "p", None, True, "200")])
    records = [Record(2.0, events.SamplerStopped({})), Record(99.0, events.RunEnded())]
    assert ends(replace(made, records=records, samples=one)) == [
        "the record has 1 samples of p, but 0 were taken"
    ]
