"""Files: reading what people hand to halab (up to a limit), replacing in one step, scratch folders, locks."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from halab.errors import BadUsage, HalabError, HostProblem

# For labs, scenarios, recipes and files of checks: what a person writes is far smaller.
WRITTEN_BYTES = 1_000_000
# For journals of faults and records of runs: halab writes them, and anybody may change them.
RECORD_BYTES = 16_000_000

# A scratch folder is locked at once. One that nobody has locked after this time was left by a killed process.
_UNLOCKED_SECONDS = 60


def read(path: Path, limit_bytes: int) -> bytes:
    """The content of a file. Raises OSError if it does not exist, BadUsage if it is not regular or too large."""
    # do not wait for the writer of a pipe
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _require(path, os.fstat(descriptor), limit_bytes)
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = stream.read(limit_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit_bytes:  # it has grown since, or reports no size, as files below /proc
        raise _too_large(path, limit_bytes)
    return content


def require_regular(path: Path, limit_bytes: int | None = None) -> None:
    """The checks of `read`, for a file that another program will read."""
    _require(path, path.stat(), limit_bytes)


def _require(path: Path, status: os.stat_result, limit_bytes: int | None) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise BadUsage(f"a folder, not a file: {path}", hint="name a file in this folder")
    if not stat.S_ISREG(status.st_mode):
        raise BadUsage(
            f"not a regular file: {path}",
            hint="halab does not read pipes and devices: save the content to a file",
        )
    if limit_bytes is not None and status.st_size > limit_bytes:
        raise _too_large(path, limit_bytes)


def _too_large(path: Path, limit_bytes: int) -> BadUsage:
    limit = f"{limit_bytes // 1_000_000} MB" if limit_bytes >= 1_000_000 else f"{limit_bytes // 1000} kB"
    return BadUsage(f"larger than {limit}: {path}")


def inside(name: str) -> str:
    """A path that people wrote, as the path of a copy below a folder: it never leads out of the folder."""
    return "/".join({"..": "up"}.get(part, part) for part in name.split("/") if part not in ("", "."))


def write_hint(error: OSError) -> str:
    """What to check after a file could not be written."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "check whether you may write there, and whether another user owns the folder"
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "check whether its folder exists"
    return "check whether the disk is full"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise HostProblem with the path and a hint if the block raises OSError."""
    try:
        yield
    except OSError as error:
        raise HostProblem(f"cannot write {path}: {error.strerror}", hint=write_hint(error)) from error


def take_over_hint(error: OSError) -> str:
    """How to take over a folder or file in this user's home that another user owns: usually root, after sudo.

    Empty for other errors.
    """
    if not isinstance(error, PermissionError) or not error.filename:
        return ""
    path, home = Path(os.fsdecode(error.filename)).absolute(), Path.home()
    for folder in reversed([part for part in (path, *path.parents) if home in part.parents]):
        try:
            owner = folder.stat().st_uid
        except OSError:
            return ""
        if owner != os.geteuid():
            return (
                f"another user owns {folder}, perhaps because halab once ran with sudo: {take_over(folder)}"
            )
    return ""


def take_over(folder: Path) -> str:
    """The command that makes the present user the owner of a folder or file."""
    return f'sudo chown -R "$(id -un)" {shlex.quote(str(folder))}'


def replace(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Write a file in one step: a reader sees the old content or the new content, never a mixture."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content if isinstance(content, bytes) else content.encode())
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise HostProblem(f"cannot write {path}: {error.strerror}", hint=write_hint(error)) from error
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A temporary folder during the block. Removes also the folders with this prefix of processes that were killed."""
    _remove_left(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # the lock ends with the process, also if it is killed
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(folder)
        finally:
            os.close(descriptor)


def _remove_left(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # it may be locked, or gone by now
        with suppress(OSError):
            status = folder.lstat()
            is_old = time.time() - status.st_mtime > _UNLOCKED_SECONDS
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and is_old:
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(descriptor)


@contextmanager
def locked(lock: Path, busy: HalabError) -> Iterator[None]:
    """Hold a lock, and make its folder. Raises `busy` if another halab process holds it."""
    # imported only here: `halab --help` needs no lock
    from filelock import FileLock, Timeout

    with writing(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise busy from error
    try:
        yield
    finally:
        held.release()
