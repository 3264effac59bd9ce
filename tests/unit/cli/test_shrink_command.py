"""`halab shrink`: from a scenario or a run to a smaller file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.run_builder import META
from support.stage import Stage

from halab.campaign import play as playing
from halab.cli import main
from halab.config import scenario_rules
from halab.faults.catalogue import FAULTS

Shown = pytest.CaptureFixture[str]
SCENARIO = """
title: Two machines freeze
teaches: One of them matters.
needs: {control_planes: 3}
steps:
  - {inject: freeze, name: one, on: cp1}
  - expect: {probe: ready-direct, on: one, fails: within 60s}
  - wait: 8s
  - heal: one
  - {inject: freeze, name: two, on: cp2}
  - expect: {probe: ready-direct, on: two, fails: within 60s}
recover: {steady: within 8m}
twin: {replace: {one: nothing}, verdict: fail}
"""


@pytest.fixture
def lab(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A lab on which every scenario with the fault `two` fails."""
    Path("lab.yml").write_text("name: mine\n")
    Path("freeze.yml").write_text(SCENARIO)
    real = playing.play

    def play(lab_dir: Any, planned: Any, *given: Any, **named: Any) -> Any:
        faults = {step.name for step in planned[0].script.scenario.injects}
        stage.verdicts["freeze"] = "fail" if "two" in faults else "pass"
        return real(lab_dir, planned, *given, **named)

    monkeypatch.setattr(playing, "play", play)
    return stage


def test_a_scenario_becomes_a_smaller_file(lab: Stage, capsys: Shown) -> None:
    assert main(["shrink", "./freeze.yml", "--seed", "7"]) == 0
    result = Path("shrink-freeze/freeze.yml")
    scenario = scenario_rules.read(result, FAULTS).value
    assert [step.name for step in scenario.injects] == ["two"]
    assert len(scenario.steps) == 2
    shown = capsys.readouterr()
    assert shown.out == result.read_text() + "\n"
    comment = [line for line in shown.out.splitlines() if line.startswith("#")]
    assert comment[0] == "# Made by `halab shrink ./freeze.yml`; play it with --seed 7."
    assert comment[1] == "# 1 of 2 faults, 2 of 6 steps: it failed in this way in 1 of 1 run."
    assert comment[-1] == "#   expectation: ready-direct on stopped fails within 10s"
    assert set(lab.opened_with) == {7}


def test_json_has_the_figures(lab: Stage, capsys: Shown) -> None:
    assert main(["shrink", "./freeze.yml", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["faults"], found["faults_before"], found["steps"], found["steps_before"]) == (1, 2, 2, 6)
    assert found["runs"] >= found["scenarios"] > 1


def test_the_same_command_goes_on_after_an_interrupt(lab: Stage, capsys: Shown) -> None:
    # an interrupted run is no answer: as an error, the second one would end the tries of the scenario
    for _ in range(2):
        lab.errors["play freeze"] = KeyboardInterrupt()
        assert main(["shrink", "./freeze.yml"]) == 130
        assert "the same command goes on from here" in capsys.readouterr().err
    lab.errors.clear()
    assert main(["shrink", "./freeze.yml", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert main(["shrink", "./freeze.yml"]) == 0
    assert f"go on with shrink-freeze/shrink.jsonl: {runs} runs so far" in capsys.readouterr().err


def test_a_scenario_that_does_not_fail_gives_no_file(stage: Stage, capsys: Shown) -> None:
    Path("lab.yml").write_text("name: mine\n")
    Path("freeze.yml").write_text(SCENARIO)
    assert main(["shrink", "./freeze.yml", "--repeat", "2"]) == 3
    assert "did not fail often enough: it failed in this way in 0 of 2 runs" in capsys.readouterr().err
    assert not Path("shrink-freeze/freeze.yml").exists()
    assert main(["shrink", "./freeze.yml", "--repeat", "2", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["file"] is None


def test_an_error_of_the_lab_ends_the_search(lab: Stage, capsys: Shown) -> None:
    from halab.errors import LabProblem

    lab.errors["open"] = LabProblem("the lab is not up")
    assert main(["shrink", "./freeze.yml"]) == 3
    assert "the lab is not up" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("is_twin", "what"), [(True, "a losing twin fails by design"), (False, "the run did not fail")]
)
def test_a_run_without_a_failure_is_refused(is_twin: bool, what: str, stage: Stage, capsys: Shown) -> None:
    from dataclasses import replace

    Path("lab.yml").write_text("name: mine\n")
    folder = stage.prepare("freeze")
    folder.meta.write_text(replace(META, is_twin=is_twin).to_json())
    assert main(["shrink", str(folder.path)]) == 2
    assert what in capsys.readouterr().err
