"""The lab of a bug: copied into a folder, brought up, and taken down whatever happens."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.fakes import Recorded

from halab.bugs import library, reproduction, versions
from halab.bugs.library import Bug
from halab.bugs.versions import BugAt
from halab.errors import BadUsage, LabProblem
from halab.lifecycle import temporary_lab
from halab.lifecycle.lab import LabDir
from halab.progress import Progress

NAME = "etcd-log-blocks-reads"
COPIES = ["bug.yml", "lab.yml", "scenario.yml"]


@dataclass
class Host:
    """A host on which labs are only counted. `failures` are raised by `up` and `down`, one by each call."""

    has_runs: bool = True
    failures: dict[str, list[BaseException]] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    progress: Recorded = field(default_factory=Recorded)

    def up(self, lab_dir: LabDir, progress: Progress) -> None:
        (lab_dir.work.path / "runs").mkdir(mode=0o700, parents=True)
        self._act("up")

    def down(self, lab_dir: LabDir, progress: Progress) -> None:
        self._act("down")
        if not self.has_runs:
            shutil.rmtree(lab_dir.work.path)

    def _act(self, what: str) -> None:
        self.did.append(what)
        if self.failures.get(what):
            raise self.failures[what].pop(0)

    def reproduce(
        self,
        bug: Bug,
        folder: Path,
        *,
        keep: bool = False,
        at: BugAt | None = None,
        ends_with: BaseException | None = None,
    ) -> LabDir:
        deps = temporary_lab.LabDeps(self.up, self.down)
        with reproduction.lab_of(bug, folder, self.progress, deps, keep=keep, at=at) as lab_dir:
            self.did.append("play")
            if ends_with:
                raise ends_with
        return lab_dir

    @property
    def said(self) -> str:
        return "\n".join(self.progress.lines)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "here" / "bug"


def test_the_lab_is_up_while_its_scenario_runs_and_the_runs_stay(host: Host, folder: Path) -> None:
    lab_dir = host.reproduce(library.find(NAME), folder)
    assert host.did == ["up", "play", "down"]
    assert lab_dir.name.startswith("bug-"), "a name of its own"
    assert sorted(path.name for path in folder.iterdir()) == [".halab", *COPIES]


def test_another_version_is_in_the_copy_of_the_lab_file(host: Host, folder: Path) -> None:
    bug = library.find("member-update-forgets-learner")
    lab_dir = host.reproduce(bug, folder, at=versions.at(bug, None))
    assert lab_dir.written.kubernetes.etcd == "3.6.12"
    assert (folder / "scenario.yml").read_bytes() == (bug.folder / "scenario.yml").read_bytes()
    # the same folder again, but not for the version with the bug
    shutil.rmtree(folder / ".halab")
    host.reproduce(bug, folder, at=versions.at(bug, None))
    with pytest.raises(BadUsage, match=r"lab\.yml is different"):
        host.reproduce(bug, folder)


def test_without_a_run_nothing_is_left(host: Host, folder: Path) -> None:
    host.has_runs = False
    folder.parent.mkdir()
    host.reproduce(library.find(NAME), folder)
    assert list(folder.parent.iterdir()) == []


def test_a_lab_to_keep_is_not_taken_down(host: Host, folder: Path) -> None:
    host.reproduce(library.find(NAME), folder, keep=True)
    assert host.did == ["up", "play"]
    assert f"stays; remove it with `halab down -f {folder}/lab.yml`" in host.said


@pytest.mark.parametrize("error", [KeyboardInterrupt(), LabProblem("it broke"), ValueError("a defect")])
def test_whatever_ends_the_play_takes_the_lab_down(host: Host, folder: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        host.reproduce(library.find(NAME), folder, ends_with=error)
    assert host.did == ["up", "play", "down"]


def test_a_lab_that_did_not_come_up_is_removed_and_the_error_says_so(host: Host, folder: Path) -> None:
    host.has_runs, host.failures = False, {"up": [LabProblem("no memory", hint="add some")]}
    with pytest.raises(LabProblem) as caught:
        host.reproduce(library.find(NAME), folder)
    assert host.did == ["up", "down"]
    assert caught.value.hint == "add some\nhalab has removed the lab; to keep it and its logs, use --keep"
    assert not folder.exists()


def test_ctrl_c_while_the_lab_is_removed_removes_it_first(host: Host, folder: Path) -> None:
    host.failures = {"down": [KeyboardInterrupt()]}
    with pytest.raises(KeyboardInterrupt):
        host.reproduce(library.find(NAME), folder)
    assert host.did == ["up", "play", "down", "down"]
    assert "was not removed" not in host.said


@pytest.mark.parametrize("failures", [[KeyboardInterrupt(), KeyboardInterrupt()], [LabProblem("in use")]])
def test_a_lab_that_is_left_is_named(host: Host, folder: Path, failures: list[BaseException]) -> None:
    host.failures = {"down": failures}
    with pytest.raises((KeyboardInterrupt, LabProblem)):
        host.reproduce(library.find(NAME), folder)
    assert f"was not removed; remove it with `halab down -f {folder}/lab.yml`" in host.said


def test_a_failed_removal_does_not_hide_why_the_play_ended(host: Host, folder: Path) -> None:
    host.failures = {"down": [LabProblem("the engine is gone")]}
    with pytest.raises(LabProblem, match="it broke") as caught:
        host.reproduce(library.find(NAME), folder, ends_with=LabProblem("it broke"))
    assert "was not removed" in host.said
    assert not caught.value.hint


def test_a_copy_of_an_earlier_time_is_used_again(host: Host, folder: Path) -> None:
    host.reproduce(library.find(NAME), folder)
    shutil.rmtree(folder / ".halab")
    host.reproduce(library.find(NAME), folder)
    assert host.did == ["up", "play", "down"] * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda folder: (folder / "lab.yml").write_text("name: other\n"), "lab.yml is different"),
     (lambda folder: (folder / "scenario.yml").unlink(), "scenario.yml is missing")],
)  # fmt: skip
def test_files_of_the_user_are_never_replaced(
    host: Host, folder: Path, change: Callable[[Path], object], said: str
) -> None:
    host.reproduce(library.find(NAME), folder)
    change(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(BadUsage, match=said):
        host.reproduce(library.find(NAME), folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_file_in_the_way_is_a_usage_error(host: Host, tmp_path: Path) -> None:
    (tmp_path / "bug").write_text("")
    with pytest.raises(BadUsage, match="not a folder"):
        host.reproduce(library.find(NAME), tmp_path / "bug")


def test_own_files_are_copied_with_their_folders(host: Host, tmp_path: Path) -> None:
    own = tmp_path / "mine"
    shutil.copytree(library.find(NAME).folder, own)
    (own / "manifests").mkdir()
    (own / "manifests/webhook.yml").write_text("kind: List\n")
    host.reproduce(library.find(str(own)), tmp_path / "copy")
    assert (tmp_path / "copy/manifests/webhook.yml").read_text() == "kind: List\n"


def test_a_bug_of_the_user_is_run_in_its_own_folder(host: Host, tmp_path: Path) -> None:
    own = tmp_path / "mine"
    shutil.copytree(library.find(NAME).folder, own)
    host.has_runs = False
    host.reproduce(library.find(str(own)), own)
    assert sorted(path.name for path in own.iterdir()) == COPIES
