"""The cache folder: locks, checksums, room on the disk, and folders that are there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from halab.errors import CommandFailed, HostProblem, TimedOut
from halab.progress import Progress

# A cold bundle on two slow cores takes a quarter of an hour.
_LOCK_SECONDS = 3600
_CHUNK_BYTES = 1 << 20
_ROOM_HINT = "make room there, or name a folder on another disk: export HALAB_CACHE=/path"


class Architecture(StrEnum):
    AMD64 = "amd64"
    ARM64 = "arm64"


_MACHINES = {
    "x86_64": Architecture.AMD64,
    "amd64": Architecture.AMD64,
    "aarch64": Architecture.ARM64,
    "arm64": Architecture.ARM64,
}


def folder() -> Path:
    """Where bundles and boxes are kept: $HALAB_CACHE, or the user's cache folder."""
    chosen = os.environ.get("HALAB_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("halab")


def architecture(machine: str | None = None) -> Architecture:
    """This host's architecture, in the words of Go and of container images."""
    name = (machine or platform.machine()).lower()
    if name not in _MACHINES:
        raise HostProblem(
            f"no Kubernetes for this host's architecture: {name}", hint="halab runs on amd64 and arm64"
        )
    return _MACHINES[name]


@contextmanager
def locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold a lock among all halab processes that share the cache."""
    path = make_folder(folder() / "locks") / f"{name}.lock"
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with progress.step(f"wait for another halab to be done with {name}", limit_seconds=_LOCK_SECONDS):
            try:
                lock.acquire(timeout=_LOCK_SECONDS)
            except Timeout as error:
                raise TimedOut(
                    f"another halab has held this lock for {_LOCK_SECONDS // 60} min: {path}",
                    hint=f"see which one: fuser -v {path}",
                ) from error
    try:
        yield
    finally:
        lock.release()


def make_folder(path: Path) -> Path:
    """The folder, made where it is missing."""
    with named_failures(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A folder to fill that takes the place of `path` when the block ends well, else it is gone.

    The caller holds a lock for `path`: what a killed process left behind is removed here.
    """
    # Below a folder of its own, so that no listing of the siblings meets a half-filled one.
    building = make_folder(path.parent / ".building")
    _clear(building, path.name)
    fresh = Path(tempfile.mkdtemp(prefix=f"{path.name}.", dir=building))
    fresh.chmod(0o755)
    try:
        with named_failures(path):
            yield fresh
        put(fresh, path)
    finally:
        _clear(building, path.name)


def _clear(building: Path, name: str) -> None:
    """What is or was being made under that name goes.

    Without an error: a child of a killed build may still write to what that one left. It has mostly ended when this
    one ends.
    """
    for each in building.glob(f"{name}.*"):
        shutil.rmtree(each, ignore_errors=True)


def put(fresh: Path, path: Path) -> None:
    """Move a finished folder to its place; one that is there already goes."""
    make_folder(path.parent)
    if not path.exists():
        fresh.rename(path)
        return
    # A folder cannot be renamed over a full one: the old one steps aside first.
    with tempfile.TemporaryDirectory(
        prefix=f"{path.name}.", dir=make_folder(path.parent / ".building")
    ) as aside:
        path.rename(Path(aside) / "old")
        fresh.rename(path)


@contextmanager
def named_failures(path: Path) -> Iterator[None]:
    """A full disk, or a folder that is another user's, is said in those words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostProblem(f"the disk is full: {path}", hint=_ROOM_HINT) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise HostProblem(
                f"cannot write: {error.filename or path}",
                hint="name a folder of yours: export HALAB_CACHE=/path",
            ) from error
        raise
    except CommandFailed as error:
        if "no space left on device" in error.output.lower():
            raise HostProblem(f"the disk is full: {path}\n{error.message}", hint=_ROOM_HINT) from error
        raise


def need_space(path: Path, size_bytes: int) -> None:
    """Refuse to start what cannot end: the disk of `path` has less room than is needed."""
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < size_bytes:
        raise HostProblem(
            f"needs {in_words(size_bytes)}, {in_words(free)} are free: {there}", hint=_ROOM_HINT
        )


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def in_words(size_bytes: int) -> str:
    """A size for people: 2.1 GB, 87 MB."""
    if size_bytes >= 1e9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
