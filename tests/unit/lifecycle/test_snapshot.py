"""Snapshots of a whole lab: one moment for all machines, and clear errors for incomplete ones."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.fake_machines import LAB, NAMES, FakeMachines
from support.fake_power import FakePower
from support.fakes import FakeClock, FakeGuests, Recorded, lab_of

from halab.errors import BadUsage, HostProblem, LabProblem
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.lifecycle import access, providers, snapshot
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir, open_file
from halab.machines.power import PowerState
from halab.machines.snapshots import Saved


@pytest.fixture
def power() -> FakePower:
    return FakePower(LAB)


@pytest.fixture
def machines(power: FakePower, monkeypatch: pytest.MonkeyPatch) -> FakeMachines:
    machines = FakeMachines(power)
    monkeypatch.setattr(labs, "existing", lambda lab_dir: LAB)
    monkeypatch.setattr(providers, "machines", lambda lab_dir, lab: machines)
    recreate: Callable[..., None] = lambda *words, **options: None  # noqa: E731
    guests: Any = FakeGuests({"boot_id": "a-boot"})
    site = Site(LAB, guests, FakeClock(), power, recreate)
    monkeypatch.setattr(access, "site", lambda lab_dir, lab: site)
    monkeypatch.setattr(snapshot, "wait_steady", lambda lab_dir, lab, progress, **options: None)
    return machines


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    return open_file(tmp_path / "lab.yml")


def test_all_machines_are_frozen_while_they_are_saved(
    machines: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    snapshot.save(lab_dir, "one", Recorded())
    assert set(machines.states) == {PowerState.FROZEN}
    assert {power.state(name) for name in NAMES} == {PowerState.RUNNING}
    assert not lab_dir.work.journal.exists()
    (saved,) = snapshot.of_lab(lab_dir)
    assert (saved.name, saved.is_complete) == ("one", True)


def test_a_lab_that_is_off_stays_off_when_saved(
    machines: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    for name in NAMES:
        power.cut(name)
    snapshot.save(lab_dir, "one", Recorded())
    assert set(machines.states) == {PowerState.OFF}
    assert {power.state(name) for name in NAMES} == {PowerState.OFF}


def test_a_lab_with_some_machines_off_is_not_saved(
    machines: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    power.cut("cp2")
    with pytest.raises(LabProblem, match="cp2 is off"):
        snapshot.save(lab_dir, "one", Recorded())
    assert machines.snapshots_saved == []


def test_a_failed_snapshot_is_deleted_and_the_lab_runs(
    machines: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    machines.fails_at = "cp2"
    with pytest.raises(HostProblem, match="no space left"):
        snapshot.save(lab_dir, "one", Recorded())
    assert machines.snapshots_saved == []
    assert {power.state(name) for name in NAMES} == {PowerState.RUNNING}


def test_the_journal_records_frozen_machines_during_a_save(
    machines: FakeMachines, lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    save = machines.save

    def look(*words: Any) -> None:
        seen.append(sorted(f"{entry}" for entry in Journal(lab_dir.work.journal).open_faults()))
        save(*words)

    monkeypatch.setattr(machines, "save", look)
    snapshot.save(lab_dir, "one", Recorded())
    assert seen[0] == sorted(f"freeze on {name}" for name in NAMES)


def test_a_lab_with_an_open_fault_is_not_saved(machines: FakeMachines, lab_dir: LabDir) -> None:
    lab_dir.work.path.mkdir()
    Journal(lab_dir.work.journal).opened(Entry("1", "cut-link", "cp1"))
    with pytest.raises(LabProblem, match="cut-link on cp1"):
        snapshot.save(lab_dir, "one", Recorded())


@pytest.mark.parametrize("name", ["", "it's", "One", "a/b", "-x", "a" * 31])
def test_an_invalid_name_is_refused(name: str, machines: FakeMachines, lab_dir: LabDir) -> None:
    with pytest.raises(BadUsage, match="invalid name for a snapshot"):
        snapshot.save(lab_dir, name, Recorded())


def test_an_existing_name_is_refused(machines: FakeMachines, lab_dir: LabDir) -> None:
    snapshot.save(lab_dir, "one", Recorded())
    with pytest.raises(BadUsage, match="the snapshot one already exists"):
        snapshot.save(lab_dir, "one", Recorded())


def test_a_restore_restores_every_machine_and_clears_open_faults(
    machines: FakeMachines, lab_dir: LabDir, power: FakePower
) -> None:
    snapshot.save(lab_dir, "one", Recorded())
    Journal(lab_dir.work.journal).opened(Entry("1", "cut-power", "cp1"))
    power.cut("cp1")
    snapshot.restore(lab_dir, "one", Recorded())
    assert sorted(machines.restored) == sorted(NAMES)
    assert power.state("cp1") is PowerState.RUNNING
    assert not lab_dir.work.journal.exists()
    assert not lab_dir.work.restoring.exists()


def test_the_error_for_an_unknown_snapshot_names_the_known_ones(
    machines: FakeMachines, lab_dir: LabDir
) -> None:
    snapshot.save(lab_dir, "one", Recorded())
    with pytest.raises(BadUsage, match="no such snapshot: two") as raised:
        snapshot.restore(lab_dir, "two", Recorded())
    assert raised.value.hint == "existing snapshots: one"


def test_a_snapshot_of_a_larger_lab_is_not_restored(machines: FakeMachines, lab_dir: LabDir) -> None:
    machines.snapshots_saved.append(Saved("one", "cp4", datetime(2026, 11, 26, tzinfo=UTC)))
    snapshot.save(lab_dir, "small", Recorded())
    for name in NAMES:
        machines.save(name, "one")
    (one,) = (saved for saved in snapshot.of_lab(lab_dir) if saved.name == "one")
    assert (one.missing, one.removed, one.is_complete) == ((), ("cp4",), False)
    with pytest.raises(
        LabProblem, match="the snapshot one was saved when the lab was larger: cp4"
    ) as caught:
        snapshot.restore(lab_dir, "one", Recorded())
    assert "halab scale" in (caught.value.hint or "")
    assert machines.restored == []


def test_the_error_for_an_incomplete_snapshot_names_missing_machines(
    machines: FakeMachines, lab_dir: LabDir
) -> None:
    snapshot.save(lab_dir, "one", Recorded())
    machines.snapshots_saved = [saved for saved in machines.snapshots_saved if saved.machine != "cp3"]
    with pytest.raises(LabProblem, match="incomplete: cp3 missing"):
        snapshot.restore(lab_dir, "one", Recorded())
    assert machines.restored == []


def test_an_interrupted_restore_blocks_the_lab_until_it_is_repeated(
    machines: FakeMachines, lab_dir: LabDir
) -> None:
    snapshot.save(lab_dir, "one", Recorded())
    machines.fails_at = "cp2"
    with pytest.raises(HostProblem):
        snapshot.restore(lab_dir, "one", Recorded())
    assert labs.restoring(lab_dir) == "one"
    with pytest.raises(
        LabProblem, match="restoring the lab ha to the snapshot one was interrupted"
    ) as raised:
        snapshot.save(lab_dir, "two", Recorded())
    assert raised.value.hint is not None and "halab snapshot restore one" in raised.value.hint
    machines.fails_at = ""
    snapshot.restore(lab_dir, "one", Recorded())
    snapshot.save(lab_dir, "two", Recorded())


def test_reset_needs_the_snapshot_of_up(machines: FakeMachines, lab_dir: LabDir) -> None:
    with pytest.raises(LabProblem, match="the lab ha has no snapshot that `halab up` saved"):
        snapshot.reset(lab_dir, Recorded())
    snapshot.save_after_up(lab_dir, machines, Recorded())  # type: ignore[arg-type]
    snapshot.reset(lab_dir, Recorded())
    assert sorted(machines.restored) == sorted(NAMES)


def test_up_saves_once_and_again_for_new_machines(machines: FakeMachines, lab_dir: LabDir) -> None:
    snapshot.save_after_up(lab_dir, machines, Recorded())  # type: ignore[arg-type]
    snapshot.save_after_up(lab_dir, machines, Recorded())  # type: ignore[arg-type]
    assert len(machines.snapshots_saved) == len(NAMES)
    machines.lab = lab_of(name="ha", workers=1)
    assert [saved.missing for saved in snapshot.snapshots(machines)] == [("w1",)]  # type: ignore[arg-type]


def test_up_saves_again_if_it_changed_a_machine(machines: FakeMachines, lab_dir: LabDir) -> None:
    """A reset must not bring an old configuration of the load balancer back."""
    progress = Recorded()
    for changed in (True, True, False):
        snapshot.save_after_up(lab_dir, machines, progress, changed=changed)  # type: ignore[arg-type]
    assert progress.lines.count("begin save the snapshot up") == 2


def test_a_lab_that_cannot_be_saved_is_up_nevertheless(machines: FakeMachines, lab_dir: LabDir) -> None:
    machines.fails_at = "lb1"
    progress = Recorded()
    snapshot.save_after_up(lab_dir, machines, progress)  # type: ignore[arg-type]
    assert "no space left" in progress.lines[-1]
