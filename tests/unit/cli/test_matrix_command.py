"""`halab matrix`: what is planned and played, and how the same command continues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.matrix_builder import TWO, write_matrix

from halab.cli import main

Shown = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_matrix(tmp_path, TWO)
    return tmp_path


def test_a_plan_shows_the_cells_and_the_time(capsys: Shown, folder: Path) -> None:
    assert main(["matrix", "plan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["LAB", "SCENARIO", "RUNS", "DONE", "EACH", "TAKES", "FROM"]
    assert lines[1].split()[:5] == ["haproxy", "stop-apiserver", "1", "0", "up"]
    assert lines[-1].startswith("2 labs, 4 cells: 4 of 4 runs to play, 2 labs to build. Time: up to ")
    assert not (folder / "matrix").exists()


def test_a_plan_can_be_read_by_programs(capsys: Shown) -> None:
    assert main(["matrix", "plan", "matrix.yml", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["axes"] == {"load_balancer.kind": ["haproxy", "nginx"]}
    assert [(cell["lab"], cell["scenario"]) for cell in data["cells"]][1] == ("haproxy", "kill-etcd-member")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["plan", "gone.yml"], "no such file: gone.yml"),
        (["plan", "matrix"], "the name of a matrix file needs an ending, such as matrix.yml"),
    ],
)
def test_a_wrong_name_is_refused(words: list[str], said: str, capsys: Shown) -> None:
    assert main(["matrix", *words]) == 2
    assert said in capsys.readouterr().err
