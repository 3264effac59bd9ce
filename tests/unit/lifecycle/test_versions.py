"""The present version of a lab's Kubernetes: all commands see it, and a changed file is not ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.fakes import brought_up

from halab.doctor.check import Subject
from halab.errors import LabProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, providers, restored_version, versions, workfiles
from halab.lifecycle.lab import LabDir, Unfinished, open_file
from halab.lifecycle.status import read_status
from halab.machines.host import allocation
from halab.machines.host.allocation import Upgraded, VersionSince

OLD = "name: ha\nprovider: docker\nkubernetes: {version: '1.36.5'}\n"
BEFORE, AFTER = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 14, tzinfo=UTC)
SINCE = datetime(2026, 1, 1, 13, tzinfo=UTC)
DONE = Upgraded("1.36.5", "1.36.5", (VersionSince("1.37.2", SINCE),))


def lab_dir(folder: Path, text: str = OLD) -> LabDir:
    (folder / "lab.yml").write_text(text)
    is_new = not (folder / ".halab").exists()
    if is_new:
        brought_up(folder)
    here = open_file(folder / "lab.yml")
    if is_new:
        here.work.write(machine_info.record(here.work, labs.allocated(here)))
    return here


CHOSEN = OLD.replace("'1.36.5'", "'1.36.5', etcd: 3.6.8")


def test_a_lab_whose_file_chooses_other_versions_now_is_refused(tmp_path: Path) -> None:
    lab_dir(tmp_path)
    here = lab_dir(tmp_path, CHOSEN)
    with pytest.raises(
        LabProblem, match="choice of other versions is none in the lab and etcd 3.6.8 in the file"
    ):
        labs.existing(here)


def test_a_lab_whose_file_names_a_checkout_now_is_refused(tmp_path: Path) -> None:
    lab_dir(tmp_path)
    here = lab_dir(tmp_path, f"{OLD}source: {{etcd: ./etcd}}\n")
    with pytest.raises(
        LabProblem, match=r"other versions is none in the lab and etcd from \./etcd in the file"
    ):
        labs.existing(here)


def test_an_upgraded_lab_has_no_component_from_a_checkout(tmp_path: Path) -> None:
    here = lab_dir(tmp_path, f"{OLD}source: {{etcd: ./etcd}}\n")
    assert labs.existing(here).sources == {"etcd": "./etcd"}
    assert labs.present_file(replace(here, version="1.37.2")).source.by_name == {}


def test_an_upgrade_brings_the_components_of_the_new_version(tmp_path: Path) -> None:
    here = lab_dir(tmp_path, CHOSEN)
    assert labs.existing(here).own_versions == {"etcd": "3.6.8"}
    # a file that names the next version describes the lab after an upgrade
    newer = lab_dir(tmp_path, OLD.replace("1.36.5", "1.37.2"))
    with pytest.raises(LabProblem) as caught:
        labs.existing(newer)
    assert "`halab upgrade 1.37.2`" in str(caught.value.hint)
    here = lab_dir(tmp_path, CHOSEN)
    allocation.upgrade(here.work.path, DONE)
    here.work.write(machine_info.record(here.work, labs.allocated(replace(here, version="1.37.2"))))
    assert labs.existing(here).versions == {"kubernetes": "1.37.2", "etcd": "3.7.3", "containerd": "2.2.9"}


def upgraded(folder: Path, record: Upgraded = DONE) -> LabDir:
    here = lab_dir(folder)
    allocation.upgrade(here.work.path, record)
    goal = labs.allocated(replace(here, version="1.37.2"))
    if record.target is None:
        here.work.write(machine_info.record(here.work, goal))
    return here


def test_an_upgraded_lab_has_its_version_for_every_command(tmp_path: Path) -> None:
    here = lab_dir(tmp_path)
    assert labs.existing(here).release.kubernetes == "1.36.5"
    here = upgraded(tmp_path)
    assert labs.existing(here).release.kubernetes == "1.37.2" == labs.version_of(here)
    # with the components of that version
    assert labs.existing(here).release.etcd == "3.7.3"
    # machines still start from the box of the old one
    assert labs.base_release(here).kubernetes == "1.36.5" == Subject(here).release.kubernetes
    allocation.release(here.work.path)
    assert labs.version_of(here) == "1.36.5" == labs.base_release(here).kubernetes


def test_the_record_is_read_back(tmp_path: Path) -> None:
    here = upgraded(tmp_path, replace(DONE, target="1.38.0", machine="cp2"))
    held = allocation.of(here.work.path)
    assert held and held.upgraded == replace(DONE, target="1.38.0", machine="cp2")


def test_a_machine_that_starts_from_the_old_box_gets_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = lab_dir(tmp_path)
    monkeypatch.setattr("halab.images.bundle.find", lambda release, source: None)
    assert providers.payload(here, labs.existing(here)) is None
    here = upgraded(tmp_path)
    with pytest.raises(LabProblem, match=r"Kubernetes 1\.37\.2 is no longer in the cache"):
        providers.payload(here, labs.existing(here))


def test_a_file_that_was_changed_after_the_upgrade_is_not_ignored(tmp_path: Path) -> None:
    upgraded(tmp_path)
    with pytest.raises(LabProblem) as caught:
        labs.allocated(lab_dir(tmp_path, OLD.replace("1.36.5", "1.35")))
    assert "now says Kubernetes 1.35.8, but the lab was upgraded from 1.36.5 to 1.37.2" in str(caught.value)
    assert "`halab upgrade 1.35`" in (caught.value.hint or "")


def test_the_file_may_say_the_new_version(tmp_path: Path) -> None:
    upgraded(tmp_path)
    assert labs.existing(lab_dir(tmp_path, OLD.replace("1.36.5", "1.37"))).release.kubernetes == "1.37.2"


def test_a_file_with_a_new_version_says_how_to_upgrade(tmp_path: Path) -> None:
    lab_dir(tmp_path)
    with pytest.raises(LabProblem, match=r"Kubernetes is 1\.36\.5 in the lab and 1\.37\.2") as caught:
        labs.existing(lab_dir(tmp_path, OLD.replace("1.36.5", "1.37")))
    assert "`halab upgrade 1.37.2`" in (caught.value.hint or "")


def test_after_an_interrupted_upgrade_other_commands_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = upgraded(tmp_path, Upgraded("1.36.5", "1.36.5", target="1.37.2", machine="cp2"))
    with (
        pytest.raises(
            LabProblem, match=r"upgrading the lab ha to Kubernetes 1\.37\.2 was interrupted at cp2"
        ) as caught,
        labs.locked(here, "up"),
    ):
        pass
    assert "halab upgrade" in (caught.value.hint or "") and "halab down" in (caught.value.hint or "")
    with labs.locked(here, "upgrade", despite=Unfinished.UPGRADE):
        pass
    machines = type("Machines", (), {"infos": lambda self: []})()
    monkeypatch.setattr("halab.lifecycle.providers.machines", lambda lab_dir, lab: machines)
    found = read_status(here)
    assert found.built_with == "1.36.5"
    (line,) = found.missing
    assert "was interrupted at cp2: continue with `halab upgrade`" in line


def test_an_incomplete_upgrade_has_the_version_of_the_record_of_the_machines(tmp_path: Path) -> None:
    here = upgraded(tmp_path, Upgraded("1.36.5", "1.36.5", target="1.37.2"))
    assert labs.existing(here).release.kubernetes == "1.36.5"
    # interrupted after the record of the machines, and before the end was recorded
    goal = labs.allocated(replace(here, version="1.37.2"))
    here.work.write(machine_info.record(here.work, goal))
    assert labs.existing(here).release.kubernetes == "1.37.2"


def test_a_snapshot_has_the_version_of_its_time(tmp_path: Path) -> None:
    held = allocation.of(upgraded(tmp_path).work.path)
    assert (versions.at(held, BEFORE), versions.at(held, SINCE), versions.at(held, AFTER)) == (
        "1.36.5", "1.37.2", "1.37.2",
    )  # fmt: skip
    assert versions.at(None, AFTER) is None


def test_with_an_old_snapshot_the_old_version_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = upgraded(tmp_path)
    monkeypatch.setattr(
        "halab.lifecycle.workfiles.of_version", lambda lab_dir, lab: {"provision/cp1/x": "y"}
    )
    monkeypatch.setattr("halab.lifecycle.own_files.recorded_files", lambda work: [])
    restored_version.of(here, BEFORE).record()
    assert labs.existing(here).release.kubernetes == "1.36.5"
    assert (here.work.path / "provision/cp1/x").read_text() == "y"
    held = allocation.of(here.work.path)
    # snapshots of both versions are still known as such
    assert versions.at(held, AFTER) == "1.37.2" and versions.at(held, BEFORE) == "1.36.5"
    assert versions.at(held, datetime.now(UTC)) == "1.36.5"
    restored_version.of(here, AFTER).record()
    assert labs.existing(here).release.kubernetes == "1.37.2"


def test_an_interrupted_restore_gets_the_old_version_at_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, write = upgraded(tmp_path), workfiles.write
    monkeypatch.setattr("halab.lifecycle.workfiles.of_version", lambda lab_dir, lab: {})
    monkeypatch.setattr("halab.lifecycle.own_files.recorded_files", lambda work: [])
    for after_the_files in (False, True):

        def interrupted(lab_dir: LabDir, content: Mapping[str, str], after: bool = after_the_files) -> None:
            if after:
                write(lab_dir, content)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr("halab.lifecycle.workfiles.write", interrupted)
            restored_version.of(here, BEFORE).record()
        # the restore can be repeated: both records agree at any moment
        assert labs.existing(here).release.kubernetes == ("1.36.5" if after_the_files else "1.37.2")
        restored_version.of(here, BEFORE).record()
        assert labs.existing(here).release.kubernetes == "1.36.5" == machine_info.version(here.work)
        restored_version.of(here, AFTER).record()


def test_a_snapshot_of_the_present_version_changes_nothing(tmp_path: Path) -> None:
    here = upgraded(tmp_path)
    restored_version.of(here, AFTER).record()
    restored_version.of(here, None).record()
    held = allocation.of(here.work.path)
    assert held and held.upgraded == DONE


def test_an_old_snapshot_ends_an_interrupted_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = upgraded(tmp_path, Upgraded("1.36.5", "1.36.5", target="1.37.2", machine="cp2"))
    monkeypatch.setattr("halab.lifecycle.workfiles.of_version", lambda lab_dir, lab: {})
    monkeypatch.setattr("halab.lifecycle.own_files.recorded_files", lambda work: [])
    restored_version.of(here, BEFORE).record()
    with labs.locked(here, "up"):
        assert labs.existing(here).release.kubernetes == "1.36.5"


def test_a_lab_that_was_never_upgraded_has_the_version_of_its_file(tmp_path: Path) -> None:
    here = lab_dir(tmp_path)
    restored_version.of(here, BEFORE).record()
    held = allocation.of(here.work.path)
    assert held and held.upgraded is None and versions.target(held) is None
