"""Figures of a run beside its promises: lanes, and the effect of faults on clients."""

from __future__ import annotations

import json

import pytest
from support.run_builder import STOP, MadeRun, measured

from halab.scenario.verdict.impact import impacts
from halab.scenario.verdict.result import Impact
from halab.scenario.verdict.verdict import judge

# The fault begins at 5.51 s; its heal begins at 18.51 s.
BEGUN, HEAL = 5.51, 18.51


def impacts_by_lane(run: MadeRun) -> dict[str, Impact]:
    return {str(each.lane): each for each in impacts(run.evidence().history)}


def test_the_effect_on_clients_counts_from_the_inject() -> None:
    impact = impacts_by_lane(MadeRun(out={"write-via-lb": [(7, 8), (10, 11)]}))["write-via-lb"]
    assert impact.fault == "stopped"
    assert impact.failed_after_seconds == pytest.approx(7.0 - BEGUN)
    # good again for good: not between the two
    assert impact.good_after_seconds == pytest.approx(11.0 - BEGUN)
    assert impact.good_after_heal_seconds == pytest.approx(11.0 - HEAL)


def test_the_end_may_come_after_the_heal() -> None:
    impact = impacts_by_lane(MadeRun())["ready-direct@cp2"]
    assert impact.good_after_heal_seconds == pytest.approx(22.0 - HEAL, abs=0.11)


def test_a_lane_that_never_failed_has_no_impact() -> None:
    assert "write-via-lb" not in impacts_by_lane(MadeRun())
    assert "write-via-lb" not in impacts_by_lane(MadeRun(out={"write-via-lb": [(1, 3)]}))


def test_a_lane_that_did_not_recover_has_no_recovery_time() -> None:
    impact = impacts_by_lane(MadeRun(out={"write-via-lb": [(7, 99)]}))["write-via-lb"]
    assert (impact.good_after_seconds, impact.good_after_heal_seconds) == (None, None)


def test_an_outage_from_before_the_fault_is_not_its_effect() -> None:
    impact = impacts_by_lane(MadeRun(out={"write-via-lb": [(4, 9), (12, 13)]}))["write-via-lb"]
    assert impact.failed_after_seconds == pytest.approx(12.0 - BEGUN, abs=0.11)
    at_once = impacts_by_lane(MadeRun(out={"write-via-lb": [(5.5, 9)]}))["write-via-lb"]
    assert at_once.failed_after_seconds == pytest.approx(0.09, abs=0.11)


def test_the_impact_of_a_fault_ends_at_the_next_fault() -> None:
    second = "  - inject: nothing\n    name: second\n    on: stopped\n  - wait: 5s\nrecover:"
    text = STOP.replace("recover:", second)
    run = MadeRun(text=text, out={"write-via-lb": [(7, 8), (21, 22)]})
    both = [each for each in impacts(run.evidence().history) if str(each.lane) == "write-via-lb"]
    assert [each.fault for each in both] == ["stopped", "second"]
    assert both[0].good_after_seconds == pytest.approx(8.0 - BEGUN, abs=0.11)


def test_a_run_without_faults_has_no_impacts() -> None:
    assert impacts_by_lane(MadeRun(drop=lambda event: hasattr(event, "fault"))) == {}


def test_all_measurements_can_be_compared_between_runs() -> None:
    figures = measured(judge(MadeRun(out={"write-via-lb": [(7, 8)]}).evidence()))
    assert figures["recovery: steady after"] == pytest.approx(12.5)
    assert figures["step 5: longest outage"] == pytest.approx(1.02)
    assert figures["step 2: failed after"] == pytest.approx(0, abs=0.2)
    assert figures["stopped: write-via-lb failed_after_seconds"] == pytest.approx(1.49, abs=0.11)
    assert figures["stopped: write-via-lb good_after_seconds"] == pytest.approx(2.49, abs=0.11)


def test_the_figures_are_in_the_json() -> None:
    written = json.loads(judge(MadeRun().evidence()).to_json())
    (fails,) = [each for each in written["outcomes"] if each["step"] == 1]
    assert fails["figures"][0]["unit"] == "seconds"
    assert {each["lane"] for each in written["impacts"]} == {"ready-direct@cp2", "write-direct@cp2"}
