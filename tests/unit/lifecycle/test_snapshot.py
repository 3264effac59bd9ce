"""Snapshots of a whole lab: one moment for all machines, and nothing half done without a word."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
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

LAB = lab_of(name="ha")
NAMES = [machine.name for machine in LAB.machines]


class Shelf:
    """The machines of a lab, with names of snapshots, and the states of all machines while one is saved."""

    lab = LAB

    def __init__(self, power: FakePower) -> None:
        self.fake_power = power
        self.kept: list[Saved] = []
        self.states: list[PowerState] = []
        self.restored: list[str] = []
        self.fails_at = ""

    def power(self) -> FakePower:
        return self.fake_power

    def state(self, machine: str) -> PowerState:
        return self.fake_power.state(machine)

    def save(self, machine: str, name: str) -> None:
        self.states += [self.fake_power.state(each) for each in NAMES]
        if machine == self.fails_at:
            raise HostProblem("no space left")
        self.kept.append(Saved(name, machine, datetime(2026, 11, 26, tzinfo=UTC)))

    def restore(self, machine: str, name: str) -> None:
        if machine == self.fails_at:
            raise HostProblem("no such image")
        self.restored.append(machine)

    def saved(self) -> list[Saved]:
        return list(self.kept)

    def delete_snapshot(self, name: str) -> None:
        self.kept = [each for each in self.kept if each.snapshot != name]


@pytest.fixture
def power() -> FakePower:
    return FakePower(LAB)


@pytest.fixture
def shelf(power: FakePower, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    found = Shelf(power)
    monkeypatch.setattr(labs, "existing", lambda place: LAB)
    monkeypatch.setattr(providers, "machines", lambda place, lab: found)
    recreate: Callable[..., None] = lambda *words, **options: None  # noqa: E731
    guests: Any = FakeGuests({"boot_id": "a-boot"})
    site = Site(LAB, guests, FakeClock(), power, recreate)
    monkeypatch.setattr(access, "site", lambda place, lab: site)
    monkeypatch.setattr(snapshot, "wait_steady", lambda place, lab, progress, **options: None)
    return found


@pytest.fixture
def place(tmp_path: Path) -> LabDir:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    return open_file(tmp_path / "lab.yml")


def test_all_machines_stand_still_while_they_are_saved_and_then_go_on(
    shelf: Shelf, place: LabDir, power: FakePower
) -> None:
    snapshot.save(place, "one", Recorded())
    assert set(shelf.states) == {PowerState.FROZEN}
    assert {power.state(name) for name in NAMES} == {PowerState.RUNNING}
    assert not place.work.journal.exists()
    (found,) = snapshot.of_lab(place)
    assert (found.name, found.is_whole) == ("one", True)


def test_a_lab_that_is_off_is_saved_as_it_is(shelf: Shelf, place: LabDir, power: FakePower) -> None:
    for name in NAMES:
        power.cut(name)
    snapshot.save(place, "one", Recorded())
    assert set(shelf.states) == {PowerState.OFF}
    assert {power.state(name) for name in NAMES} == {PowerState.OFF}


def test_a_lab_that_runs_in_part_is_not_saved(shelf: Shelf, place: LabDir, power: FakePower) -> None:
    power.cut("cp2")
    with pytest.raises(LabProblem, match="cp2 is off"):
        snapshot.save(place, "one", Recorded())
    assert shelf.kept == []


def test_what_was_saved_of_a_snapshot_that_fails_is_removed_and_the_lab_goes_on(
    shelf: Shelf, place: LabDir, power: FakePower
) -> None:
    shelf.fails_at = "cp2"
    with pytest.raises(HostProblem, match="no space left"):
        snapshot.save(place, "one", Recorded())
    assert shelf.kept == []
    assert {power.state(name) for name in NAMES} == {PowerState.RUNNING}


def test_frozen_machines_are_in_the_journal_so_that_a_killed_save_can_be_healed(
    shelf: Shelf, place: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    save = shelf.save

    def look(*words: Any) -> None:
        seen.append(sorted(f"{each}" for each in Journal(place.work.journal).open_faults()))
        save(*words)

    monkeypatch.setattr(shelf, "save", look)
    snapshot.save(place, "one", Recorded())
    assert seen[0] == sorted(f"freeze on {name}" for name in NAMES)


def test_a_lab_with_an_open_fault_is_not_saved(shelf: Shelf, place: LabDir) -> None:
    place.work.path.mkdir()
    Journal(place.work.journal).opened(Entry("1", "cut-link", "cp1"))
    with pytest.raises(LabProblem, match="cut-link on cp1"):
        snapshot.save(place, "one", Recorded())


@pytest.mark.parametrize("name", ["", "it's", "One", "a/b", "-x", "a" * 31])
def test_a_name_that_providers_would_not_take_is_refused(name: str, shelf: Shelf, place: LabDir) -> None:
    with pytest.raises(BadUsage, match="not a name for a snapshot"):
        snapshot.save(place, name, Recorded())


def test_a_name_is_used_once(shelf: Shelf, place: LabDir) -> None:
    snapshot.save(place, "one", Recorded())
    with pytest.raises(BadUsage, match="there is a snapshot one already"):
        snapshot.save(place, "one", Recorded())


def test_every_machine_is_put_back_and_what_was_open_is_gone(
    shelf: Shelf, place: LabDir, power: FakePower
) -> None:
    snapshot.save(place, "one", Recorded())
    Journal(place.work.journal).opened(Entry("1", "cut-power", "cp1"))
    power.cut("cp1")
    snapshot.restore(place, "one", Recorded())
    assert sorted(shelf.restored) == sorted(NAMES)
    assert power.state("cp1") is PowerState.RUNNING
    assert not place.work.journal.exists()
    assert not place.work.restoring.exists()


def test_an_unknown_snapshot_is_refused_and_known_ones_are_named(shelf: Shelf, place: LabDir) -> None:
    snapshot.save(place, "one", Recorded())
    with pytest.raises(BadUsage, match="no such snapshot: two") as raised:
        snapshot.restore(place, "two", Recorded())
    assert raised.value.hint == "there are: one"


def test_one_that_is_not_whole_says_what_it_lacks(shelf: Shelf, place: LabDir) -> None:
    snapshot.save(place, "one", Recorded())
    shelf.kept = [each for each in shelf.kept if each.machine != "cp3"]
    with pytest.raises(LabProblem, match="not whole: cp3 is not in it"):
        snapshot.restore(place, "one", Recorded())
    assert shelf.restored == []


def test_a_restore_that_did_not_end_keeps_others_off_the_lab_until_it_is_done_again(
    shelf: Shelf, place: LabDir
) -> None:
    snapshot.save(place, "one", Recorded())
    shelf.fails_at = "cp2"
    with pytest.raises(HostProblem):
        snapshot.restore(place, "one", Recorded())
    assert labs.restoring(place) == "one"
    with pytest.raises(LabProblem, match="was being put back to its snapshot one") as raised:
        snapshot.save(place, "two", Recorded())
    assert raised.value.hint is not None and "halab snapshot restore one" in raised.value.hint
    shelf.fails_at = ""
    snapshot.restore(place, "one", Recorded())
    snapshot.save(place, "two", Recorded())


def test_reset_needs_what_up_has_saved(shelf: Shelf, place: LabDir) -> None:
    with pytest.raises(LabProblem, match="no snapshot of the lab ha as `up` left it"):
        snapshot.reset(place, Recorded())
    snapshot.save_after_up(place, shelf, Recorded())  # type: ignore[arg-type]
    snapshot.reset(place, Recorded())
    assert sorted(shelf.restored) == sorted(NAMES)


def test_up_saves_once_and_anew_when_the_lab_has_grown(shelf: Shelf, place: LabDir) -> None:
    snapshot.save_after_up(place, shelf, Recorded())  # type: ignore[arg-type]
    snapshot.save_after_up(place, shelf, Recorded())  # type: ignore[arg-type]
    assert len(shelf.kept) == len(NAMES)
    shelf.lab = lab_of(name="ha", workers=1)
    assert [each.missing for each in snapshot.snapshots(shelf)] == [("w1",)]  # type: ignore[arg-type]


def test_a_lab_that_cannot_be_saved_is_up_all_the_same(shelf: Shelf, place: LabDir) -> None:
    shelf.fails_at = "lb1"
    progress = Recorded()
    snapshot.save_after_up(place, shelf, progress)  # type: ignore[arg-type]
    assert "no space left" in progress.lines[-1]
