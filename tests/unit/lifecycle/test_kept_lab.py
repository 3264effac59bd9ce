"""`down --keep`: what stays, what the next `up` starts from, and when it builds a new lab instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_machines import LAB, NAMES, FakeMachines
from support.fake_power import FakePower
from support.fakes import Recorded, brought_up, lab_of

from halab.config.component_settings import SourceState
from halab.config.lab import ProviderKind
from halab.config.roles import Role
from halab.errors import HostProblem, LabProblem
from halab.faults.journal import Entry, Journal
from halab.images.image_archive import ImageArchive
from halab.lifecycle import kept_lab, providers, snapshot, source_record, workfiles
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir, open_file
from halab.lifecycle.own_files import OwnFiles
from halab.lifecycle.own_images import ComponentImage
from halab.machines.host import allocation
from halab.machines.power import PowerState

VIRTUAL = lab_of(name="ha", provider=ProviderKind.LIBVIRT)


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    (tmp_path / "lab.yml").write_text("name: ha\nprovider: docker\n")
    brought_up(tmp_path)
    (tmp_path / ".halab/Vagrantfile").write_text("same")
    return open_file(tmp_path / "lab.yml")


@pytest.fixture
def power() -> FakePower:
    return FakePower(LAB)


def of_lab(
    power: FakePower, monkeypatch: pytest.MonkeyPatch, lab_dir: LabDir, *, provider: ProviderKind
) -> FakeMachines:
    machines = FakeMachines(power, LAB if provider is ProviderKind.DOCKER else VIRTUAL)
    monkeypatch.setattr(labs, "existing", lambda lab_dir: machines.lab)
    monkeypatch.setattr(providers, "machines", lambda lab_dir, lab: machines)
    for name in NAMES:
        machines.save(name, snapshot.AFTER_UP)
    return machines


@pytest.fixture
def containers(power: FakePower, monkeypatch: pytest.MonkeyPatch, lab_dir: LabDir) -> FakeMachines:
    return of_lab(power, monkeypatch, lab_dir, provider=ProviderKind.DOCKER)


@pytest.fixture
def virtual(power: FakePower, monkeypatch: pytest.MonkeyPatch, lab_dir: LabDir) -> FakeMachines:
    return of_lab(power, monkeypatch, lab_dir, provider=ProviderKind.LIBVIRT)


def states(power: FakePower) -> set[PowerState]:
    return {power.state(name) for name in NAMES}


def test_containers_are_restored_and_stay_off(
    containers: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    Journal(lab_dir.work.journal).opened(Entry("1", "cut-link", "cp1"))
    kept_lab.keep(lab_dir, Recorded())
    assert sorted(containers.restored) == sorted(NAMES)
    assert states(power) == {PowerState.OFF}
    assert lab_dir.work.kept.exists()
    # the fault was on the disks and networks that are gone
    assert not lab_dir.work.journal.exists()


def test_kept_containers_are_started_by_the_next_up(
    containers: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    containers.restored.clear()
    assert kept_lab.bring_back(lab_dir, containers, Recorded()) == len(NAMES)  # type: ignore[arg-type]
    assert states(power) == {PowerState.RUNNING}
    assert containers.restored == []
    assert not lab_dir.work.kept.exists()


def test_virtual_machines_are_only_switched_off_and_the_next_up_restores_their_memory(
    virtual: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    assert virtual.restored == [] and states(power) == {PowerState.OFF}
    assert kept_lab.bring_back(lab_dir, virtual, Recorded()) == len(NAMES)  # type: ignore[arg-type]
    assert sorted(virtual.restored) == sorted(NAMES) and states(power) == {PowerState.RUNNING}
    assert not lab_dir.work.kept.exists()


def test_a_kept_container_that_was_removed_is_made_again_from_the_snapshot(
    containers: FakeMachines, lab_dir: LabDir, power: FakePower, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    containers.restored.clear()
    power.states["cp2"] = PowerState.GONE
    booted: list[str] = []

    def boot(*given: object) -> None:
        booted.extend(name for name in NAMES if power.state(name) is PowerState.GONE)
        power.states["cp2"] = PowerState.OFF

    monkeypatch.setattr(snapshot, "boot", boot)
    assert kept_lab.bring_back(lab_dir, containers, Recorded()) == len(NAMES)  # type: ignore[arg-type]
    assert booted == ["cp2"]
    assert sorted(containers.restored) == sorted(NAMES) and states(power) == {PowerState.RUNNING}
    assert not lab_dir.work.kept.exists()


def test_a_lab_that_is_not_kept_is_not_brought_back(
    containers: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    assert kept_lab.bring_back(lab_dir, containers, Recorded()) == 0  # type: ignore[arg-type]
    assert power.done == []


def test_a_lab_without_a_complete_snapshot_is_not_kept(
    containers: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    containers.snapshots_saved = [saved for saved in containers.snapshots_saved if saved.machine != "cp3"]
    with pytest.raises(LabProblem, match="there is nothing to keep: the lab ha has no complete snapshot"):
        kept_lab.keep(lab_dir, Recorded())
    assert states(power) == {PowerState.RUNNING} and not lab_dir.work.kept.exists()


def test_a_lab_whose_restore_failed_is_not_taken_for_a_kept_one(
    containers: FakeMachines, lab_dir: LabDir
) -> None:
    containers.fails_at = "cp2"
    with pytest.raises(HostProblem):
        kept_lab.keep(lab_dir, Recorded())
    assert not lab_dir.work.kept.exists()
    assert labs.restoring(lab_dir) == snapshot.AFTER_UP
    containers.fails_at = ""
    kept_lab.keep(lab_dir, Recorded())
    assert lab_dir.work.kept.exists() and labs.restoring(lab_dir) == ""


def test_a_restore_ends_the_keeping(containers: FakeMachines, lab_dir: LabDir) -> None:
    kept_lab.keep(lab_dir, Recorded())
    snapshot.restore_locked(lab_dir, containers, snapshot.AFTER_UP, Recorded())  # type: ignore[arg-type]
    assert not lab_dir.work.kept.exists()


class Changes:
    """Renders a Vagrantfile, and records whether the lab was removed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lab_dir: LabDir, vagrantfile: str = "same") -> None:
        self.removed = 0
        self.progress = Recorded()
        self.lab_dir = lab_dir
        rendered: Mapping[str, str] = {"Vagrantfile": vagrantfile}
        monkeypatch.setattr(providers, "base", lambda lab_dir, lab, progress: "the-box")
        monkeypatch.setattr(workfiles, "rendered", lambda *words, **options: rendered)
        monkeypatch.setattr(kept_lab, "down_locked", self._down)

    def _down(self, lab_dir: LabDir, provider: Any, progress: Any) -> list[str]:
        self.removed += 1
        return []

    def ask(
        self, patches: Mapping[str, str] | None = None, components: Sequence[ComponentImage] = ()
    ) -> None:
        provider: Any = None
        kept_lab.remove_if_changed(
            self.lab_dir, provider, OwnFiles(), patches or {}, components, self.progress
        )


def test_a_kept_lab_with_the_same_files_is_used(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    changes = Changes(monkeypatch, lab_dir)
    changes.ask()
    assert changes.removed == 0 and changes.progress.lines == []


def test_a_kept_lab_with_another_box_is_removed(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    changes = Changes(monkeypatch, lab_dir, "another box")
    changes.ask()
    assert changes.removed == 1
    assert changes.progress.lines == [
        "the kept lab is removed and a new one is built: the box or the machines in the lab file have changed"
    ]


def test_a_kept_lab_from_other_source_code_is_removed(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = ImageArchive("etcd.tar", "/etcd.tar", "0", 1, ("etcd",))
    built = ComponentImage(
        image, frozenset({Role.CONTROL_PLANE}), "etcd", SourceState("./etcd", "1a", False, "0")
    )
    lab_dir.work.write(source_record.record([built]))
    kept_lab.keep(lab_dir, Recorded())
    changes = Changes(monkeypatch, lab_dir)
    changes.ask(components=[built])
    assert changes.removed == 0
    changes.ask(components=[replace(built, source=SourceState("./etcd", "2b", False, "1"))])
    assert changes.removed == 1
    assert changes.progress.lines == [
        "the kept lab is removed and a new one is built: etcd of the lab was built from ./etcd at 1a, and the source "
        "code is now ./etcd at 2b"
    ]


def test_a_rendered_vagrantfile_does_not_hide_another_box(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    (lab_dir.work.path / "Vagrantfile").write_text("another box")
    changes = Changes(monkeypatch, lab_dir, "another box")
    changes.ask()
    assert changes.removed == 1


def test_a_kept_lab_without_a_vagrantfile_is_removed(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab_dir.work.path / "Vagrantfile").unlink()
    kept_lab.keep(lab_dir, Recorded())
    changes = Changes(monkeypatch, lab_dir)
    changes.ask()
    assert changes.removed == 1


def test_a_kept_lab_that_the_lab_file_no_longer_describes_is_removed(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    lab_dir.file.write_text("name: ha\nprovider: docker\nkubeadm: {cluster: {clusterName: other}}\n")
    changes = Changes(monkeypatch, open_file(lab_dir.file))
    changes.ask()
    assert changes.removed == 1
    (line,) = changes.progress.lines
    assert line.startswith(
        "the kept lab is removed and a new one is built: kubeadm.cluster.clusterName is not set"
    )


def test_a_kept_lab_whose_networks_are_not_on_record_is_left_to_up(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    allocation.release(lab_dir.work.path)
    changes = Changes(monkeypatch, lab_dir, "another box")
    changes.ask()
    assert changes.removed == 0


def test_a_kept_lab_with_other_patches_for_kubeadm_is_removed(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_lab.keep(lab_dir, Recorded())
    changes = Changes(monkeypatch, lab_dir)
    changes.ask({"etcd.yaml": "metadata: {}\n"})
    assert changes.removed == 1
    assert (
        "these patches for kubeadm have changed since the lab was built: etcd.yaml"
        in changes.progress.lines[0]
    )


def test_a_lab_that_is_up_is_never_removed(
    lab_dir: LabDir, containers: FakeMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = Changes(monkeypatch, lab_dir, "another box")
    changes.ask()
    assert changes.removed == 0
