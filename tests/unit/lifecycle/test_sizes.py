"""The present size of a lab: all commands see it, and a changed file is not ignored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.fakes import brought_up, lab_of

from halab.config.lab_size import LabSize
from halab.doctor.check import Subject
from halab.errors import LabProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, workfiles
from halab.lifecycle.lab import LabDir, Unfinished, open_file
from halab.lifecycle.status import read_status
from halab.machines.host import allocation
from halab.machines.host.allocation import Scaled

THREE, FIVE = LabSize(3, 0), LabSize(5, 0)


def lab_dir(folder: Path, text: str = "name: ha\n") -> LabDir:
    (folder / "lab.yml").write_text(text)
    if not (folder / ".halab").exists():
        brought_up(folder)
    return open_file(folder / "lab.yml")


def scaled(here: LabDir, size: LabSize = FIVE, target: LabSize | None = None) -> None:
    allocation.rescale(here.work.path, Scaled(size, THREE, target))


def test_a_scaled_lab_has_its_machines_for_every_command(tmp_path: Path) -> None:
    here = lab_dir(tmp_path)
    assert len(labs.allocated(here).control_planes) == 3
    scaled(here)
    assert len(labs.allocated(here).control_planes) == 5
    assert len(Subject(here).machines) == 6
    planned, _ = workfiles.preview(here)
    assert len(planned.control_planes) == 5
    assert "cp5" in (here.work.path / "Vagrantfile").read_text()
    allocation.release(here.work.path)
    assert labs.size_of(here) == THREE


def test_a_file_that_was_changed_after_the_scale_is_not_ignored(tmp_path: Path) -> None:
    scaled(lab_dir(tmp_path))
    with pytest.raises(LabProblem) as caught:
        labs.allocated(lab_dir(tmp_path, "name: ha\ncontrol_planes: 1\n"))
    assert "now says control_planes=1 workers=0, but the lab was scaled from control_planes=3" in str(
        caught.value
    )
    assert "halab scale control_planes=1 workers=0" in (caught.value.hint or "")


def test_the_file_may_say_the_new_size(tmp_path: Path) -> None:
    scaled(lab_dir(tmp_path))
    assert len(labs.allocated(lab_dir(tmp_path, "name: ha\ncontrol_planes: 5\n")).control_planes) == 5


def test_after_an_interrupted_scale_other_commands_are_refused(tmp_path: Path) -> None:
    here = lab_dir(tmp_path)
    scaled(here, target=THREE)
    with (
        pytest.raises(
            LabProblem, match="scaling the lab ha to control_planes=3 workers=0 was interrupted"
        ) as caught,
        labs.locked(here, "up"),
    ):
        pass
    assert "halab scale" in (caught.value.hint or "") and "halab down" in (caught.value.hint or "")
    with labs.locked(here, "scale", despite=Unfinished.SCALE):
        pass


def test_the_host_needs_room_for_the_new_machines_only(tmp_path: Path) -> None:
    here = lab_dir(tmp_path)
    subject = Subject(replace(here, size=LabSize(5, 1)))
    assert [machine.name for machine in subject.new_machines] == ["cp4", "cp5", "w1"]
    assert subject.new_nodes == 3
    assert subject.nodes == 6
    assert Subject(here).new_machines == Subject(here).machines


def test_the_host_needs_room_for_machines_of_etcd_too(tmp_path: Path) -> None:
    subject = Subject(lab_dir(tmp_path, "name: ha\netcd: {topology: external}\n"))
    assert subject.new_nodes == subject.nodes == 6


def test_the_size_that_was_built_is_recorded(tmp_path: Path) -> None:
    here = lab_dir(tmp_path)
    assert machine_info.size(here.work) == THREE
    here.work.write(machine_info.record(here.work, lab_of(control_planes=5, workers=1)))
    assert machine_info.size(here.work) == LabSize(5, 1)


def test_a_smaller_file_is_refused_and_the_hint_names_scale(tmp_path: Path) -> None:
    here = lab_dir(tmp_path, "name: ha\ncontrol_planes: 1\nprovider: docker\n")
    with pytest.raises(LabProblem, match="address of cp2 is missing from the file") as caught:
        labs.existing(here)
    assert "halab scale" in (caught.value.hint or "")


def test_the_status_tells_of_an_interrupted_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = lab_dir(tmp_path)
    scaled(here, target=THREE)
    machines = type("Machines", (), {"infos": lambda self: []})()
    monkeypatch.setattr("halab.lifecycle.providers.machines", lambda lab_dir, lab: machines)
    (line,) = read_status(here).missing
    assert (
        line == "scaling the lab to control_planes=3 workers=0 was interrupted: continue with `halab scale`"
    )
