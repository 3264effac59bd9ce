"""Scratch folders: gone after the block, and after a process that was killed with the next one."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from halab import files

PREFIX = "halab-test-"


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def left(there: Path, name: str = f"{PREFIX}left", *, seconds: float = 3600) -> Path:
    """A folder that a killed process made that long ago."""
    folder = there / name
    folder.mkdir()
    (folder / "log").touch()
    made = folder.stat().st_mtime - seconds
    os.utime(folder, (made, made))
    return folder


def test_a_scratch_folder_is_there_during_the_block_only(there: Path) -> None:
    with files.scratch(PREFIX) as folder:
        (folder / "log").touch()
        assert folder.parent == there
    assert list(there.iterdir()) == []


def test_what_a_killed_process_left_is_removed(there: Path) -> None:
    folder, other = left(there), left(there, "halab-other-left")
    with files.scratch(PREFIX):
        assert not folder.exists()
    assert other.exists()


def test_the_folder_of_a_process_that_runs_stays(there: Path) -> None:
    with files.scratch(PREFIX) as first:
        os.utime(first, (0, 0))
        with files.scratch(PREFIX):
            assert first.exists()
    # a process may not have locked its folder yet
    young = left(there, seconds=1)
    with files.scratch(PREFIX):
        assert young.exists()


def test_links_files_and_folders_of_others_stay(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = left(there, "mine")
    (there / f"{PREFIX}link").symlink_to(kept)
    (there / f"{PREFIX}file").touch()
    os.utime(there / f"{PREFIX}file", (0, 0))
    others = left(there)
    monkeypatch.setattr(os, "geteuid", lambda: others.stat().st_uid + 1)
    with files.scratch(PREFIX):
        assert (kept / "log").exists()
        assert (there / f"{PREFIX}file").exists()
        assert others.exists()


def test_a_folder_is_locked_by_its_process(there: Path) -> None:
    with files.scratch(PREFIX) as folder:
        descriptor = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
