"""A permit: a file that at most one process holds, for as long as it runs.

A sampler in the background holds one, and ends when the file is gone. So no process id is needed to end it: the end of
a drill, `down`, or the removal of the lab's folder ends it. A game day holds one while it is running.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Permit:
    """A file that at most one process holds, as long as it runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held: int | None = None

    @property
    def is_valid(self) -> bool:
        return self._path.exists()

    @property
    def is_held(self) -> bool:
        """True if a process holds it now."""
        try:
            with self._opened() as descriptor:
                # shared: those who ask at the same moment do not take each other for a holder
                return not _lock(descriptor, fcntl.LOCK_SH)
        except OSError:
            return False

    def take(self) -> bool:
        """Hold it until this process ends; False if it is gone, or if another process holds it."""
        try:
            # it stays open, and with it the lock
            return _lock(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return False

    def grant(self) -> None:
        self._path.touch(mode=0o600)

    def hold(self) -> None:
        """Make it, held by this process from its first moment until `end`. OSError if that is not possible.

        Whoever asks `is_held` locks it for a moment, so a permit that is granted first cannot always be taken next.
        """
        fresh = self._path.with_name(f"{self._path.name}.new")
        self._held = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.replace(self._path)

    def end(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
