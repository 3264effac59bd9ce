"""`halab history`: which runs it reads, what it prints, and its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.recorded_runs import copy_run

from halab.cli import main
from halab.report.render import render

Shown = pytest.CaptureFixture[str]


def finished(name: str, to: Path) -> Path:
    run = copy_run(name, to)
    render(run)
    return run.path


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab with one run."""
    folder = tmp_path / "lab"
    runs = folder / ".halab/runs"
    runs.mkdir(parents=True)
    monkeypatch.chdir(folder)
    (folder / "lab.yml").write_text("name: mine\n")
    finished("stop-apiserver-nginx", runs / "1-stop-apiserver")
    return folder


def test_the_scenarios_with_runs_are_listed(capsys: Shown) -> None:
    assert main(["history"]) == 0
    shown = capsys.readouterr()
    assert [line.split()[:2] for line in shown.out.splitlines()] == [
        ["SCENARIO", "RUNS"],
        ["stop-apiserver", "1"],
    ]
    assert "read the recorded runs (1)" in shown.err and ": 1 new" in shown.err
    assert main(["history", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry["scenario"] == "stop-apiserver" and entry["passed"] == 1


@pytest.mark.parametrize("name", ["stop-apiserver", "./stop-apiserver.yml"])
def test_a_scenario_is_shown(name: str, capsys: Shown) -> None:
    assert main(["history", name]) == 0
    shown = capsys.readouterr().out
    assert "behind nginx on docker, Kubernetes 1." in shown and "steady within" in shown
    assert main(["history", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scenario"] == "stop-apiserver"


def test_the_drawings_are_written_to_a_file_with_links_to_the_runs(lab: Path, capsys: Shown) -> None:
    assert main(["history", "stop-apiserver", "--page", "drawn.html"]) == 0
    assert "drawings: drawn.html" in capsys.readouterr().err
    assert 'href=".halab/runs/1-stop-apiserver/report.html"' in (lab / "drawn.html").read_text()


def test_runs_of_matrices_and_comparisons_beside_the_lab_count(lab: Path, capsys: Shown) -> None:
    for folder, name in (("matrix/labs/haproxy", "record.json"), ("comparison/haproxy", "comparison.json")):
        runs = lab / folder / ".halab/runs"
        runs.mkdir(parents=True)
        (lab / folder.partition("/")[0] / name).write_text("{}")
    finished("stop-apiserver-haproxy", lab / "matrix/labs/haproxy/.halab/runs/1-stop-apiserver")
    # a folder that is neither
    finished("stop-apiserver-haproxy", lab / "other/.halab/runs/1-stop-apiserver")
    assert main(["history", "stop-apiserver"]) == 0
    shown = capsys.readouterr()
    assert "behind haproxy" in shown.out and "behind nginx" in shown.out
    assert "(2)" in shown.err


def test_runs_in_other_folders_can_be_added(lab: Path, tmp_path: Path, capsys: Shown) -> None:
    finished("stop-apiserver-haproxy", tmp_path / "other/1-stop-apiserver")
    shutil.rmtree(lab / ".halab")
    assert main(["history", "stop-apiserver", "--add", "../other"]) == 0
    assert "behind haproxy" in capsys.readouterr().out
    # and they stay
    shutil.rmtree(tmp_path / "other")
    assert main(["history", "stop-apiserver"]) == 0
    assert "behind haproxy" in capsys.readouterr().out


def test_runs_of_a_losing_twin_are_asked_for(lab: Path, capsys: Shown) -> None:
    meta = lab / ".halab/runs/1-stop-apiserver/meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"is_twin": True}))
    assert main(["history"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["history", "stop-apiserver", "--twin"]) == 0
    assert "stop-apiserver (its losing twin)" in capsys.readouterr().out


def test_a_lab_without_runs_has_none(lab: Path, capsys: Shown) -> None:
    shutil.rmtree(lab / ".halab")
    assert main(["history"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and "no recorded runs" in shown.err
    assert not (lab / ".halab").exists()


def test_runs_that_do_not_count_are_named(lab: Path, capsys: Shown) -> None:
    runs = lab / ".halab/runs"
    copy_run("stop-apiserver-haproxy", runs / "2-running")
    finished("stop-apiserver-haproxy", runs / "3-broken")
    (runs / "3-broken/meta.json").write_text("{")
    assert main(["history"]) == 3
    shown = capsys.readouterr()
    assert "stop-apiserver" in shown.out
    assert "runs that do not count: not finished (1)" in shown.err
    assert "cannot be judged: " in shown.err and "3-broken" in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["stop-apiservers"], "no recorded run of stop-apiservers; did you mean stop-apiserver?"),
        (["stop-apiserver", "--twin"], "no recorded run of stop-apiserver of its losing twin"),
        (["--page", "x.html"], "--page needs a scenario"),
        (["--add", "gone"], "no such folder: gone"),
        (["--add", "empty"], "no recorded runs in empty"),
        (["-f", "gone.yml"], "gone.yml"),
    ],
)
def test_bad_input_is_an_error(words: list[str], said: str, lab: Path, capsys: Shown) -> None:
    (lab / "empty").mkdir()
    assert main(["history", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_broken_history_is_one_line_and_a_hint(lab: Path, capsys: Shown) -> None:
    file = lab / ".halab/runs/history.sqlite"
    file.write_text("no database, but long enough for the header of one" * 50)
    assert main(["history"]) == 3
    error = capsys.readouterr().err
    assert f"error: cannot read the history: {file}: file is not a database\n" in error
    assert "Traceback" not in error
    file.unlink()
    assert main(["history"]) == 0


def test_a_page_that_cannot_be_written_is_an_error(capsys: Shown) -> None:
    assert main(["history", "stop-apiserver", "--page", "gone/drawn.html"]) == 3
    error = capsys.readouterr().err
    assert "cannot write gone/drawn.html: No such file or directory" in error
    assert "hint: check whether its folder exists" in error
