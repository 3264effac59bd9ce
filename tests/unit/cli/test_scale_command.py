"""`halab scale`: what it says, what it warns of, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.fakes import brought_up, lab_of

from halab import doctor
from halab.cli import main
from halab.cluster.steady import Observation
from halab.config.lab_size import LabSize
from halab.doctor.check import Subject
from halab.lifecycle import scale
from halab.lifecycle.rescale import Rescaled
from halab.lifecycle.scale import ScaleResult

Shown = pytest.CaptureFixture[str]


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """A lab that is up and can have every size; the machines for which the host was checked."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("name: ha\nprovider: docker\n")
    (brought_up(tmp_path).path / "kubeconfig").write_text("x")
    seen: list[list[str]] = []

    def require(lab_dir: Any) -> list[Any]:
        seen.append([machine.name for machine in Subject(lab_dir).new_machines])
        return []

    @contextmanager
    def explained(lab_dir: Any) -> Iterator[None]:
        yield

    def scaled(lab_dir: Any, size: LabSize, progress: Any) -> ScaleResult:
        lab = lab_of(name="ha", control_planes=size.control_planes, workers=size.workers)
        added = tuple(machine.name for machine in lab.machines if machine.name in ("cp4", "cp5"))
        return ScaleResult(Rescaled(lab, added, ()), Observation(leaders={"etcd": "cp1"}))

    monkeypatch.setattr(doctor, "require", require)
    monkeypatch.setattr(doctor, "explained", explained)
    monkeypatch.setattr(scale, "scale", scaled)
    return seen


def test_the_host_is_checked_for_the_new_machines(examined: list[list[str]], capsys: Shown) -> None:
    assert main(["scale", "control_planes=5"]) == 0
    assert examined == [["cp4", "cp5"]]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "the lab ha is steady with control_planes=5 workers=0; added cp4, cp5" in shown.err


def test_a_smaller_lab_needs_no_check_of_the_host(examined: list[list[str]], capsys: Shown) -> None:
    assert main(["scale", "control_planes=2"]) == 0
    assert examined == []
    shown = capsys.readouterr().err
    assert "warning: control_planes: 2: etcd needs 2 of 2 members" in shown


def test_programs_read_the_result(examined: list[list[str]], capsys: Shown) -> None:
    assert main(["scale", "control_planes=5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "lab": "ha", "control_planes": 5, "workers": 0, "added": ["cp4", "cp5"], "removed": [],
        "leaders": {"etcd": "cp1"},
    }  # fmt: skip


@pytest.mark.parametrize("words", [[], ["control_planes=0"], ["control_planes=7"], ["cp=5"]])
def test_a_wrong_size_is_a_usage_error(words: list[str], examined: list[list[str]], capsys: Shown) -> None:
    assert main(["scale", *words]) == 2
    assert "error: " in capsys.readouterr().err


def test_a_lab_that_is_not_up_is_not_scaled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("name: ha\n")
    assert main(["scale", "workers=1"]) == 3
    assert "the lab ha is not up" in capsys.readouterr().err
