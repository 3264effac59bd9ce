"""A campaign: order, seeds, repairs of a lab that a run left broken, and what ends a campaign early."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from support.stage import SEED, Stage, planned_run, script

from halab.campaign.outcome import CampaignOutcome, write_overview
from halab.campaign.plan import announcement, planned_runs
from halab.campaign.play import CampaignOptions, play
from halab.campaign.time_limit import OverLimit
from halab.config.quantities import format_minutes
from halab.config.twin import Verdict
from halab.errors import HostProblem, LabProblem
from halab.report import overview
from halab.scenario.run.duration import longest_seconds


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def names(outcome: CampaignOutcome) -> list[str]:
    return [run.planned.script.name for run in outcome.runs]


def test_runs_are_played_in_order_with_their_own_seeds_then_healed_and_judged(stage: Stage) -> None:
    outcome = stage.play(planned_run("a", seed=1), planned_run("b", seed=2))
    assert stage.did == ["open", "play a 1", "heal", "play b 2", "heal"]
    assert names(outcome) == ["a", "b"]
    assert (outcome.not_run, outcome.repairs, outcome.error, outcome.was_interrupted) == (
        [],
        [],
        None,
        False,
    )


def test_progress_shows_the_number_of_the_run_and_its_time_limit(stage: Stage) -> None:
    stage.play(planned_run("a"), planned_run("b"))
    assert stage.progress.lines[0].startswith("1 of 2: scenario a, seed 42, up to about ")
    assert stage.progress.lines[1].startswith("2 of 2: scenario b, seed 42, up to about ")


def test_a_run_is_reported_as_soon_as_it_ends(stage: Stage) -> None:
    reported: list[list[str]] = []
    stage.play(
        planned_run("a"),
        planned_run("b"),
        on_run=lambda run: reported.append([run.planned.script.name, stage.did[-2]]),
    )
    assert reported == [["a", "play a 42"], ["b", "play b 42"]]


def test_a_broken_lab_is_repaired_before_the_next_run_and_the_repair_is_recorded(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    outcome = stage.play(planned_run("a"), planned_run("b"))
    assert stage.did == ["open", "play a 42", "heal", "mend", "play b 42", "heal"]
    assert [str(repair) for repair in outcome.repairs] == ["after a: started cp2 (cp2 does not run)"]
    assert "a left the lab broken: cp2 does not run" in stage.progress.lines


def test_a_lab_that_cannot_be_repaired_is_rebuilt_outside_of_the_session(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    stage.lacking["a"] = "etcd on cp2 does not answer"
    outcome = stage.play(planned_run("a"), planned_run("b", seed=7))
    assert stage.did == ["open", "play a 42", "heal", "mend", "rebuild", "open", "play b 7", "heal"]
    # the command in the reports has the seed of the campaign, not that of a run
    assert stage.opened_with == [SEED, SEED]
    assert [str(repair) for repair in outcome.repairs] == [
        "after a: started cp2, rebuilt the lab (etcd on cp2 does not answer)"
    ]


def test_a_lab_that_the_last_run_left_broken_is_not_repaired(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    outcome = stage.play(planned_run("a"))
    assert "mend" not in stage.did
    assert outcome.repairs == []


def test_keep_stops_at_a_broken_lab_and_changes_nothing(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    outcome = stage.play(planned_run("a"), planned_run("b"), keep=True)
    assert stage.did == ["open", "play a 42"]
    assert [str(planned) for planned in outcome.not_run] == ["b"]
    assert outcome.why_not_run == "a left the lab broken, and --keep prevents the repair: cp2 does not run"


def test_fail_fast_stops_at_the_first_run_that_neither_passed_nor_was_skipped(stage: Stage) -> None:
    stage.verdicts = {"a": "skip", "b": "fail"}
    outcome = stage.play(planned_run("a"), planned_run("b"), planned_run("c"), fail_fast=True)
    assert names(outcome) == ["a", "b"]
    assert [str(planned) for planned in outcome.not_run] == ["c"]
    assert "unexpected verdict of b: fail; not run: 1" in stage.progress.lines


def test_fail_fast_stops_a_proof_at_a_twin_that_passes(stage: Stage) -> None:
    stage.verdicts = {"a": "fail", "b": "pass"}
    planned = [planned_run(name, twin=True) for name in "abc"]
    assert names(stage.play(*planned, fail_fast=True, proving=True)) == ["a", "b"]


def test_no_more_runs_take_place_when_they_are_enough(stage: Stage) -> None:
    stage.verdicts = {"a": "error", "b": "fail"}
    planned = [planned_run(name) for name in "abc"]
    options = CampaignOptions(is_enough=lambda runs: runs[-1].result.verdict is Verdict.FAIL)
    outcome = play(stage.lab_dir, planned, stage.progress, options, seed=1, deps=stage.deps)
    assert names(outcome) == ["a", "b"]
    assert outcome.why_not_run == "the runs before it were enough"


def test_an_interrupted_run_is_healed_and_reported_and_the_campaign_ends(stage: Stage) -> None:
    stage.errors["play a"] = KeyboardInterrupt()
    outcome = stage.play(planned_run("a"), planned_run("b"))
    assert stage.did == ["open", "play a 42", "heal"]
    assert (names(outcome), outcome.was_interrupted, outcome.why_not_run) == (["a"], True, "interrupted")
    assert [str(planned) for planned in outcome.not_run] == ["b"]


def test_an_interrupt_wins_over_a_report_that_cannot_be_written(stage: Stage) -> None:
    stage.errors = {"play a": KeyboardInterrupt(), "render a": OSError(28, "No space left on device", "/r")}
    assert stage.play(planned_run("a")).was_interrupted


def test_a_run_is_reported_even_if_its_heal_is_interrupted(stage: Stage) -> None:
    stage.errors = {"play a": KeyboardInterrupt(), "heal": KeyboardInterrupt()}
    reports: list[str] = []
    outcome = stage.play(planned_run("a"), on_run=lambda run: reports.append(run.planned.script.name))
    assert stage.did[-1] == "heal"
    assert reports == ["a"]
    assert outcome.was_interrupted


def test_a_run_is_healed_and_reported_even_after_a_bug_in_halab(stage: Stage) -> None:
    stage.errors["play a"] = ZeroDivisionError()
    reports: list[str] = []
    with pytest.raises(ZeroDivisionError):
        stage.play(planned_run("a"), on_run=lambda run: reports.append(run.planned.script.name))
    assert stage.did[-1] == "heal"
    assert reports == ["a"]


def test_an_interrupt_during_a_repair_ends_the_campaign(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    stage.errors["mend"] = KeyboardInterrupt()
    outcome = stage.play(planned_run("a"), planned_run("b"))
    assert (names(outcome), outcome.was_interrupted) == (["a"], True)


def test_a_lab_in_use_is_an_error_before_the_first_run(stage: Stage) -> None:
    stage.errors["open"] = LabProblem("the lab ha is in use: up, process 4711")
    with pytest.raises(LabProblem, match="in use: up, process 4711"):
        stage.play(planned_run("a"))


def test_a_full_disk_ends_the_campaign_after_the_heal_and_keeps_the_results(stage: Stage) -> None:
    stage.errors["play b"] = HostProblem("cannot write /r/timeline.jsonl: No space left on device")
    outcome = stage.play(planned_run("a"), planned_run("b"), planned_run("c"))
    assert stage.did[-1] == "heal"
    assert names(outcome) == ["a", "b"]
    assert outcome.error is stage.errors["play b"]
    assert [str(planned) for planned in outcome.not_run] == ["c"]


def test_a_disk_that_is_full_before_the_first_run_is_an_error_with_a_hint(stage: Stage) -> None:
    stage.errors["prepare a"] = OSError(28, "No space left on device", "/r")
    with pytest.raises(HostProblem, match="no space left on device: /r") as caught:
        stage.play(planned_run("a"))
    assert caught.value.hint == "check whether the disk is full"


def test_a_folder_that_another_user_owns_is_an_error_with_a_hint(stage: Stage) -> None:
    stage.errors["prepare a"] = PermissionError(13, "Permission denied", "/r")
    with pytest.raises(HostProblem, match="permission denied: /r") as caught:
        stage.play(planned_run("a"))
    assert caught.value.hint == "check whether you may write there, and whether another user owns the folder"


def test_a_rebuild_that_fails_ends_the_campaign(stage: Stage) -> None:
    stage.damages["a"] = stage.lacking["a"] = "everything"
    stage.errors["rebuild"] = HostProblem("no docker engine answers")
    outcome = stage.play(planned_run("a"), planned_run("b"))
    assert outcome.error is stage.errors["rebuild"]
    assert (names(outcome), outcome.why_not_run) == (["a"], "no docker engine answers")


def test_the_seed_decides_a_shuffled_order_and_named_scenarios_keep_theirs() -> None:
    scripts = [script(name) for name in "abcdefgh"]
    order = [planned.script.name for planned in planned_runs(scripts, 1, shuffled=True)]
    assert order == [planned.script.name for planned in planned_runs(scripts, 1, shuffled=True)]
    assert order != [planned.script.name for planned in planned_runs(scripts, 2, shuffled=True)]
    assert sorted(order) == list("abcdefgh")
    assert [planned.script.name for planned in planned_runs(scripts, 1)] == list("abcdefgh")


def test_every_round_of_a_repeat_has_its_own_seed_and_order() -> None:
    scripts = [script(name) for name in "abcdefgh"]
    planned = planned_runs(scripts, SEED, repeat=3, shuffled=True)
    rounds = [planned[start : start + 8] for start in (0, 8, 16)]
    assert [{run.seed for run in runs} for runs in rounds] == [{42}, {43}, {44}]
    assert len({tuple(run.script.name for run in runs) for runs in rounds}) == 3


def test_the_announcement_shows_count_time_seed_and_order() -> None:
    text = announcement([planned_run("b"), planned_run("a")], SEED, 1.0)
    assert text.startswith("2 runs, up to about ")
    assert text.endswith(", seed 42, in this order: b, a")


@pytest.mark.parametrize(("seconds", "words"), [(1, "60s"), (61, "2m"), (3600, "1h"), (7260, "2h1m")])
def test_a_time_limit_is_rounded_up(seconds: float, words: str) -> None:
    assert format_minutes(seconds) == words


def test_a_campaign_lists_its_runs_its_repairs_and_the_runs_that_did_not_take_place(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    stage.errors["play b"] = KeyboardInterrupt()
    outcome = stage.play(planned_run("a"), planned_run("b"), planned_run("c"))
    campaign = outcome.campaign
    assert (campaign.name, campaign.seed, campaign.order) == ("3 scenarios", SEED, ["a", "b", "c"])
    assert [result.scenario for _, result in campaign.runs] == ["a", "b"]
    assert campaign.repairs == ["after a: started cp2 (cp2 does not run)"]
    assert [(run.name, run.why) for run in campaign.not_run] == [("c", "interrupted")]


def test_the_report_of_all_runs_is_also_written_as_json(stage: Stage) -> None:
    outcome = stage.play(planned_run("a"), planned_run("a", seed=43))
    page = write_overview(stage.lab_dir, outcome)
    assert page.is_file()
    assert page.parent.name.endswith("-campaign")
    written = json.loads((page.parent / overview.JSON).read_text())
    assert (written["name"], written["totals"]["pass"]) == ("1 scenario, 2 times each", 2)


def test_a_single_run_needs_no_overview(stage: Stage) -> None:
    assert not stage.play(planned_run("a")).needs_overview
    assert stage.play(planned_run("a"), planned_run("b")).needs_overview


class TestHangingRuns:
    def test_a_run_that_hangs_is_ended_and_the_lab_is_rebuilt_for_the_next(self, stage: Stage) -> None:
        stage.errors["play a"] = OverLimit("the time limit of 5m")
        stage.verdicts["a"] = "error"
        outcome = stage.play(planned_run("a"), planned_run("b"), ends_hanging=True)
        assert [line for line in stage.did if line.startswith(("play", "rebuild"))] == [
            f"play a {SEED}", "rebuild", f"play b {SEED}",
        ]  # fmt: skip
        assert [run.is_over_limit for run in outcome.runs] == [True, False]
        assert not outcome.was_interrupted and not outcome.not_run
        assert "the run did not end by itself" in str(outcome.repairs[0])

    def test_the_last_run_needs_no_lab_afterwards(self, stage: Stage) -> None:
        stage.errors["play a"] = OverLimit("the time limit of 5m")
        outcome = stage.play(planned_run("a"), ends_hanging=True)
        assert "rebuild" not in stage.did and outcome.runs[0].is_over_limit

    def test_healing_that_hangs_is_ended_too_and_the_lab_is_rebuilt(self, stage: Stage) -> None:
        stage.errors["heal"] = OverLimit("the time limit of 10m")
        outcome = stage.play(planned_run("a"), planned_run("b"), ends_hanging=True)
        assert stage.did == ["open", "play a 42", "heal", "rebuild", "open", "play b 42", "heal"]
        # the runs themselves came to their end
        assert [str(run.result.verdict) for run in outcome.runs] == ["pass", "pass"]
        assert "healing was ended: the time limit of 10m" in stage.progress.lines
        # they are not counted as hanging: an interrupted run would be complete
        assert not any(run.is_over_limit for run in outcome.runs)
        assert "healing did not end by itself" in str(outcome.repairs[0])

    def test_the_limit_is_twice_the_sum_of_the_limits_of_the_scenario(self, stage: Stage) -> None:
        limits: list[float] = []

        @contextmanager
        def ended_after(seconds: float, what: str) -> Iterator[None]:
            limits.append(seconds)
            yield

        run = planned_run("a")
        for ends_hanging in (True, False):
            options = CampaignOptions(ends_hanging=ends_hanging)
            deps = replace(stage.deps, ended_after=ended_after)
            play(stage.lab_dir, [run], stage.progress, options, seed=SEED, deps=deps)
        # the second one is for what is healed after the run
        assert limits == [2 * longest_seconds(run.script.scenario), 600]
