"""A campaign: order, seeds, what is done to a lab that a run left broken, and what ends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.stage import SEED, Stage, script, turn

from halab.campaign.outcome import CampaignOutcome, merge
from halab.campaign.plan import announcement, minutes, planned_runs
from halab.errors import HostProblem, LabProblem
from halab.report import overview


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def names(played: CampaignOutcome) -> list[str]:
    return [run.turn.script.name for run in played.runs]


def test_runs_are_played_in_order_each_with_its_seed_healed_and_judged(stage: Stage) -> None:
    played = stage.play(turn("a", seed=1), turn("b", seed=2))
    assert stage.did == ["open", "play a 1", "heal", "play b 2", "heal"]
    assert names(played) == ["a", "b"]
    assert (played.left, played.repairs, played.ended_by, played.was_interrupted) == ([], [], None, False)


def test_progress_says_which_of_how_many_and_how_long_at_most(stage: Stage) -> None:
    stage.play(turn("a"), turn("b"))
    assert stage.progress.lines[0].startswith("1 of 2: scenario a, seed 42, at most ")
    assert stage.progress.lines[1].startswith("2 of 2: scenario b, seed 42, at most ")


def test_each_run_is_told_of_as_soon_as_it_has_ended(stage: Stage) -> None:
    told: list[list[str]] = []
    stage.play(turn("a"), turn("b"), ended=lambda run: told.append([run.turn.script.name, stage.did[-2]]))
    assert told == [["a", "play a 42"], ["b", "play b 42"]]


def test_a_lab_left_broken_is_mended_before_the_next_and_that_is_recorded(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    played = stage.play(turn("a"), turn("b"))
    assert stage.did == ["open", "play a 42", "heal", "mend", "play b 42", "heal"]
    assert [str(each) for each in played.repairs] == ["after a: started cp2 (cp2 does not run)"]
    assert "a left the lab broken: cp2 does not run" in stage.progress.lines


def test_a_lab_beyond_mending_is_rebuilt_while_nobody_holds_it(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    stage.lacking["a"] = "etcd on cp2 does not answer"
    played = stage.play(turn("a"), turn("b", seed=7))
    assert stage.did == ["open", "play a 42", "heal", "mend", "rebuild", "open", "play b 7", "heal"]
    assert [str(each) for each in played.repairs] == [
        "after a: started cp2, rebuilt the lab (etcd on cp2 does not answer)"
    ]


def test_what_the_last_run_leaves_broken_is_there_to_be_looked_at(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    played = stage.play(turn("a"))
    assert "mend" not in stage.did
    assert played.repairs == []


def test_keep_ends_at_a_broken_lab_and_touches_nothing(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    played = stage.play(turn("a"), turn("b"), keep=True)
    assert stage.did == ["open", "play a 42"]
    assert [str(each) for each in played.left] == ["b"]
    assert played.why_left == "a left the lab broken, and it is kept so: cp2 does not run"


def test_fail_fast_ends_at_the_first_that_is_no_pass_and_no_skip(stage: Stage) -> None:
    stage.verdicts = {"a": "skip", "b": "fail"}
    played = stage.play(turn("a"), turn("b"), turn("c"), fail_fast=True)
    assert names(played) == ["a", "b"]
    assert [str(each) for each in played.left] == ["c"]
    assert "b did not end as it should; not played: 1" in stage.progress.lines


def test_fail_fast_of_a_proof_ends_at_a_twin_that_passes(stage: Stage) -> None:
    stage.verdicts = {"a": "fail", "b": "pass"}
    planned = [turn(name, twin=True) for name in "abc"]
    assert names(stage.play(*planned, fail_fast=True, proving=True)) == ["a", "b"]


def test_an_interrupted_run_is_healed_and_has_a_report_and_nothing_follows(stage: Stage) -> None:
    stage.acts["play a"] = KeyboardInterrupt()
    played = stage.play(turn("a"), turn("b"))
    assert stage.did == ["open", "play a 42", "heal"]
    assert (names(played), played.was_interrupted, played.why_left) == (["a"], True, "interrupted")
    assert [str(each) for each in played.left] == ["b"]


def test_an_interrupt_wins_over_a_report_that_cannot_be_written(stage: Stage) -> None:
    stage.acts = {"play a": KeyboardInterrupt(), "render a": OSError(28, "No space left on device", "/r")}
    assert stage.play(turn("a")).was_interrupted


def test_an_interrupt_of_the_heal_leaves_a_run_with_a_report(stage: Stage) -> None:
    stage.acts = {"play a": KeyboardInterrupt(), "heal": KeyboardInterrupt()}
    reports: list[str] = []
    played = stage.play(turn("a"), ended=lambda run: reports.append(run.turn.script.name))
    assert stage.did[-1] == "heal"
    assert reports == ["a"]
    assert played.was_interrupted


def test_a_defect_leaves_a_run_healed_and_with_a_report(stage: Stage) -> None:
    stage.acts["play a"] = ZeroDivisionError()
    reports: list[str] = []
    with pytest.raises(ZeroDivisionError):
        stage.play(turn("a"), ended=lambda run: reports.append(run.turn.script.name))
    assert stage.did[-1] == "heal"
    assert reports == ["a"]


def test_an_interrupt_while_the_lab_is_mended_ends_the_campaign(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    stage.acts["mend"] = KeyboardInterrupt()
    played = stage.play(turn("a"), turn("b"))
    assert (names(played), played.was_interrupted) == (["a"], True)


def test_a_lab_that_cannot_be_had_is_said_at_once(stage: Stage) -> None:
    stage.acts["open"] = LabProblem("the lab ha is in use: up, process 4711")
    with pytest.raises(LabProblem, match="in use: up, process 4711"):
        stage.play(turn("a"))


def test_a_full_disk_ends_the_campaign_heals_and_keeps_what_was_learned(stage: Stage) -> None:
    stage.acts["play b"] = HostProblem("cannot write /r/timeline.jsonl: No space left on device")
    played = stage.play(turn("a"), turn("b"), turn("c"))
    assert stage.did[-1] == "heal"
    assert names(played) == ["a", "b"]
    assert played.ended_by is stage.acts["play b"]
    assert [str(each) for each in played.left] == ["c"]


def test_a_disk_that_is_full_before_the_first_run_is_named_as_what_it_is(stage: Stage) -> None:
    stage.acts["prepare a"] = OSError(28, "No space left on device", "/r")
    with pytest.raises(HostProblem, match="no space left on device: /r") as caught:
        stage.play(turn("a"))
    assert caught.value.hint == "is the disk full?"


def test_an_engine_that_is_dead_when_the_lab_is_rebuilt_ends_the_campaign(stage: Stage) -> None:
    stage.damages["a"] = stage.lacking["a"] = "everything"
    stage.acts["rebuild"] = HostProblem("no docker engine answers")
    played = stage.play(turn("a"), turn("b"))
    assert played.ended_by is stage.acts["rebuild"]
    assert (names(played), played.why_left) == (["a"], "no docker engine answers")


def test_a_seed_decides_the_order_and_names_that_are_given_keep_theirs() -> None:
    scripts = [script(name) for name in "abcdefgh"]
    order = [each.script.name for each in planned_runs(scripts, 1, shuffled=True)]
    assert order == [each.script.name for each in planned_runs(scripts, 1, shuffled=True)]
    assert order != [each.script.name for each in planned_runs(scripts, 2, shuffled=True)]
    assert sorted(order) == list("abcdefgh")
    assert [each.script.name for each in planned_runs(scripts, 1)] == list("abcdefgh")


def test_each_round_of_a_repeat_has_a_seed_and_an_order_of_its_own() -> None:
    scripts = [script(name) for name in "abcdefgh"]
    planned = planned_runs(scripts, SEED, repeat=3, shuffled=True)
    rounds = [planned[start : start + 8] for start in (0, 8, 16)]
    assert [{each.seed for each in one} for one in rounds] == [{42}, {43}, {44}]
    assert len({tuple(each.script.name for each in one) for one in rounds}) == 3


def test_the_announcement_names_count_time_seed_and_order() -> None:
    said = announcement([turn("b"), turn("a")], SEED, 1.0)
    assert said.startswith("2 runs, at most ")
    assert said.endswith(", seed 42, in this order: b, a")


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "1 min"), (61, "2 min"), (3600, "1 h 0 min"), (7260, "2 h 1 min")]
)
def test_a_limit_is_never_said_to_be_less_than_it_is(seconds: float, words: str) -> None:
    assert minutes(seconds) == words


def test_several_runs_are_one_campaign_with_repairs_and_what_was_not_run(stage: Stage) -> None:
    stage.damages["a"] = "cp2 does not run"
    stage.acts["play b"] = KeyboardInterrupt()
    played = stage.play(turn("a"), turn("b"), turn("c"))
    campaign = played.campaign
    assert (campaign.name, campaign.seed, campaign.order) == ("3 scenarios", SEED, ["a", "b", "c"])
    assert [result.scenario for _, result in campaign.runs] == ["a", "b"]
    assert campaign.repairs == ["after a: started cp2 (cp2 does not run)"]
    assert [(each.name, each.why) for each in campaign.not_run] == [("c", "interrupted")]


def test_the_report_of_all_is_json_too(stage: Stage) -> None:
    played = stage.play(turn("a"), turn("a", seed=43))
    page = merge(stage.place, played)
    assert page.is_file()
    assert page.parent.name.endswith("-campaign")
    said = json.loads((page.parent / overview.JSON).read_text())
    assert (said["name"], said["totals"]["pass"]) == ("1 scenario, 2 times each", 2)


def test_a_single_run_has_a_report_of_its_own_and_no_other(stage: Stage) -> None:
    assert not stage.play(turn("a")).has_several
    assert stage.play(turn("a"), turn("b")).has_several
