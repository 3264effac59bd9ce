"""Labs that have lost their work folder: it was removed, moved or copied while the lab was up."""

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
    """Raised instead of creating or starting machines."""


class Engine:
    """A docker engine that knows only labels and names."""

    remote = None

    def __init__(self) -> None:
        self.known: list[MachineInfo] = []
        self.snapshots: list[Saved] = []

    def add(self, lab: str, work: Work, host: str) -> None:
        self.known += [
            MachineInfo(lab, name, f"halab-{lab}-{name}", True, None, False, str(work), host)
            for name in MACHINES
        ]

    def machines(self, lab: str | None = None, work: Work | None = None) -> list[MachineInfo]:
        return [
            machine
            for machine in self.known
            if lab in (None, machine.lab) and (work is None or machine.work == str(work))
        ]

    def remove(self, lab: str, work: Work) -> list[str]:
        gone = self.machines(lab, work)
        self.known = [machine for machine in self.known if machine not in gone]
        return [machine.host_name for machine in gone]

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
    """A host with one provider, on which `up` ends before it boots a machine."""

    def __init__(self, folder: Path, kind: str, provider: Provider, add: Callable[..., None]) -> None:
        self.folder, self.kind, self.provider, self._add = folder, kind, provider, add
        self.progress = Recorded()

    def lab_dir(self, folder: str, name: str = "ha") -> LabDir:
        (self.folder / folder).mkdir(exist_ok=True)
        file = self.folder / folder / "lab.yml"
        file.write_text(f"name: {name}\nprovider: {self.kind}\n")
        return open_file(file)

    def lab(self, folder: str, name: str = "ha", host: str = "") -> LabDir:
        """A lab that is up."""
        lab_dir = self.lab_dir(folder, name)
        brought_up(lab_dir.file.parent, lab_dir.name, provider=self.kind)
        self._add(lab_dir.name, lab_dir.work, host or identity.of_this_host())
        return lab_dir

    def up(self, lab_dir: LabDir) -> None:
        """Run `up` until it would boot machines."""
        with pytest.raises(Booted):
            up.up(lab_dir, self.progress)

    def down(self, lab_dir: LabDir) -> list[str]:
        return down(lab_dir, self.progress)

    @property
    def machines(self) -> list[tuple[str, str]]:
        return [(machine.machine, machine.work) for machine in self.provider.machines()]


@pytest.fixture(params=[of_docker, of_libvirt], ids=["docker", "libvirt"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    def boot(lab_dir: LabDir, lab: Lab, progress: Recorded) -> str:
        raise Booted

    monkeypatch.setattr(providers, "base", boot)
    monkeypatch.setattr(allocation, "host_routes", lambda remote: [])
    opened: Callable[[], AbstractContextManager[tuple[Provider, Callable[..., None]]]] = request.param
    with opened() as (provider, add):
        monkeypatch.setattr(providers, "connect", lambda lab_dir: provider)
        yield Host(tmp_path, request.param.__name__.removeprefix("of_"), provider, add)


# removed


def test_a_lab_whose_work_folder_was_removed_is_rebuilt_with_a_message(host: Host) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    host.up(lab_dir)
    assert host.machines == []
    message = host.progress.lines[0]
    assert "the keys of halab-ha-cp1, halab-ha-cp2, halab-ha-cp3, halab-ha-lb1 are missing from" in message
    assert "halab rebuilds the lab" in message
    (removed,) = [
        line for line in host.progress.lines if line.startswith("end remove the machines without keys")
    ]
    assert all(f"halab-ha-{name}" in removed for name in MACHINES)


def test_keys_that_render_created_later_do_not_count(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    workfiles.preview(lab_dir)
    assert lab_dir.work.private_key.exists()
    host.up(lab_dir)
    assert host.machines == []


@pytest.mark.parametrize("part", ["keys", "made.json"])
def test_an_incomplete_work_folder_counts_as_lost(host: Host, part: str) -> None:
    lab_dir = host.lab("a")
    path = lab_dir.work.path / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    host.up(lab_dir)
    assert host.machines == []


def test_a_complete_lab_is_left_alone(host: Host) -> None:
    lab_dir = host.lab("a")
    key = lab_dir.work.private_key.read_text()
    host.up(lab_dir)
    assert [name for name, _ in host.machines] == MACHINES
    assert lab_dir.work.private_key.read_text() == key


def test_every_command_refuses_another_kubernetes_version_in_the_file(host: Host) -> None:
    lab_dir = host.lab("a")
    lab_dir.file.write_text(lab_dir.file.read_text() + 'kubernetes: {version: "1.35.1"}\n')
    lab_dir = open_file(lab_dir.file)
    for ask in (
        lambda: up.up(lab_dir, host.progress),
        lambda: labs.existing(lab_dir),
        lambda: status.read_status(lab_dir),
    ):
        with pytest.raises(
            LabProblem, match=r"Kubernetes is 1\.37\.\d+ in the lab and 1\.35\.1 in the file"
        ) as caught:
            ask()
        assert "`halab down && halab up`" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES


def test_up_refuses_another_provider_and_down_uses_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = {ProviderKind.DOCKER: Engine(), ProviderKind.LIBVIRT: Engine()}
    monkeypatch.setattr(providers, "connect", lambda lab_dir: engines[labs.provider_of(lab_dir)])
    docker: Any = engines[ProviderKind.DOCKER]
    mine = Host(tmp_path, "docker", docker, docker.add)
    mine.lab("a")
    mine.kind = "libvirt"
    lab_dir = mine.lab_dir("a")
    with pytest.raises(LabProblem, match="the lab ha is up on docker, but .* now names libvirt"):
        up.up(lab_dir, mine.progress)
    assert sorted(mine.down(lab_dir)) == [f"halab-ha-{name}" for name in MACHINES]


def test_auto_keeps_the_provider_of_the_allocation_even_without_a_work_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`down` from cron must not decide again: on libvirt it would leave the containers behind, and the reverse."""
    engines = {ProviderKind.DOCKER: Engine(), ProviderKind.LIBVIRT: Engine()}
    monkeypatch.setattr(providers, "connect", lambda lab_dir: engines[labs.provider_of(lab_dir)])
    libvirt: Any = engines[ProviderKind.LIBVIRT]
    mine = Host(tmp_path, "libvirt", libvirt, libvirt.add)
    shutil.rmtree(mine.lab("a").work.path)
    mine.kind = "auto"
    lab_dir = mine.lab_dir("a")
    assert labs.provider_of(lab_dir) is ProviderKind.LIBVIRT
    assert sorted(mine.down(lab_dir)) == [f"halab-ha-{name}" for name in MACHINES]
    assert labs.provider_of(lab_dir) is ProviderKind.DOCKER


def test_a_lost_lab_may_have_another_name_and_another_kubernetes_in_its_file(host: Host) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    other = host.lab_dir("a", "other")
    other.file.write_text(other.file.read_text() + 'kubernetes: {version: "1.35"}\n')
    host.up(open_file(other.file))
    assert host.machines == []
    assert [held.name for held in allocation.held()] == ["other"]


def test_a_lost_lab_without_an_allocation_is_rebuilt_too(host: Host) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    allocation.release(lab_dir.work.path)
    host.up(lab_dir)
    assert host.machines == []


def test_the_lost_snapshots_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with of_docker() as (provider, add):
        assert isinstance(provider, Engine)
        mine = Host(tmp_path, "docker", provider, add)
        lab_dir = mine.lab("a")
        shutil.rmtree(lab_dir.work.path)
        at = datetime(2026, 11, 28, tzinfo=UTC)
        provider.snapshots = [Saved(name, machine, at) for name in ("up", "mine") for machine in MACHINES]
        orphans.reclaim(lab_dir, provider, mine.progress)
        assert any("without its snapshots: mine, up" in line for line in mine.progress.lines)


def test_machines_of_another_host_are_not_removed_although_keys_are_missing(host: Host) -> None:
    lab_dir = host.lab("a", host="another")
    shutil.rmtree(lab_dir.work.path)
    with pytest.raises(LabProblem, match="another host created these machines") as caught:
        up.up(lab_dir, host.progress)
    assert "remove them with `halab down`" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES
    host.down(lab_dir)
    assert host.machines == []


def test_a_lab_of_another_host_with_another_name_does_not_matter(host: Host) -> None:
    """CI containers have the same paths and share an engine."""
    host.lab("a", "theirs", host="another")
    shutil.rmtree(host.folder / "a" / ".halab")
    allocation.release(host.folder / "a" / ".halab")
    lab_dir = host.lab_dir("a", "mine")
    host.up(lab_dir)
    host.down(lab_dir)
    assert [name for name, _ in host.machines] == MACHINES


@pytest.mark.parametrize("is_held", [True, False])
def test_down_needs_no_work_folder(host: Host, is_held: bool) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    if not is_held:
        allocation.release(lab_dir.work.path)
    assert sorted(host.down(lab_dir)) == [f"halab-ha-{name}" for name in MACHINES]
    assert host.machines == []
    assert allocation.held() == []
    assert not lab_dir.work.path.exists()


def test_down_removes_machines_with_an_old_name_of_the_lab(host: Host) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    allocation.release(lab_dir.work.path)
    host.down(host.lab_dir("a", "other"))
    assert host.machines == []


def test_status_reports_lost_keys_and_what_to_do(host: Host) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    seen = status.read_status(lab_dir)
    assert not seen.steady
    assert seen.missing == (
        f"the keys of the lab's machines are missing from {lab_dir.work.path}, so nobody can log in to the machines; "
        f"rebuild the lab with `halab up`",
    )
    assert not lab_dir.work.path.exists()
    with pytest.raises(LabProblem, match="the keys of the lab's machines are missing from") as caught:
        labs.existing(lab_dir)
    assert caught.value.hint == "rebuild the lab with `halab up`, or remove it with `halab down`"


def test_a_failed_command_leaves_no_work_folder(host: Host) -> None:
    lab_dir = host.lab("a")
    shutil.rmtree(lab_dir.work.path)
    for command in (up.start, up.stop):
        with pytest.raises(LabProblem, match="the keys of the lab's machines are missing from"):
            command(lab_dir, host.progress)
    assert not lab_dir.work.path.exists()


def test_a_user_without_the_allocation_cannot_take_over_a_lab(host: Host) -> None:
    lab_dir = host.lab("a")
    allocation.release(lab_dir.work.path)
    with pytest.raises(LabProblem, match="this user has no network allocated for it") as caught:
        up.up(lab_dir, host.progress)
    assert "halab down && halab up" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES


# moved


@pytest.fixture
def moved(host: Host) -> LabDir:
    host.lab("a")
    (host.folder / "a").rename(host.folder / "b")
    return open_file(host.folder / "b" / "lab.yml")


def test_the_error_for_a_moved_folder_says_how_to_move_it_back(host: Host, moved: LabDir) -> None:
    for ask in (
        lambda: up.up(moved, host.progress),
        lambda: labs.existing(moved),
        lambda: status.read_status(moved),
    ):
        with pytest.raises(
            LabProblem, match=f"was built in {host.folder}/a, but its folder was moved"
        ) as caught:
            ask()
        assert f"`mv {host.folder}/b {host.folder}/a`" in (caught.value.hint or "")
    assert [name for name, _ in host.machines] == MACHINES
    # follow the hint
    (host.folder / "b").rename(host.folder / "a")
    assert labs.existing(open_file(host.folder / "a" / "lab.yml")).name == "ha"


def test_a_work_folder_that_was_moved_alone_is_moved_back_alone(host: Host) -> None:
    lab_dir, other = host.lab("a"), host.lab_dir("b")
    lab_dir.work.path.rename(other.work.path)
    with pytest.raises(LabProblem) as caught:
        labs.existing(other)
    assert f"`mv {other.work.path} {lab_dir.work.path}`" in (caught.value.hint or "")


def test_down_works_in_a_moved_folder(host: Host, moved: LabDir) -> None:
    assert sorted(host.down(moved)) == [f"halab-ha-{name}" for name in MACHINES]
    assert host.machines == []
    assert allocation.held() == []
    host.up(moved)


def test_up_in_a_moved_folder_without_machines_builds_a_new_lab(host: Host, moved: LabDir) -> None:
    host.provider.remove("ha", Work(host.folder / "a" / ".halab"))
    key = moved.work.private_key.read_text()
    moved.work.journal.write_text("a fault of a lab that is gone")
    host.up(moved)
    assert not moved.work.journal.exists()
    assert not moved.work.private_key.exists() or moved.work.private_key.read_text() != key


def test_the_name_of_a_lab_without_a_folder_is_taken(host: Host) -> None:
    host.lab("a")
    (host.folder / "a").rename(host.folder / "elsewhere")
    with pytest.raises(LabProblem, match="its work folder is gone") as caught:
        up.up(host.lab_dir("b"), host.progress)
    assert "remove the machines with `halab gc`" in (caught.value.hint or "")
    # after the folder was moved back, the lab is usable
    (host.folder / "elsewhere").rename(host.folder / "a")
    assert labs.existing(open_file(host.folder / "a" / "lab.yml")).name == "ha"


# copied


@pytest.fixture
def copied(host: Host) -> LabDir:
    lab_dir = host.lab("a")
    lab_dir.work.journal.write_text("a fault of the other lab")
    shutil.copytree(host.folder / "a", host.folder / "b")
    return open_file(host.folder / "b" / "lab.yml")


def test_the_error_for_a_copy_names_the_original_folder(host: Host, copied: LabDir) -> None:
    with pytest.raises(
        LabProblem, match=f"another lab on this host is called ha: {host.folder}/a"
    ) as caught:
        up.up(copied, host.progress)
    assert f"`cd {host.folder}/a && halab down`" in (caught.value.hint or "")
    with pytest.raises(LabProblem, match=f"another folder has a lab called ha: {host.folder}/a"):
        labs.existing(copied)
    assert [name for name, _ in host.machines] == MACHINES


def test_down_in_a_copy_does_not_touch_the_original_lab(host: Host, copied: LabDir) -> None:
    assert host.down(copied) == []
    assert [name for name, _ in host.machines] == MACHINES
    assert labs.existing(open_file(host.folder / "a" / "lab.yml")).name == "ha"


def test_a_renamed_copy_inherits_no_keys_and_no_faults(host: Host, copied: LabDir) -> None:
    key = copied.work.private_key.read_text()
    known = copied.work.of_vagrant("cp1", host.kind) / "id"
    known.parent.mkdir(parents=True)
    known.write_text("the machine of the other lab")
    host.up(host.lab_dir("b", "mine"))
    assert not known.exists()
    assert not copied.work.journal.exists()
    assert not copied.work.private_key.exists() or copied.work.private_key.read_text() != key
    assert [work for _, work in host.machines] == [str(host.folder / "a" / ".halab")] * 4


# names


def test_an_automatic_name_is_stable_and_unique_per_folder(host: Host) -> None:
    one, other = host.lab_dir("my Lab_2", "auto"), host.lab_dir("my lab 2", "auto")
    assert one.name != other.name
    assert {one.name.rpartition("-")[0], other.name.rpartition("-")[0]} == {"my-lab-2"}
    assert host.lab_dir("my Lab_2", "auto").name == one.name


@pytest.mark.parametrize(
    "folder", ["/", "/labs/ä", "/labs/3", "/labs/-", "/labs/a-long-name-of-a-folder", "/x/a.b"]
)
def test_every_folder_gives_a_valid_name(folder: str) -> None:
    from halab.config.lab import LabFile

    name = labs.name_of(Path(folder))
    assert LabFile(name=name).name == name


def test_the_same_path_on_another_host_gives_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    here = labs.name_of(Path("/builds/ha"))
    monkeypatch.setattr(identity, "of_this_host", lambda: "another")
    assert labs.name_of(Path("/builds/ha")) != here


def test_labs_with_automatic_names_live_side_by_side(host: Host) -> None:
    host.lab("a", "auto")
    host.up(host.lab_dir("b", "auto"))
    assert len({held.name for held in allocation.held()}) == 2
    assert [name for name, _ in host.machines] == MACHINES


def test_down_of_a_known_lab_fails_if_the_provider_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(lab_dir: LabDir) -> Provider:
        raise HostProblem("no docker engine answers")

    monkeypatch.setattr(providers, "connect", silent)
    (tmp_path / "lab.yml").write_text("")
    lab_dir = open_file(tmp_path / "lab.yml")
    assert down(lab_dir, Recorded()) == []
    brought_up(tmp_path)
    with pytest.raises(HostProblem, match="no docker engine answers"):
        down(lab_dir, Recorded())
