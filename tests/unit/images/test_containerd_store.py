"""Unpacking the images of a bundle. Small shell scripts replace containerd and its client."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.fake_host import bundle_of
from support.fakes import FakeClock

from halab.config.kubernetes import RELEASES
from halab.errors import HalabError, TimedOut
from halab.images import containerd_store
from halab.images.bundle import Bundle
from halab.images.containerd_store import UNPACKED, store_images
from halab.images.manifest import FileRecord
from halab.progress import Quiet

RUNS = "#!/bin/sh\nexec tail -f /dev/null\n"
# It answers as soon as the file `answers` exists, and until then it fails, or takes forever.
CLIENT = """#!/bin/sh
here=$(dirname "$0")
case $* in
  *version) [ -e "$here/answers" ] || SILENT ;;
  *) echo "$*" >>"$here/calls" ;;
esac
"""


class Shown(Quiet):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def bundle(folder: Path, *, daemon: str = RUNS, silent: str = "exit 1") -> Bundle:
    (folder / "bin").mkdir()
    for name, text in (("containerd", daemon), ("ctr", CLIENT.replace("SILENT", silent))):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    plain = bundle_of(RELEASES["1.37"], folder)
    record = FileRecord(size=4, sha256="0" * 64, origin=["a test"])
    files = {f"images/{name}.tar": record for name in ("etcd", "pause")}
    return Bundle(folder, plain.manifest.model_copy(update={"files": files}))


def clock_of_a_slow_host(folder: Path, tries: int) -> FakeClock:
    """The time of a test. A minute passes between two tries; after so many of them, containerd answers."""

    def later() -> None:
        clock.at += 60
        if len(clock.slept) == tries:
            (folder / "bin/answers").touch()

    clock = FakeClock(later)
    return clock


def test_a_containerd_that_takes_minutes_to_start_is_waited_for(tmp_path: Path) -> None:
    shown, tree = Shown(), tmp_path / "tree"
    store_images(bundle(tmp_path), tree, shown, clock_of_a_slow_host(tmp_path, tries=5))
    imports = [line for line in (tmp_path / "bin/calls").read_text().splitlines() if "images import" in line]
    assert [line.rpartition("/")[2] for line in imports] == ["etcd.tar", "pause.tar"]
    assert shown.notes[0] == "containerd starts"
    assert shown.notes[-2:] == ["etcd.tar", "pause.tar"]
    assert (tree / UNPACKED.relative_to("/")).is_dir()


def test_a_question_that_takes_too_long_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containerd_store, "_QUESTION_SECONDS", 0.05)
    slow = bundle(tmp_path, silent="exec tail -f /dev/null")
    store_images(slow, tmp_path / "tree", Quiet(), clock_of_a_slow_host(tmp_path, tries=1))


def test_a_containerd_that_never_answers_is_an_error_that_says_what_was_seen(tmp_path: Path) -> None:
    silent, shown = bundle(tmp_path, silent="{ echo 'no such socket' >&2; exit 1; }"), Shown()
    with pytest.raises(TimedOut, match=r"(?s)for containerd to answer; last seen: .*no such socket"):
        store_images(silent, tmp_path / "tree", shown, clock_of_a_slow_host(tmp_path, tries=99))
    assert shown.notes[-1] == "containerd does not answer: no such socket"


def test_a_containerd_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    ends = bundle(tmp_path, daemon="#!/bin/sh\necho 'no overlay' >&2\nexit 7\n")
    with pytest.raises(HalabError, match="containerd exited with code 7: no overlay"):
        store_images(ends, tmp_path / "tree", Quiet(), FakeClock())


def test_where_run_belongs_to_another_root_containerd_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root of a user namespace may not write to the host's /run, and containerd makes /run/containerd there."""
    programs, seen = tmp_path / "programs", tmp_path / "seen"
    programs.mkdir()
    unshare = f'#!/bin/bash\necho "$1 $4" >{seen}\nexec "${{@:6}}"\n'
    (programs / "unshare").write_text(unshare)
    (programs / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    may, closed = os.access, tmp_path / "closed"
    closed.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: path != closed and may(path, mode))
    for run, expected in (
        (tmp_path, ""),
        (closed, '--mount mount -t tmpfs tmpfs /run && exec "$@"\n'),
    ):
        monkeypatch.setattr(containerd_store, "_FIXED_STATE", run / "containerd")
        folder = tmp_path / f"with-{run.name}"
        folder.mkdir()
        store_images(bundle(folder), folder / "tree", Quiet(), clock_of_a_slow_host(folder, tries=1))
        assert (seen.read_text() if seen.exists() else "") == expected
