"""`halab list` and `halab gc` with fake providers."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from halab.cli import main
from halab.cli.inventory import _age, _size
from halab.errors import HostProblem
from halab.lifecycle import inventory as lab_inventory
from halab.machines.host import allocation, identity, inventory
from halab.machines.inventory import Holder, Resource, ResourceKind
from halab.machines.work import Work

Shown = pytest.CaptureFixture[str]


@dataclass
class FakeOwner:
    """A provider with resources. With `silence` it does not answer; it refuses to remove `refused`."""

    owned: list[Resource] = field(default_factory=list)
    silence: str = ""
    refused: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)

    def resources(self) -> list[Resource]:
        return list(self.owned)

    def discard(self, resource: Resource) -> None:
        if resource.name in self.refused:
            raise HostProblem("it is in use")
        self.owned.remove(resource)
        self.removed.append(resource.name)


Owners = dict[Holder, FakeOwner]


@pytest.fixture
def owners(monkeypatch: pytest.MonkeyPatch) -> Owners:
    owners = {holder: FakeOwner() for holder in lab_inventory.OWNERS}

    def owner_of(holder: Holder) -> FakeOwner:
        if owners[holder].silence:
            raise HostProblem(owners[holder].silence)
        return owners[holder]

    monkeypatch.setattr(lab_inventory, "owner_of", owner_of)
    return owners


def resource(work: Path, name: str = "halab-ha-cp1", kind: ResourceKind = ResourceKind.MACHINE) -> Resource:
    here = identity.of_this_host()
    hour_ago = datetime.now(UTC) - timedelta(hours=3)
    return Resource(
        Holder.DOCKER, kind, name, name, "ha", str(work), here, created=hour_ago, size_bytes=1_500_000
    )


def living(folder: Path) -> Path:
    work = Work(folder / "living/.halab")
    work.make()
    allocation.allocate("ha", "auto", work.path, taken=[])
    return work.path


def test_a_lab_is_listed_with_its_folder_and_its_allocation(
    tmp_path: Path, owners: Owners, capsys: Shown
) -> None:
    work = living(tmp_path)
    (work / "lock.holder").write_text("up, process 12\n")
    owners[Holder.DOCKER].owned = [resource(work), replace(resource(work, "far"), host="another")]
    assert main(["list", "--json"]) == 0
    rows = {row["kind"]: row for row in json.loads(capsys.readouterr().out) if row["name"] != "far"}
    assert set(rows) == {"machine", "work folder", "allocation", "lock"}
    assert {row["state"] for row in rows.values()} == {"living"}
    machine = rows["machine"]
    assert (machine["lab"], machine["work"], machine["size_bytes"]) == ("ha", str(work), 1_500_000)
    assert 10_800 <= machine["age_seconds"] < 10_900
    assert datetime.fromisoformat(machine["created"]).tzinfo is not None
    assert rows["work folder"]["size_bytes"] > 0
    assert (rows["lock"]["name"], rows["allocation"]["name"]) == ("up, process 12", "ha 10.213.0.0/24")


def test_list_prints_a_table(tmp_path: Path, owners: Owners, capsys: Shown) -> None:
    owners[Holder.DOCKER].owned = [resource(tmp_path / "gone/.halab")]
    assert main(["list"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["KIND", "NAME", "LAB", "STATE", "AGE", "SIZE", "ON", "WORK", "FOLDER"]
    expected = ["machine", "halab-ha-cp1", "ha", "orphaned", "3", "h", "1.5", "MB", "docker"]
    assert line.split() == [*expected, str(tmp_path / "gone/.halab")]


def test_an_empty_inventory_is_a_message(owners: Owners, capsys: Shown) -> None:
    assert main(["list"]) == 0
    assert capsys.readouterr() == ("", "no lab owns anything on this host\n")
    assert main(["gc", "--yes"]) == 0
    assert capsys.readouterr() == ("", "nothing to remove\n")


@pytest.mark.parametrize("verb", [["list"], ["gc", "--yes"]])
def test_a_silent_provider_does_not_hide_the_other(
    verb: list[str], tmp_path: Path, owners: Owners, capsys: Shown
) -> None:
    owners[Holder.DOCKER].owned = [resource(tmp_path / "gone")]
    owners[Holder.LIBVIRT].silence = "libvirt is not there"
    assert main(verb) == 0
    shown = capsys.readouterr()
    assert "warning: resources of libvirt are not included: libvirt is not there\n" in shown.err
    assert "halab-ha-cp1" in shown.out
    owners[Holder.DOCKER].silence = "no docker engine answers"
    assert main(verb) == 3


def test_gc_without_a_terminal_removes_nothing(tmp_path: Path, owners: Owners, capsys: Shown) -> None:
    owners[Holder.DOCKER].owned = [resource(tmp_path / "gone")]
    assert main(["gc"]) == 0
    shown = capsys.readouterr()
    assert "halab-ha-cp1" in shown.out and "use `halab gc --yes`" in shown.err
    assert owners[Holder.DOCKER].removed == []


@pytest.mark.parametrize(("answer", "removed"), [("y", ["halab-ha-cp1"]), ("n", []), ("", [])])
def test_gc_asks_on_a_terminal(
    answer: str, removed: list[str], tmp_path: Path, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners[Holder.DOCKER].owned = [resource(tmp_path / "gone")]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda text: answer)
    assert main(["gc"]) == 0
    assert owners[Holder.DOCKER].removed == removed


def test_gc_removes_only_orphans_users_before_what_they_use(
    tmp_path: Path, owners: Owners, capsys: Shown
) -> None:
    gone = tmp_path / "gone"
    resources = [
        resource(gone, f"a {kind}", kind)
        for kind in (ResourceKind.IMAGE, ResourceKind.VOLUME, ResourceKind.NETWORK, ResourceKind.MACHINE)
    ]
    spared = [resource(living(tmp_path), "living"), replace(resource(gone, "far"), host="another")]
    owners[Holder.DOCKER].owned = [*resources, *spared]
    owners[Holder.LIBVIRT].silence = "no"
    assert main(["gc", "--yes", "--json"]) == 0
    assert owners[Holder.DOCKER].removed == ["a machine", "a network", "a volume", "a image"]
    assert owners[Holder.DOCKER].owned == spared
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["orphaned"]) == 4
    assert [row["removed"] for row in printed["removals"]] == [True] * 4
    assert [held.name for held in allocation.held()] == ["ha"]


def test_gc_as_json_removes_nothing_without_yes(tmp_path: Path, owners: Owners, capsys: Shown) -> None:
    owners[Holder.DOCKER].owned = [resource(tmp_path / "gone")]
    assert main(["gc", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in printed["orphaned"]] == ["halab-ha-cp1"]
    assert printed["removals"] == []


def copies_of_boxes(home: Path) -> tuple[Resource, Path, Path]:
    """A base disk at libvirt, and two boxes of Vagrant's; a lab uses the second one."""
    base = Resource(
        Holder.LIBVIRT, ResourceKind.BASE_DISK, "base.img", "/p/base.img", "", "", size_bytes=900_000_000
    )
    boxes = [home / f"boxes/halab-VAGRANTSLASH-debian-12-{key}/0/libvirt" for key in ("0" * 12, "1" * 12)]
    for box in boxes:
        box.mkdir(parents=True)
        (box / "box.img").write_bytes(b"disk")
    (home / "boxes/bento-VAGRANTSLASH-ubuntu-24.04").mkdir()
    return base, boxes[0].parents[1], boxes[1].parents[1]


def test_gc_shows_copies_of_boxes_that_no_lab_uses_and_removes_them_on_request(
    tmp_path: Path, owners: Owners, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    base, unused, used = copies_of_boxes(tmp_path / "vagrant")
    owners[Holder.LIBVIRT].owned = [base]
    name = f"halab/debian-12-{'1' * 12}"
    (living(tmp_path) / "Vagrantfile").write_text(f"      override.vm.box = '{name}'\n")
    assert main(["gc", "--yes"]) == 0
    shown = capsys.readouterr()
    rows = {tuple(line.split()[:2]) for line in shown.out.splitlines()[1:]}
    assert rows == {("base", "disk"), ("box", f"halab/debian-12-{'0' * 12}")}
    assert shown.err == (
        "nothing to remove\nno lab uses these copies of boxes (900 MB); `halab gc --boxes` removes them\n"
    )
    assert main(["list", "--json"]) == 0
    assert {row["kind"] for row in json.loads(capsys.readouterr().out)} == {"allocation", "work folder"}
    assert main(["gc", "--boxes", "--yes", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in printed["unused"]] == ["unused", "unused"]
    assert [(row["kind"], row["removed"]) for row in printed["removals"]] == [
        ("base disk", True),
        ("box", True),
    ]
    assert owners[Holder.LIBVIRT].removed == ["base.img"]
    assert (
        not unused.exists()
        and used.exists()
        and (tmp_path / "vagrant/boxes/bento-VAGRANTSLASH-ubuntu-24.04").exists()
    )


def test_gc_spares_a_box_that_a_lab_uses_again(
    tmp_path: Path, owners: Owners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAGRANT_HOME", str(tmp_path / "vagrant"))
    _, box, _ = copies_of_boxes(tmp_path / "vagrant")
    (listed, _) = lab_inventory.read_inventory().unused
    (living(tmp_path) / "Vagrantfile").write_text(f"      override.vm.box = '{listed.name}'\n")
    assert [removal.spared for removal in lab_inventory.remove([listed])] == [True]
    assert box.exists()


def test_a_failed_removal_does_not_stop_the_others(tmp_path: Path, owners: Owners, capsys: Shown) -> None:
    gone = tmp_path / "gone"
    owners[Holder.DOCKER].owned = [resource(gone), resource(gone, "net", ResourceKind.NETWORK)]
    owners[Holder.DOCKER].refused = {"halab-ha-cp1"}
    assert main(["gc", "--yes"]) == 3
    assert owners[Holder.DOCKER].removed == ["net"]
    assert "not removed: machine halab-ha-cp1: it is in use" in capsys.readouterr().err


def test_gc_releases_an_allocation_without_a_work_folder(tmp_path: Path, owners: Owners) -> None:
    work = living(tmp_path)
    assert main(["gc", "--yes"]) == 0
    assert len(allocation.held()) == 1
    shutil.rmtree(work)
    assert main(["gc", "--yes"]) == 0
    assert allocation.held() == []


def test_gc_spares_a_lab_that_is_up_again(tmp_path: Path, owners: Owners) -> None:
    work = tmp_path / "living/.halab"
    debris = Resource(Holder.LIBVIRT, ResourceKind.VOLUME, "halab-ha-cp1.img", "/p", "ha", "")
    resources = [resource(work), debris]
    owners[Holder.DOCKER].owned = resources
    living(tmp_path)
    assert [removal.spared for removal in lab_inventory.remove(resources)] == [True, True]
    assert owners[Holder.DOCKER].removed == []


def test_an_unreadable_folder_counts_as_existing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert inventory.is_there(str(tmp_path))
    assert not inventory.is_there(str(tmp_path / "none"))
    (tmp_path / "file").touch()
    assert not inventory.is_there(str(tmp_path / "file/.halab"))
    assert inventory.is_there("") and inventory.is_there("relative/.halab")

    def refuse(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert inventory.is_there(str(tmp_path / "none"))


def test_the_identity_of_a_host_is_stable_and_unique(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "machine-id"
    monkeypatch.setattr(identity, "_MACHINE_ID", known)
    monkeypatch.setattr("socket.gethostname", lambda: "ada")
    by_name = identity.of_this_host()
    for nothing in ("", "uninitialized\n"):
        known.write_text(nothing)
        assert identity.of_this_host() == by_name
    known.write_text("0123456789abcdef0123456789abcdef\n")
    by_id = identity.of_this_host()
    assert by_id != by_name and "0123456789" not in by_id
    monkeypatch.setattr("socket.gethostname", lambda: "bob")
    assert identity.of_this_host() == by_id


def test_ages_and_sizes_are_short() -> None:
    now = datetime(2026, 1, 10, tzinfo=UTC)
    ages = [_age(now - timedelta(seconds=seconds), now) for seconds in (0, 119, 120, 7200, 172_799, 172_800)]
    assert ages == ["0 s", "119 s", "2 min", "2 h", "47 h", "2 days"]
    assert _age(now + timedelta(hours=1), now) == "0 s"
    assert [_size(size) for size in (None, 0, 999, 1500, 12_000_000, 1_234_000_000)] == [
        "-", "0 B", "999 B", "1.5 kB", "12 MB", "1.2 GB",
    ]  # fmt: skip
