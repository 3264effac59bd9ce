"""The cache folder: locks, and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from halab.errors import CommandFailed, HostProblem
from halab.images import cache
from halab.progress import Quiet


def test_the_environment_may_name_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path


def test_the_default_cache_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HALAB_CACHE", raising=False)
    assert cache.folder().name == "halab"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [("x86_64", "amd64"), ("AMD64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")],
)
def test_names_of_an_architecture_become_one(machine: str, expected: str) -> None:
    assert cache.architecture(machine) == expected


def test_an_architecture_without_kubernetes_is_a_host_problem() -> None:
    with pytest.raises(HostProblem, match="riscv64"):
        cache.architecture("riscv64")


def test_a_lock_that_root_made_in_the_users_cache_is_reported_with_the_way_to_get_it_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(lock: FileLock, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", lock.lock_file)

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with (
        pytest.raises(HostProblem, match="cannot write: .*box-a.lock") as caught,
        cache.locked("box-a", Quiet()),
    ):
        pass
    assert caught.value.hint and f'sudo chown -R "$(id -un)" {cache.folder()}' in caught.value.hint


def test_a_filled_folder_replaces_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "box"
    for content in ("old", "new"):
        with cache.replacing(place) as fresh:
            (fresh / "file").write_text(content)
    assert (place / "file").read_text() == "new"
    assert [path.name for path in (tmp_path / ".building").iterdir()] == []


def test_a_failed_block_leaves_the_old_folder(tmp_path: Path) -> None:
    place = tmp_path / "box"
    with cache.replacing(place) as fresh:
        (fresh / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), cache.replacing(place) as fresh:
        (fresh / "file").write_text("new")
        raise KeyboardInterrupt
    assert (place / "file").read_text() == "old"
    assert list((tmp_path / ".building").iterdir()) == []


def test_leftovers_of_a_killed_build_are_removed(tmp_path: Path) -> None:
    leftover = tmp_path / ".building" / "box.abc123"
    leftover.mkdir(parents=True)
    with cache.replacing(tmp_path / "box"):
        assert not leftover.exists()


def test_a_folder_that_a_child_of_a_killed_build_still_writes_to_is_removed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tmp_path / ".building" / "box.abc123" / "share"
    written.mkdir(parents=True)
    rmdir = os.rmdir

    def busy(path: Any, **options: Any) -> None:
        if Path(path).name == "share":
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), path)
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", busy)
    with cache.replacing(tmp_path / "box"):
        assert written.exists()
        # the child has ended
        monkeypatch.undo()
    assert (tmp_path / "box").is_dir()
    assert list((tmp_path / ".building").iterdir()) == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/cache/file"), "cannot write: /cache/file"),
        (CommandFailed("go failed", code=1, output="write x: no space left on device"), "the disk is full"),
    ],
)
def test_errors_of_a_disk_are_reported_in_plain_words(
    failure: Exception, words: str, tmp_path: Path
) -> None:
    with pytest.raises(HostProblem, match=words) as caught, cache.named_failures(tmp_path):
        raise failure
    assert caught.value.hint and "HALAB_CACHE" in caught.value.hint


def test_other_failures_are_not_changed(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="go failed"), cache.named_failures(tmp_path):
        raise CommandFailed("go failed", code=1)


def test_space_is_checked_for_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    cache.need_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(HostProblem, match=r"needs 1152921504\.6 GB"):
        cache.need_space(tmp_path / "not" / "yet", 1 << 60)


def test_a_lock_is_free_again_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALAB_CACHE", str(tmp_path))
    with pytest.raises(KeyboardInterrupt), cache.locked("box", Quiet()):
        raise KeyboardInterrupt
    with cache.locked("box", Quiet()):
        pass


@pytest.mark.parametrize(
    ("size", "words"), [(1443840, "1 MB"), (119214080, "119 MB"), (2_100_000_000, "2.1 GB"), (512, "1 kB")]
)
def test_sizes_are_written_for_people(size: int, words: str) -> None:
    assert cache.in_words(size) == words
