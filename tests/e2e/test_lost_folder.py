"""A lab whose work folder is removed, moved or copied while it is up, at a real engine."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

# A lab of one comes up within a minute on two cores. What is to be seen is that nobody waits for a machine to boot that
# cannot be logged in to, which takes 300 s.
_BOOT_SECONDS = 300


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("lost") / "lab"
    yield from lab_in(folder, "name: auto\ncontrol_planes: 1\n")


def machines(lab: UserLab) -> str:
    return engine_names("container", lab.status()["lab"])


def test_a_removed_work_folder_is_seen_at_once_and_up_makes_the_lab_anew(lab: UserLab) -> None:
    before = machines(lab)
    shutil.rmtree(lab.folder / ".halab")
    status = lab.halab("status")
    assert status.code == 3
    assert "not steady: the keys of the lab's machines are not in" in status.output
    began = time.monotonic()
    said = lab.halab("up")
    assert said.code == 0, str(said)
    assert "the lab is made anew" in said.errors
    assert time.monotonic() - began < _BOOT_SECONDS
    assert lab.status()["steady"]
    assert set(before.split()).isdisjoint(machines(lab).split())


def test_a_moved_folder_is_told_the_way_back(lab: UserLab) -> None:
    there = lab.folder.with_name("elsewhere")
    lab.folder.rename(there)
    try:
        for verb in ("status", "up"):
            done = UserLab(there).halab(verb)
            assert done.code == 3
            assert f"`mv {there} {lab.folder}`" in done.errors
    finally:
        there.rename(lab.folder)
    lab.wait_until_steady()


def test_a_copy_is_another_lab(lab: UserLab) -> None:
    """`name: auto` gives it a name of its own, and it has no machines yet."""
    copy = UserLab(lab.folder.with_name("copy"))
    shutil.copytree(lab.folder, copy.folder)
    before = machines(lab)
    done = copy.halab("status")
    assert (done.code, "is not up" in done.errors) == (3, True), str(done)
    copy.ok("down")
    assert machines(lab) == before
    lab.wait_until_steady()


def test_down_removes_a_lab_whose_work_folder_is_gone(lab: UserLab) -> None:
    name = lab.status()["lab"]
    shutil.rmtree(lab.folder / ".halab")
    lab.ok("down")
    assert engine_names("container", name) + engine_names("network", name) == ""
