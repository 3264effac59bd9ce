"""What root made in the user's home under sudo is given to the user."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from halab import sudo


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """A home where everything belongs to root, but which is that of the user who called sudo; what was given back."""
    changed: set[str] = set()

    def chown(name: str | Path, user: int, group: int, *, dir_fd: int | None, follow_symlinks: bool) -> None:
        assert (user, group, follow_symlinks) == (os.getuid(), 1000, False)
        folder = Path(f"/proc/self/fd/{dir_fd}").readlink() if dir_fd is not None else Path()
        changed.add(str((folder / name).relative_to(tmp_path / "home")))

    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SUDO_UID", str(os.getuid()))
    monkeypatch.setenv("SUDO_GID", "1000")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", chown)
    monkeypatch.setattr(sudo, "_ROOT", os.getuid())
    return changed


def test_a_folder_with_all_that_is_above_and_inside_it_is_given_back(
    tmp_path: Path, given: set[str]
) -> None:
    state = tmp_path / "home/.local/state/halab"
    (state / "locks").mkdir(parents=True)
    (state / "locks/one").touch()
    (tmp_path / "home/mine").touch()
    sudo.give_back([state, tmp_path / "home/never-made", tmp_path / "elsewhere"])
    assert given == {
        ".local", ".local/state", ".local/state/halab", ".local/state/halab/locks", ".local/state/halab/locks/one",
    }  # fmt: skip


def test_what_may_be_outside_of_the_folder_stays_with_root(tmp_path: Path, given: set[str]) -> None:
    boxes, outside = tmp_path / "home/boxes", tmp_path / "outside"
    boxes.mkdir()
    outside.mkdir()
    (outside / "key").touch()
    (boxes / "link").symlink_to(outside)
    (boxes / "second-name").hardlink_to(outside / "key")
    sudo.give_back([boxes])
    assert given == {"boxes", "boxes/link"}


@pytest.mark.parametrize(
    ("name", "value"), [("SUDO_UID", ""), ("SUDO_UID", "many"), ("SUDO_GID", ""), ("SUDO_UID", "54321")]
)
def test_without_sudo_or_in_another_home_nothing_changes(
    tmp_path: Path, given: set[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    (tmp_path / "home/boxes").mkdir()
    monkeypatch.setenv(name, value)
    sudo.give_back([tmp_path / "home/boxes"])
    assert given == set()
    assert (sudo.caller() is None) == (value != "54321")


def test_a_user_calls_no_sudo(given: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert sudo.caller() is None


def test_the_name_of_the_user_is_that_of_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {0: "root", 1000: "anna"}
    monkeypatch.setattr("pwd.getpwuid", lambda user: SimpleNamespace(pw_name=names[user]))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("SUDO_UID", "SUDO_GID"):
        monkeypatch.delenv(name, raising=False)
    assert sudo.user_name() == "root"
    monkeypatch.setenv("SUDO_UID", "1000")
    monkeypatch.setenv("SUDO_GID", "1000")
    assert sudo.user_name() == "anna"
    monkeypatch.setenv("SUDO_UID", "1001")
    assert sudo.user_name() == "user 1001"
