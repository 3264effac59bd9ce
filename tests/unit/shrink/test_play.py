"""What `halab shrink` begins with: a recorded run that failed, and the files of the result."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.simulated_run import CHECKS, Truth, simulate

from halab.config import loading, scenario_rules
from halab.config.scenario import Scenario
from halab.errors import BadUsage
from halab.faults.catalogue import FAULTS
from halab.scenario.record.folder import RunFolder
from halab.shrink.play import Start, start_of, write
from halab.shrink.session import Shrinking
from halab.trials.rule import Rule


def recorded(folder: Path, truth: Truth) -> str:
    simulate(truth).write(folder)
    checks = RunFolder(folder).check_files
    checks.mkdir()
    for name in (*CHECKS, "conftest"):
        (checks / f"{name}.py").write_text(f"# {name}\n")
    return str(folder)


def written(start: Start, folder: Path) -> Path:
    shrinking = Shrinking(
        start.candidate, start.promises, Rule(), 1, folder, lab="0" * 64, scenario="0" * 64
    )
    target = folder / "result.yml"
    write(shrinking, start.candidate, start.script, "the run", target)
    return target


def test_a_failed_run_has_its_scenario_its_seed_and_what_it_broke(tmp_path: Path) -> None:
    start = start_of(recorded(tmp_path / "run", Truth(lost=2)))
    assert start.promises[0] == "ledger: no acknowledged write is lost"
    assert start.script.scenario.title == "One API server is stopped"
    assert start.seed is not None
    assert "checks" not in start.candidate.content
    result = written(start, tmp_path / "small")
    assert loading.load(result, Scenario).injects[0].name == "stopped"
    assert not (tmp_path / "small/checks").exists()


def test_check_files_stay_if_one_of_them_failed(tmp_path: Path) -> None:
    start = start_of(recorded(tmp_path / "run", Truth(failed_checks=1)))
    assert any(promise.startswith("check: ") for promise in start.promises)
    result = written(start, tmp_path / "small")
    assert loading.load(result, Scenario).checks == tuple(f"checks/{name}.py" for name in CHECKS)
    assert all((tmp_path / f"small/checks/{name}.py").is_file() for name in CHECKS)
    assert (tmp_path / "small/checks/conftest.py").read_text() == "# conftest\n"


def test_a_run_that_passed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="the run did not fail"):
        start_of(recorded(tmp_path / "run", Truth()))


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="not the folder of a run"):
        start_of(str(tmp_path))


SCRIPTED = """
title: A script breaks the machine
teaches: Nothing yet.
steps:
  - inject: run-script
    name: broken
    on: cp1
    with: {script: ./break.sh, undo: "true"}
  - expect: {probe: ready-direct, on: broken, fails: within 9s}
recover: {steady: within 60s}
twin: {replace: {broken: nothing}}
"""


def test_the_files_of_options_are_copied_beside_the_result(tmp_path: Path) -> None:
    (tmp_path / "break.sh").write_text("kill 1\n")
    (tmp_path / "scripted.yml").write_text(SCRIPTED)
    result = written(start_of(str(tmp_path / "scripted.yml")), tmp_path / "small")
    assert scenario_rules.read(result, FAULTS).value.title == "A script breaks the machine"
    assert (tmp_path / "small/break.sh").read_text() == "kill 1\n"
