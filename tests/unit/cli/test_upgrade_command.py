"""`halab upgrade`: what it says, and its exit codes."""

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
from halab.config.kubernetes import Release
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, upgrade
from halab.lifecycle.lab import open_file
from halab.lifecycle.upgrade import UpgradeResult
from halab.lifecycle.upgrader import MachineUpgrade
from halab.lifecycle.version_change import VersionChange

Shown = pytest.CaptureFixture[str]
TOOK = (MachineUpgrade("cp1", {"kubeadm": 61.26, "kubelet": 3.0}), MachineUpgrade("cp2", {"kubeadm": 40.0}))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A lab of 1.36 that is up; the versions to which it was upgraded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("name: ha\nprovider: docker\nkubernetes: {version: '1.36.5'}\n")
    work = brought_up(tmp_path)
    work.kubeconfig.write_text("x")
    lab_dir = open_file(tmp_path / "lab.yml")
    work.write(machine_info.record(work, labs.allocated(lab_dir)))
    seen: list[str] = []

    @contextmanager
    def explained(lab_dir: Any) -> Iterator[None]:
        yield

    def upgraded(lab_dir: Any, release: Release, progress: Any) -> UpgradeResult:
        seen.append(release.kubernetes)
        change = VersionChange(lab_of(name="ha"), "1.36.5", TOOK)
        return UpgradeResult(change, Observation(leaders={"etcd": "cp1"}))

    monkeypatch.setattr(doctor, "explained", explained)
    monkeypatch.setattr(upgrade, "upgrade", upgraded)
    return seen


def test_the_time_of_each_machine_is_shown(asked: list[str], capsys: Shown) -> None:
    assert main(["upgrade", "1.37"]) == 0
    assert asked == ["1.37.2"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "cp1: 64s (kubeadm 61s, kubelet 3s)",
        "cp2: 40s (kubeadm 40s)",
        "the lab ha is steady with Kubernetes 1.37.2; before, it had 1.36.5",
    ]


def test_programs_read_the_result(asked: list[str], capsys: Shown) -> None:
    assert main(["upgrade", "1.37.1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "lab": "ha",
        "before": "1.36.5",
        "kubernetes": "1.37.1",
        "machines": [
            {"name": "cp1", "seconds": {"kubeadm": 61.3, "kubelet": 3.0}},
            {"name": "cp2", "seconds": {"kubeadm": 40.0}},
        ],
        "leaders": {"etcd": "cp1"},
    }


@pytest.mark.parametrize("words", [[], ["1.36.5"], ["1.35"], ["newest"], ["1.99"]])
def test_a_wrong_version_is_a_usage_error(words: list[str], asked: list[str], capsys: Shown) -> None:
    assert main(["upgrade", *words]) == 2
    assert "error: " in capsys.readouterr().err
    assert asked == []


def test_a_lab_that_is_not_up_is_not_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("name: ha\n")
    assert main(["upgrade", "1.37"]) == 3
    assert "the lab ha is not up" in capsys.readouterr().err
