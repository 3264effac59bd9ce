"""A lab and its work folder may lose each other: removed, moved or copied while the lab is up."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from support.fake_libvirt import define
from support.fake_libvirt import test_driver as driver
from support.fakes import Recorded, brought_up, lab_of

from halab.config.lab import ProviderKind
from halab.errors import HostProblem, LabProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import orphans, providers, status, up, workfiles
from halab.lifecycle.down import down
from halab.lifecycle.lab import LabDir, open_file
from halab.machines.host import allocation, identity
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.provider import MachineInfo, Provider
from halab.machines.snapshots import Saved
from halab.machines.work import Work
from halab.topology.lab import Lab

MACHINES = ["cp1", "cp2", "cp3", "lb1"]


class Booted(Exception):
    """Raised where machines would be made or started."""


class Engine:
    """A docker engine of labels and names."""

    remote = None

    def __init__(self) -> None:
        self.made: list[MachineInfo] = []
        self.snapshots: list[Saved] = []

    def add(self, lab: str, work: Work, host: str) -> None:
        self.made += [
            MachineInfo(lab, name, f"halab-{lab}-{name}", True, None, False, str(work), host)
            for name in MACHINES
        ]

    def machines(self, lab: str | None = None, work: Work | None = None) -> list[MachineInfo]:
        return [
            each
            for each in self.made
            if lab in (None, each.lab) and (work is None or each.work == str(work))
        ]

    def remove(self, lab: str, work: Work) -> list[str]:
        gone = self.machines(lab, work)
        self.made = [each for each in self.made if each not in gone]
        return [each.host_name for each in gone]

    def saved(self, lab: str, work: Work) -> list[Saved]:
        return self.snapshots

    def networks(self) -> list[IPv4Network]:
        return []

    def of(self, lab: Lab, work: Work) -> EngineMachines:
        return EngineMachines(self, lab, work)


@dataclass
class EngineMachines:
    """The machines of one lab at such an engine."""

    engine: Engine
    lab: Lab
    work: Work

    def infos(self) -> list[MachineInfo]:
        return self.engine.machines(self.lab.name, self.work)

    def require_free_names(self) -> None: ...

    def make_networks(self) -> None: ...


@contextmanager
def of_docker() -> Iterator[tuple[Provider, Callable[..., None]]]:
    engine = Engine()
    yield engine, engine.add  # type: ignore[misc]


@contextmanager
def of_libvirt() -> Iterator[tuple[Provider, Callable[..., None]]]:
    with driver() as connection:

        def add(lab: str, work: Work, host: str) -> None:
            mine = lab_of(name=lab, provider=ProviderKind.LIBVIRT)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(identity, "of_this_host", lambda: host)
                define(connection, mine, work)

        yield Hypervisor(connection), add


class Host:
    """A host with one provider, on which labs come up without a machine being booted."""

    def __init__(self, folder: Path, kind: str, provider: Provider, add: Callable[..., None]) -> None:
        self.folder, self.kind, self.provider, self._add = folder, kind, provider, add
        self.progress = Recorded()

    def place(self, folder: str, name: str = "ha") -> LabDir:
        (self.folder / folder).mkdir(exist_ok=True)
        file = self.folder / folder / "lab.yml"
        file.write_text(f"name: {name}\nprovider: {self.kind}\n")
        return open_file(file)

    def lab(self, folder: str, name: str = "ha", host: str = "") -> LabDir:
        """A lab that is up."""
        place = self.place(folder, name)
        brought_up(place.file.parent, place.name, provider=self.kind)
        self._add(place.name, place.work, host or identity.of_this_host())
        return place

    def up(self, place: LabDir) -> None:
        """As far as to where machines would be booted."""
        with pytest.raises(Booted):
            up.up(place, self.progress)

    def down(self, place: LabDir) -> list[str]:
        return down(place, self.progress)

    @property
    def machines(self) -> list[tuple[str, str]]:
        return [(each.machine, each.work) for each in self.provider.machines()]


@pytest.fixture(params=[of_docker, of_libvirt], ids=["docker", "libvirt"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    def boot(place: LabDir, lab: Lab, progress: Recorded) -> str:
        raise Booted

    monkeypatch.setattr(providers, "base", boot)
    monkeypatch.setattr(allocation, "host_routes", lambda remote: [])
    opened: Callable[[], AbstractContextManager[tuple[Provider, Callable[..., None]]]] = request.param
    with opened() as (provider, add):
        monkeypatch.setattr(providers, "connect", lambda place: provider)
        yield Host(tmp_path, request.param.__name__.removeprefix("of_"), provider, add)


# removed


def test_a_lab_whose_work_folder_was_removed_is_made_anew_and_it_is_said(host: Host) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    host.up(place)
    assert host.machines == []
    said = host.progress.lines[0]
    assert "the keys of halab-ha-cp1, halab-ha-cp2, halab-ha-cp3, halab-ha-lb1 are not in" in said
    assert "the lab is made anew" in said
    (removed,) = [
        each for each in host.progress.lines if each.startswith("end remove the machines without keys")
    ]
    assert all(f"halab-ha-{name}" in removed for name in MACHINES)


def test_keys_that_render_has_made_since_do_not_pass_for_those_of_the_machines(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    workfiles.preview(place)
    assert place.work.private_key.exists()
    host.up(place)
    assert host.machines == []


@pytest.mark.parametrize("part", ["keys", "made.json"])
def test_half_a_work_folder_is_none(host: Host, part: str) -> None:
    place = host.lab("a")
    path = place.work.path / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    host.up(place)
    assert host.machines == []


def test_a_lab_that_is_whole_is_left_as_it_is(host: Host) -> None:
    place = host.lab("a")
    key = place.work.private_key.read_text()
    host.up(place)
    assert [name for name, _ in host.machines] == MACHINES
    assert place.work.private_key.read_text() == key


def test_another_kubernetes_than_the_one_that_runs_is_said_at_once_by_every_command(host: Host) -> None:
    place = host.lab("a")
    place.file.write_text(place.file.read_text() + 'kubernetes: {version: "1.35.1"}\n')
    place = open_file(place.file)
    for ask in (
        lambda: up.up(place, host.progress),
        lambda: labs.existing(place),
        lambda: status.look(place),
    ):
        with pytest.raises(
            LabProblem, match=r"Kubernetes is 1\.37\.\d+ there, and 1\.35\.1 in the file"
        ) as caught:
            ask()
        assert "`halab down && halab up`" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES


def test_another_provider_than_the_one_that_has_the_machines_is_refused_and_down_asks_the_right_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = {ProviderKind.DOCKER: Engine(), ProviderKind.LIBVIRT: Engine()}
    monkeypatch.setattr(providers, "connect", lambda place: engines[labs.provider_of(place.written)])
    docker: Any = engines[ProviderKind.DOCKER]
    mine = Host(tmp_path, "docker", docker, docker.add)
    mine.lab("a")
    mine.kind = "libvirt"
    place = mine.place("a")
    with pytest.raises(LabProblem, match="provider is docker there, and libvirt in the file"):
        up.up(place, mine.progress)
    assert sorted(mine.down(place)) == [f"halab-ha-{name}" for name in MACHINES]


def test_a_lost_lab_may_have_another_name_and_another_kubernetes_in_its_file(host: Host) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    other = host.place("a", "other")
    other.file.write_text(other.file.read_text() + 'kubernetes: {version: "1.35"}\n')
    host.up(open_file(other.file))
    assert host.machines == []
    assert [each.name for each in allocation.held()] == ["other"]


def test_a_lost_lab_without_an_allocation_is_made_anew_too(host: Host) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    allocation.release(place.work.path)
    host.up(place)
    assert host.machines == []


def test_snapshots_that_go_with_a_lost_lab_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with of_docker() as (provider, add):
        assert isinstance(provider, Engine)
        mine = Host(tmp_path, "docker", provider, add)
        place = mine.lab("a")
        shutil.rmtree(place.work.path)
        at = datetime(2026, 11, 28, tzinfo=UTC)
        provider.snapshots = [Saved(name, machine, at) for name in ("up", "mine") for machine in MACHINES]
        orphans.reclaim(place, provider, mine.progress)
        assert any("without its snapshots: mine, up" in each for each in mine.progress.lines)


def test_machines_of_another_host_are_not_removed_for_want_of_keys(host: Host) -> None:
    place = host.lab("a", host="another")
    shutil.rmtree(place.work.path)
    with pytest.raises(LabProblem, match="another host has made these machines") as caught:
        up.up(place, host.progress)
    assert "`halab down` removes them" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES
    host.down(place)
    assert host.machines == []


def test_another_hosts_lab_of_another_name_is_in_nobodys_way(host: Host) -> None:
    """Containers of CI have the same paths, and share an engine."""
    host.lab("a", "theirs", host="another")
    shutil.rmtree(host.folder / "a" / ".halab")
    allocation.release(host.folder / "a" / ".halab")
    place = host.place("a", "mine")
    host.up(place)
    host.down(place)
    assert [name for name, _ in host.machines] == MACHINES


@pytest.mark.parametrize("is_held", [True, False])
def test_down_needs_no_work_folder(host: Host, is_held: bool) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    if not is_held:
        allocation.release(place.work.path)
    assert sorted(host.down(place)) == [f"halab-ha-{name}" for name in MACHINES]
    assert host.machines == []
    assert allocation.held() == []
    assert not place.work.path.exists()


def test_down_finds_what_the_folder_has_made_under_another_name(host: Host) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    allocation.release(place.work.path)
    host.down(host.place("a", "other"))
    assert host.machines == []


def test_status_says_what_is_lost_and_what_to_do(host: Host) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    seen = status.look(place)
    assert not seen.steady
    assert seen.missing == (
        f"the keys of the lab's machines are not in {place.work.path}: nobody can log in to them any more; "
        f"`halab up` makes the lab anew",
    )
    assert not place.work.path.exists()
    with pytest.raises(LabProblem, match="the keys of the lab's machines are not in") as caught:
        labs.existing(place)
    assert caught.value.hint == "`halab up` makes the lab anew, `halab down` removes what is left of it"


def test_a_command_that_came_to_nothing_leaves_a_lost_lab_to_gc(host: Host) -> None:
    place = host.lab("a")
    shutil.rmtree(place.work.path)
    for command in (up.start, up.stop):
        with pytest.raises(LabProblem, match="the keys of the lab's machines are not in"):
            command(place, host.progress)
    assert not place.work.path.exists()


def test_a_user_who_holds_nothing_does_not_take_a_lab_over(host: Host) -> None:
    place = host.lab("a")
    allocation.release(place.work.path)
    with pytest.raises(LabProblem, match="this user holds no network for it") as caught:
        up.up(place, host.progress)
    assert "halab down && halab up" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES


# moved


@pytest.fixture
def moved(host: Host) -> LabDir:
    host.lab("a")
    (host.folder / "a").rename(host.folder / "b")
    return open_file(host.folder / "b" / "lab.yml")


def test_a_lab_whose_folder_was_moved_says_how_to_move_it_back(host: Host, moved: LabDir) -> None:
    for ask in (
        lambda: up.up(moved, host.progress),
        lambda: labs.existing(moved),
        lambda: status.look(moved),
    ):
        with pytest.raises(
            LabProblem, match=f"was made in {host.folder}/a, and its folder was moved"
        ) as caught:
            ask()
        assert f"`mv {host.folder}/b {host.folder}/a`" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES
    # as it says
    (host.folder / "b").rename(host.folder / "a")
    assert labs.existing(open_file(host.folder / "a" / "lab.yml")).name == "ha"


def test_a_work_folder_that_was_moved_by_itself_is_moved_back_by_itself(host: Host) -> None:
    place, other = host.lab("a"), host.place("b")
    place.work.path.rename(other.work.path)
    with pytest.raises(LabProblem) as caught:
        labs.existing(other)
    assert f"`mv {other.work.path} {place.work.path}`" in (caught.value.hint or "")


def test_a_lab_whose_folder_was_moved_is_taken_down_from_where_that_is_now(
    host: Host, moved: LabDir
) -> None:
    assert sorted(host.down(moved)) == [f"halab-ha-{name}" for name in MACHINES]
    assert host.machines == []
    assert allocation.held() == []
    host.up(moved)


def test_a_moved_folder_whose_machines_are_gone_begins_anew(host: Host, moved: LabDir) -> None:
    host.provider.remove("ha", Work(host.folder / "a" / ".halab"))
    key = moved.work.private_key.read_text()
    moved.work.journal.write_text("a fault of a lab that is gone")
    host.up(moved)
    assert not moved.work.journal.exists()
    assert not moved.work.private_key.exists() or moved.work.private_key.read_text() != key


def test_a_name_that_a_lab_without_a_folder_has_is_not_given_away(host: Host) -> None:
    host.lab("a")
    (host.folder / "a").rename(host.folder / "elsewhere")
    with pytest.raises(LabProblem, match="the work folder that it was made from is gone") as caught:
        up.up(host.place("b"), host.progress)
    assert "`halab gc` removes the machines" in (caught.value.hint or "")
    # who moves it back has it as it was
    (host.folder / "elsewhere").rename(host.folder / "a")
    assert labs.existing(open_file(host.folder / "a" / "lab.yml")).name == "ha"


# copied


@pytest.fixture
def copied(host: Host) -> LabDir:
    place = host.lab("a")
    place.work.journal.write_text("a fault of the other lab")
    shutil.copytree(host.folder / "a", host.folder / "b")
    return open_file(host.folder / "b" / "lab.yml")


def test_a_copy_is_told_whose_the_lab_is(host: Host, copied: LabDir) -> None:
    with pytest.raises(
        LabProblem, match=f"another lab on this host is called ha: {host.folder}/a"
    ) as caught:
        up.up(copied, host.progress)
    assert f"`cd {host.folder}/a && halab down`" in (caught.value.hint or "")
    with pytest.raises(LabProblem, match=f"is that of another folder: {host.folder}/a"):
        labs.existing(copied)
    assert [name for name, _ in host.machines] == MACHINES


def test_a_copy_is_taken_down_without_the_lab_that_it_was_copied_from(host: Host, copied: LabDir) -> None:
    assert host.down(copied) == []
    assert [name for name, _ in host.machines] == MACHINES
    assert labs.existing(open_file(host.folder / "a" / "lab.yml")).name == "ha"


def test_a_copy_under_a_name_of_its_own_takes_no_key_and_no_fault_with_it(
    host: Host, copied: LabDir
) -> None:
    key = copied.work.private_key.read_text()
    known = copied.work.of_vagrant("cp1", host.kind) / "id"
    known.parent.mkdir(parents=True)
    known.write_text("the machine of the other lab")
    host.up(host.place("b", "mine"))
    assert not known.exists()
    assert not copied.work.journal.exists()
    assert not copied.work.private_key.exists() or copied.work.private_key.read_text() != key
    assert [work for _, work in host.machines] == [str(host.folder / "a" / ".halab")] * 4


# names


def test_a_name_made_up_is_the_same_for_a_folder_and_another_one_for_every_other(host: Host) -> None:
    one, other = host.place("my Lab_2", "auto"), host.place("my lab 2", "auto")
    assert one.name != other.name
    assert {one.name.rpartition("-")[0], other.name.rpartition("-")[0]} == {"my-lab-2"}
    assert host.place("my Lab_2", "auto").name == one.name


@pytest.mark.parametrize(
    "folder", ["/", "/labs/ä", "/labs/3", "/labs/-", "/labs/a-long-name-of-a-folder", "/x/a.b"]
)
def test_every_folder_gives_a_name_that_a_lab_may_have(folder: str) -> None:
    from halab.config.lab import LabFile

    name = labs.name_of(Path(folder))
    assert LabFile(name=name).name == name


def test_another_hosts_folder_of_the_same_path_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = labs.name_of(Path("/builds/ha"))
    monkeypatch.setattr(identity, "of_this_host", lambda: "another")
    assert labs.name_of(Path("/builds/ha")) != here


def test_labs_with_names_made_up_live_side_by_side(host: Host) -> None:
    host.lab("a", "auto")
    host.up(host.place("b", "auto"))
    assert len({each.name for each in allocation.held()}) == 2
    assert [name for name, _ in host.machines] == MACHINES


def test_down_of_a_lab_that_is_known_fails_where_nobody_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(place: LabDir) -> Provider:
        raise HostProblem("no docker engine answers")

    monkeypatch.setattr(providers, "connect", silent)
    (tmp_path / "lab.yml").write_text("")
    place = open_file(tmp_path / "lab.yml")
    assert down(place, Recorded()) == []
    brought_up(tmp_path)
    with pytest.raises(HostProblem, match="no docker engine answers"):
        down(place, Recorded())
