"""`halab bounds`: which runs it reads, what it prints, and its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click
import pytest
from support.recorded_runs import copy_run

from halab.cli import main
from halab.cli.bounds import bounds_command
from halab.report.promise_bounds import FEW, Standing

Shown = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab with one run, and the scenario of the run as a file of the user's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("name: mine\n")
    runs = tmp_path / ".halab/runs"
    runs.mkdir(parents=True)
    played = copy_run("stop-apiserver-nginx", runs / "1-stop-apiserver")
    # the scenario of the run, with checks that are not here
    lines = played.scenario.read_text().splitlines()
    own = [line for line in lines if not line.startswith("checks:")]
    (tmp_path / "stop-apiserver.yml").write_text("\n".join(own))
    return tmp_path


def test_the_runs_of_the_lab_are_shown(capsys: Shown) -> None:
    assert main(["bounds"]) == 0
    shown = capsys.readouterr()
    assert "stop-apiserver behind nginx on docker" in shown.out
    assert "no runs: " in shown.out and "kill-etcd-member" in shown.out
    assert "judge the recorded runs (1)" in shown.err


def test_a_scenario_is_named_by_its_file(capsys: Shown) -> None:
    assert main(["bounds", "--scenario", "./stop-apiserver.yml"]) == 0
    shown = capsys.readouterr().out
    assert ": 1 run\n" in shown and "of 10 runs" in shown and "no runs" not in shown


def test_only_one_scenario_is_shown(capsys: Shown) -> None:
    assert main(["bounds", ".halab/runs", "--scenario", "kill-etcd-member"]) == 0
    assert capsys.readouterr().out.startswith("no runs: kill-etcd-member\n")


def test_only_some_promises_are_shown(capsys: Shown) -> None:
    assert main(["bounds", "--only", "broken"]) == 0
    assert "behind nginx" not in capsys.readouterr().out


def test_json_and_comments_are_for_other_programs_and_files(capsys: Shown) -> None:
    assert main(["bounds", "--json", "--by-minor", "--scenario", "./stop-apiserver.yml"]) == 0
    (bounds,) = json.loads(capsys.readouterr().out)["scenarios"]
    assert bounds["scenario"] == "stop-apiserver" and bounds["runs"] == 1
    assert main(["bounds", "--comments", "--scenario", "./stop-apiserver.yml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "stop-apiserver" and lines[1].startswith(
        "# Measured behind nginx on docker, Kubernetes 1."
    )


def test_the_figures_are_written_into_the_comment_of_a_scenario_file(lab: Path, capsys: Shown) -> None:
    file = lab / "stop-apiserver.yml"
    file.chmod(0o644)
    before = file.read_text()
    command = ["bounds", "--scenario", "./stop-apiserver.yml", "--write"]
    assert main(command) == 0
    assert "written: stop-apiserver.yml" in capsys.readouterr().err
    comment, _, rest = file.read_text().partition("\ntitle:")
    assert "# Measured behind nginx on docker, Kubernetes 1." in comment and "recovery: " in comment
    assert rest == f"\n{before}".partition("\ntitle:")[2]
    assert file.stat().st_mode & 0o777 == 0o644
    assert main(command) == 0
    assert "unchanged: stop-apiserver.yml" in capsys.readouterr().err


def test_a_file_without_a_place_for_the_comment_is_refused(lab: Path, capsys: Shown) -> None:
    file = lab / "stop-apiserver.yml"
    file.write_text(file.read_text().replace("title:", "'title':", 1))
    assert main(["bounds", "--scenario", "./stop-apiserver.yml", "--write"]) == 2
    said = capsys.readouterr().err
    assert "cannot write the figures into stop-apiserver.yml: no line begins with `title:`" in said


def test_runs_that_do_not_count_are_named(lab: Path, capsys: Shown) -> None:
    copy_run("stop-apiserver-nginx", lab / ".halab/runs/2-copy")
    (lab / ".halab/runs/1-stop-apiserver/meta.json").write_text("{")
    copy_run("stop-apiserver-nginx", lab / ".halab/runs/3-copy")
    assert main(["bounds"]) == 3
    shown = capsys.readouterr()
    assert "stop-apiserver behind nginx" in shown.out
    assert "runs that do not count: copies (1)" in shown.err
    assert "cannot be judged: " in shown.err and "1-stop-apiserver" in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone"], "no such folder: gone"),
        (["--scenario", "stop-apiservers"], "no such scenario: stop-apiservers; did you mean"),
        (["--json", "--comments"], "use only one of --comments, --write, --json"),
        (["--write"], "--write needs scenario files"),
        (["--write", "--scenario", "stop-apiserver"], "not the path of a scenario file: stop-apiserver"),
        (["--only", "slack"], "is not one of"),
        (["-f", "gone.yml"], "gone.yml"),
    ],
)
def test_bad_input_is_an_error(words: list[str], said: str, capsys: Shown) -> None:
    assert main(["bounds", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_lab_without_runs_is_an_error(lab: Path, capsys: Shown) -> None:
    shutil.rmtree(lab / ".halab/runs")
    assert main(["bounds"]) == 2
    assert "error: this lab has no recorded runs" in capsys.readouterr().err


def test_the_option_knows_all_standings() -> None:
    (option,) = [parameter for parameter in bounds_command.params if parameter.name == "standings"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == [*map(str, Standing), FEW]
