"""Settings that must not change while a lab is up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import NETWORK

from halab.config.lab import LabFile, ProviderKind
from halab.errors import LabProblem
from halab.lifecycle import machine_info
from halab.lifecycle.lab import LabDir
from halab.machines.work import Work
from halab.topology.lab import Lab, plan


def lab(**written: Any) -> Lab:
    return plan(LabFile.model_validate(written), network=NETWORK, provider=ProviderKind.DOCKER)


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    work = Work(tmp_path / ".halab")
    work.make()
    work.write(machine_info.record(work, lab()))
    return LabDir(tmp_path / "lab.yml", LabFile(), work)


def test_the_same_lab_with_more_machines_is_accepted(lab_dir: LabDir) -> None:
    machine_info.require_same(lab_dir.file, lab_dir.work, lab())
    machine_info.require_same(lab_dir.file, lab_dir.work, lab(workers=2))


def test_other_settings_of_the_load_balancer_are_accepted(lab_dir: LabDir) -> None:
    machine_info.require_same(lab_dir.file, lab_dir.work, lab(load_balancer={"check": "tls", "fall": 5}))


def test_a_lab_without_a_record_is_accepted(lab_dir: LabDir) -> None:
    (lab_dir.work.path / "made.json").unlink()
    machine_info.require_same(lab_dir.file, lab_dir.work, lab(control_planes=5))


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({"control_planes": 1}, "cp3 is missing from the file"),
        (
            {"machines": {"cp": {"cpus": 4}}},
            "cp1 is 2 CPUs and 2048 MiB in the lab and 4 CPUs and 2048 MiB in the file",
        ),
        (
            {"load_balancer": {"port": 7443}},
            "port of the load balancer is 6443 in the lab and 7443 in the file",
        ),
        ({"kubernetes": {"version": "1.36.1"}}, "Kubernetes is 1.37.2 in the lab and 1.36.1 in the file"),
    ],
)
def test_the_error_for_a_changed_lab_names_the_changes(
    lab_dir: LabDir, written: dict[str, Any], what: str
) -> None:
    with pytest.raises(LabProblem) as caught:
        machine_info.require_same(lab_dir.file, lab_dir.work, lab(**written))
    assert what in caught.value.message
    assert "halab down" in (caught.value.hint or "")
