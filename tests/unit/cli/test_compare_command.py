"""`halab compare`: which labs it builds, what it does if one fails, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.stage import Stage

from halab.cli import main
from halab.errors import HostProblem

Shown = pytest.CaptureFixture[str]
NAMES = ["stop-apiserver", "kill-etcd-member"]
COMMAND = ["compare", "--set", "load_balancer.kind=haproxy,nginx", *NAMES, "--repeat", "2", "--seed", "7"]


@pytest.fixture(autouse=True)
def lab_file(tmp_path: Path, stage: Stage) -> None:
    (tmp_path / "lab.yml").write_text("name: mine\n")


def did(stage: Stage) -> list[str]:
    return [line for line in stage.did if line not in ("open", "heal")]


def test_each_lab_runs_the_same_scenarios_with_the_same_seeds(stage: Stage, tmp_path: Path) -> None:
    assert main(COMMAND) == 0
    runs = [f"play {name} {seed}" for seed in (7, 8) for name in NAMES]
    assert did(stage) == ["up", *runs, "down", "up", *runs, "down"]
    assert (tmp_path / "comparison/comparison.html").exists()


def test_the_report_is_printed_as_a_table_or_as_json(stage: Stage, capsys: Shown) -> None:
    assert main(COMMAND) == 0
    shown = capsys.readouterr()
    assert "vs haproxy" in shown.out and "2 of 2" in shown.out
    assert "report: comparison/comparison.html" in shown.err
    assert main([*COMMAND, "--json", "--in", "other"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [lab["name"] for lab in printed["labs"]] == ["haproxy", "nginx"]
    assert printed["figures"][0]["labs"][1]["passed"] == 2


@pytest.mark.parametrize(("repeat", "warns"), [("3", True), ("4", False)])
def test_too_few_runs_to_show_a_difference_are_a_warning_at_the_beginning(
    repeat: str, warns: bool, stage: Stage, capsys: Shown
) -> None:
    assert main([*COMMAND, "--repeat", repeat]) == 0
    shown = capsys.readouterr().err
    assert (
        "no difference can be shown with fewer than 4 runs on each lab: use --repeat 4" in shown
    ) is warns


@pytest.mark.parametrize(("verdict", "code"), [("fail", 1), ("error", 3), ("skip", 0)])
def test_the_exit_code_is_that_of_a_run(verdict: str, code: int, stage: Stage) -> None:
    stage.verdicts["stop-apiserver"] = verdict
    assert main(COMMAND) == code


def test_a_lab_that_does_not_come_up_is_reported_and_the_others_run(stage: Stage, capsys: Shown) -> None:
    stage.errors["up"] = HostProblem("no docker engine answers", hint="start docker")
    assert main(COMMAND) == 3
    assert did(stage) == ["up", "down", "up", "down"]
    shown = capsys.readouterr()
    assert "haproxy has no runs: no docker engine answers" in shown.out
    assert "start docker" in shown.err
    assert "build it with `halab up -f comparison/nginx/lab.yml`" in shown.err
    assert "--keep" not in shown.err


def test_an_interrupt_ends_the_comparison_with_a_report(stage: Stage, tmp_path: Path) -> None:
    stage.errors["play stop-apiserver"] = KeyboardInterrupt()
    assert main(COMMAND) == 130
    assert did(stage).count("up") == 1 and did(stage)[-1] == "down"
    assert (tmp_path / "comparison/comparison.json").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "workers=1", *NAMES], "workers needs two or more values"),
        (["--set", "load_balancer.kind=haproxy,apache", *NAMES], 'not "apache"'),
        (["--set", "workers=0,1", "stop-apiservers"], "no such scenario: stop-apiservers"),
        (["--set", "workers=0,1"], "no scenario selected"),
    ],
)
def test_bad_input_is_reported_before_anything_is_built(
    words: list[str], said: str, stage: Stage, capsys: Shown, tmp_path: Path
) -> None:
    assert main(["compare", *words]) == 2
    assert said in capsys.readouterr().err
    assert stage.did == [] and not (tmp_path / "comparison").exists()
