"""The cache folder: locks, checksums, disk space, and folders that appear complete or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from halab import files, sudo
from halab.errors import CommandFailed, HostProblem, TimedOut
from halab.progress import Progress

# A bundle that is built from nothing takes a quarter of an hour on two slow cores.
_LOCK_SECONDS = 3600
_CHUNK_BYTES = 1 << 20
_SPACE_HINT = "free space there, or use a folder on another disk: export HALAB_CACHE=/path"


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
    """The folder of bundles and boxes: $HALAB_CACHE, or the user's cache folder."""
    chosen = os.environ.get("HALAB_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else platformdirs.user_cache_path("halab")


def architecture(machine: str | None = None) -> Architecture:
    """This host's architecture, in the words of Go and of container images."""
    name = (machine or platform.machine()).lower()
    if name not in _MACHINES:
        raise HostProblem(
            f"Kubernetes has no build for this host's architecture: {name}",
            hint="halab runs on amd64 and arm64",
        )
    return _MACHINES[name]


@contextmanager
def locked(name: str, progress: Progress) -> Iterator[None]:
    """Hold a lock among all halab processes that share the cache."""
    path = make_folder(folder() / "locks") / f"{name}.lock"
    lock = FileLock(path)
    try:
        with named_failures(path):
            lock.acquire(timeout=0)
    except Timeout:
        with progress.step(f"wait for another halab process that uses {name}", limit_seconds=_LOCK_SECONDS):
            try:
                lock.acquire(timeout=_LOCK_SECONDS)
            except Timeout as error:
                raise TimedOut(
                    f"another halab process has held this lock for {_LOCK_SECONDS // 60} min: {path}",
                    hint=f"see which process: fuser -v {path}",
                ) from error
    _give_back([path])
    try:
        yield
    finally:
        lock.release()


def make_folder(path: Path) -> Path:
    """The folder; it is made if it does not exist."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    with named_failures(path):
        path.mkdir(parents=True, exist_ok=True)
    _give_back(missing)
    return path


def _give_back(paths: Iterable[Path]) -> None:
    """Give what root made under sudo to the user who called sudo, if the cache is in a folder of theirs."""
    ids = sudo.caller()
    if ids and any(parent.exists() and _owner(parent) == ids[0] for parent in folder().parents):
        for path in paths:
            os.lchown(path, *ids)


def _owner(path: Path) -> int:
    return path.stat().st_uid


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A folder to fill: it replaces `path` when the block ends well, and is removed otherwise.

    The caller holds a lock for `path`. What a killed process left behind is removed.
    """
    # In a folder of its own, so that a list of the folders beside `path` never has a half-filled one.
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
    """Remove what was being made under that name.

    Errors are ignored: a child of a killed build may still write to its folder. It has usually ended when the present
    build ends.
    """
    for leftover in building.glob(f"{name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)


def put(fresh: Path, path: Path) -> None:
    """Move a finished folder to its place; an existing one is removed."""
    make_folder(path.parent)
    _give_back([fresh, *fresh.rglob("*")])
    if not path.exists():
        fresh.rename(path)
        return
    # A folder cannot be renamed to the name of a non-empty one: that is moved away first.
    with tempfile.TemporaryDirectory(
        prefix=f"{path.name}.", dir=make_folder(path.parent / ".building")
    ) as aside:
        path.rename(Path(aside) / "old")
        fresh.rename(path)


@contextmanager
def named_failures(path: Path) -> Iterator[None]:
    """Raise HostProblem for a full disk, or a folder that belongs to another user."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise HostProblem(f"the disk is full: {path}", hint=_SPACE_HINT) from error
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            raise HostProblem(
                f"cannot write: {error.filename or path}",
                hint="use a folder of your own: export HALAB_CACHE=/path; or, if root made files in your own: "
                + files.take_over(folder()),
            ) from error
        raise
    except CommandFailed as error:
        if "no space left on device" in error.output.lower():
            raise HostProblem(f"the disk is full: {path}\n{error.message}", hint=_SPACE_HINT) from error
        raise


def need_space(path: Path, size_bytes: int) -> None:
    """Raise HostProblem if the disk of `path` has less space than a build needs."""
    existing = next(parent for parent in (path, *path.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < size_bytes:
        raise HostProblem(
            f"needs {in_words(size_bytes)}, only {in_words(free)} free: {existing}", hint=_SPACE_HINT
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
