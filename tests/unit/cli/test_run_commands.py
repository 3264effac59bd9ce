"""`halab run` and `halab prove`: selection, output and exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.stage import TEXT, Stage, planned_run, script

from halab.campaign import play as playing
from halab.campaign.outcome import CampaignOutcome
from halab.cli import main
from halab.cli.verdicts import Proof, exit_code
from halab.errors import HostProblem
from halab.faults.journal import Entry, Journal
from halab.scenario.run import library
from halab.scenario.run.library import Script

Shown = pytest.CaptureFixture[str]
TAGS = {"kill-etcd": "[etcd]", "stop-apiserver": "[api, first]", "cut-power": "[power, first]"}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Three scenarios on a simulated lab."""
    staged = Stage(tmp_path)

    def find(name: str) -> Script:
        return script(name, f"tags: {TAGS[name]}\n" + TEXT)

    def play(*given: Any, **named: Any) -> CampaignOutcome:
        return real(*given, **named, deps=staged.deps)

    real = playing.play
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(library, "names", lambda: sorted(TAGS))
    monkeypatch.setattr(library, "find", find)
    monkeypatch.setattr(playing, "play", play)
    return staged


def run_names(stage: Stage) -> list[str]:
    return [line.split()[1] for line in stage.did if line.startswith("play ")]


def test_named_scenarios_run_in_the_given_order(stage: Stage, capsys: Shown) -> None:
    assert main(["run", "stop-apiserver", "kill-etcd", "--seed", "42"]) == 0
    assert run_names(stage) == ["stop-apiserver", "kill-etcd"]
    shown = capsys.readouterr()
    assert [line.split(":")[0] for line in shown.out.splitlines() if line.startswith("PASS ") and ":" in line] == [
        "PASS stop-apiserver", "PASS kill-etcd",
    ]  # fmt: skip
    assert "2 runs, up to about " in shown.err
    assert "seed 42, in this order: stop-apiserver, kill-etcd" in shown.err


def test_all_run_in_the_order_of_the_printed_seed(stage: Stage, capsys: Shown) -> None:
    assert main(["run", "--all", "--seed", "5"]) == 0
    first = run_names(stage)
    assert sorted(first) == sorted(TAGS)
    assert f"seed 5, in this order: {', '.join(first)}" in capsys.readouterr().err
    stage.did.clear()
    main(["run", "--all", "--seed", "5"])
    assert run_names(stage) == first


def test_tags_select_scenarios_with_any_of_them(stage: Stage) -> None:
    assert main(["run", "--tag", "first"]) == 0
    assert sorted(run_names(stage)) == ["cut-power", "stop-apiserver"]
    stage.did.clear()
    assert main(["run", "--tag", "power", "--tag", "etcd"]) == 0
    assert sorted(run_names(stage)) == ["cut-power", "kill-etcd"]


def test_repeat_runs_everything_again_with_the_next_seed(stage: Stage) -> None:
    assert main(["run", "kill-etcd", "--repeat", "3", "--seed", "42"]) == 0
    assert [line for line in stage.did if line.startswith("play")] == [
        "play kill-etcd 42", "play kill-etcd 43", "play kill-etcd 44",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no scenario selected"),
        (["kill-etcd", "--all"], "use only one of these: names of scenarios, --all"),
        (["--all", "--tag", "etcd"], "use only one of these: --all, --tag"),
        (["--tag", "frist"], "no scenario has the tag frist"),
        (["kill-etcd", "--repeat", "0"], "--repeat"),
        (["kill-etcd", "--seed", "x"], "--seed"),
    ],
)
def test_contradicting_arguments_are_a_usage_error(
    words: list[str], message: str, stage: Stage, capsys: Shown
) -> None:
    assert main(["run", *words]) == 2
    assert message in capsys.readouterr().err
    assert stage.did == []


def test_a_missing_file_is_an_error_before_the_lab_is_contacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--all"]) == 2
    assert "no such lab file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["pass", "pass"], 0),
        (["pass", "skip"], 0),
        (["pass", "fail"], 1),
        (["fail", "error"], 3),
        (["skip", "skip"], 3),
        ([], 3),
    ],
)
def test_several_verdicts_give_one_exit_code(verdicts: list[str], code: int) -> None:
    assert exit_code(verdicts) == code


def test_an_interrupt_wins_over_an_error(stage: Stage, capsys: Shown) -> None:
    stage.verdicts["kill-etcd"] = "error"
    stage.errors["play stop-apiserver"] = KeyboardInterrupt()
    assert main(["run", "kill-etcd", "stop-apiserver"]) == 130
    shown = capsys.readouterr()
    assert "PASS stop-apiserver" in shown.out
    assert shown.err.endswith("halab: interrupted\n")


def test_an_interrupt_wins_over_an_unwritable_campaign_report(
    stage: Stage, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device", "/runs")

    monkeypatch.setattr("halab.campaign.outcome.write_overview", full)
    assert main(["run", "kill-etcd", "stop-apiserver"]) == 3
    assert "error: no space left on device: /runs" in capsys.readouterr().err
    stage.errors["play stop-apiserver"] = KeyboardInterrupt()
    assert main(["run", "kill-etcd", "stop-apiserver"]) == 130


def test_an_interrupted_run_prints_its_open_faults(stage: Stage, capsys: Shown) -> None:
    Journal(stage.lab_dir.work.journal).opened(Entry("1", "cut-power", "cp2"))
    stage.errors["play kill-etcd"] = KeyboardInterrupt()
    assert main(["run", "kill-etcd"]) == 130
    message = "a fault is open: cut-power on cp2 (heal it with `halab heal`)\nhalab: interrupted\n"
    assert capsys.readouterr().err.endswith(message)


def test_the_error_that_ended_a_campaign_is_shown_after_its_results(stage: Stage, capsys: Shown) -> None:
    stage.verdicts["kill-etcd"] = "fail"
    stage.errors["play stop-apiserver"] = HostProblem("no docker engine answers", hint="start docker")
    assert main(["run", "kill-etcd", "stop-apiserver"]) == 3
    shown = capsys.readouterr()
    assert "FAIL kill-etcd" in shown.out
    assert shown.err.endswith("error: no docker engine answers\n\nhint: start docker\n")


def test_results_can_be_printed_as_json(stage: Stage, capsys: Shown) -> None:
    stage.verdicts["kill-etcd"] = "fail"
    assert main(["run", "kill-etcd", "stop-apiserver", "--json"]) == 1
    results = json.loads(capsys.readouterr().out)
    assert {result["scenario"]: result["verdict"] for result in results} == {
        "kill-etcd": "fail",
        "stop-apiserver": "pass",
    }


def test_a_failed_twin_is_a_failed_run(stage: Stage) -> None:
    stage.verdicts["kill-etcd"] = "fail"
    assert main(["run", "kill-etcd", "--twin", "--seed", "1"]) == 1
    assert "play kill-etcd twin 1" in stage.did


def test_a_proof_succeeds_if_the_twin_fails_and_prints_the_reason(stage: Stage, capsys: Shown) -> None:
    stage.verdicts["kill-etcd"] = "fail"
    assert main(["prove", "kill-etcd", "--seed", "1"]) == 0
    assert stage.did[1] == "play kill-etcd twin 1"
    assert capsys.readouterr().out == (
        "✓ kill-etcd: its twin must fail, and it did\n    ready-direct on stopped fails within 10s: it answered\n"
    )


@pytest.mark.parametrize("verdict", ["pass", "error"])
def test_a_twin_with_another_verdict_is_no_proof(verdict: str, stage: Stage, capsys: Shown) -> None:
    stage.verdicts = {"kill-etcd": verdict, "stop-apiserver": "fail"}
    assert main(["prove", "kill-etcd", "stop-apiserver"]) == {"pass": 1, "error": 3}[verdict]
    outcome = {"pass": "passed", "error": "ended in an error"}[verdict]
    assert f"✗ kill-etcd: its twin must fail, and it {outcome}" in capsys.readouterr().out


def test_a_skipped_twin_proves_nothing(stage: Stage, capsys: Shown) -> None:
    stage.verdicts = {"kill-etcd": "skip", "stop-apiserver": "fail"}
    assert main(["prove", "kill-etcd", "stop-apiserver"]) == 0
    assert main(["prove", "kill-etcd"]) == 3
    assert (
        "- kill-etcd: its twin must fail, and it was skipped\n    because of kill-etcd"
        in capsys.readouterr().out
    )


def test_an_interrupted_proof_is_130(stage: Stage) -> None:
    stage.errors["play kill-etcd"] = KeyboardInterrupt()
    assert main(["prove", "kill-etcd"]) == 130


def test_proofs_can_be_printed_as_json(stage: Stage, capsys: Shown) -> None:
    stage.verdicts["kill-etcd"] = "fail"
    assert main(["prove", "kill-etcd", "--json", "--seed", "9"]) == 0
    [proof] = json.loads(capsys.readouterr().out)
    assert (proof["scenario"], proof["holds"], proof["promised"], proof["verdict"], proof["seed"]) == (
        "kill-etcd", True, "fail", "fail", 9,
    )  # fmt: skip
    assert proof["reasons"] == ["ready-direct on stopped fails within 10s: it answered"]


def test_only_the_first_reasons_are_printed(tmp_path: Path) -> None:
    from dataclasses import replace

    stage = Stage(tmp_path, verdicts={"a": "fail"})
    [run] = stage.play(planned_run("a", twin=True)).runs
    many = replace(run, result=replace(run.result, outcomes=run.result.outcomes * 5))
    assert Proof(many).text().splitlines()[-1] == "    and 2 more"
