"""The standard streams of halab. An error while writing output never stops the work.

A reader may end (`halab run … | head`), a terminal may hang up, a disk may be full, a stream may be closed. The error
is dropped at the lowest level, below everything that prints: click, rich, warnings, and Python's own flush at exit.
Only output is lost. Before it exits, `main` checks whether data for standard output was lost.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, TextIO

# A pipe that is ready for writing accepts this much without blocking.
_CHUNK_BYTES = select.PIPE_BUF
# How long messages wait for a reader that stopped reading: `| less`, or Ctrl-S.
_STALL_SECONDS = 5.0


class _Output(io.FileIO):
    """A file descriptor for output. After the first error, it accepts all data and writes nothing.

    With `stall_seconds`, data that a reader does not read within that time is dropped, so that it cannot block a heal.
    """

    def __init__(self, descriptor: int, stall_seconds: float | None = None) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._is_terminal = super().isatty()
        self._stall_seconds = stall_seconds
        self._is_stalled = False
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        left = memoryview(data)
        size = left.nbytes
        try:
            while left and self.error is None and self._is_ready():
                # write returns None if another process made the stream non-blocking and it is full
                left = left[super().write(left[:_CHUNK_BYTES]) or 0 :]
        except OSError as error:
            self.error = error
        return size

    @property
    def has_lost_data(self) -> bool:
        """True if output was lost although its reader may still wait for it. A reader that has gone does not count."""
        reader_is_gone = (errno.EPIPE, errno.EIO) if self._is_terminal else (errno.EPIPE,)
        return self.error is not None and self.error.errno not in reader_is_gone

    def _is_ready(self) -> bool:
        if self._stall_seconds is None:
            limit = None
        else:
            limit = 0 if self._is_stalled else self._stall_seconds * 1000
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        self._is_stalled = not poll.poll(limit)
        return not self._is_stalled


def protect() -> None:
    """Replace Python's standard streams by streams that survive the loss of the other end."""
    for descriptor in range(3):
        _reserve(descriptor)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)))
    codecs.register_error("halab", _as_it_was_or_escaped)
    sys.stdout = _text(1, sys.stdout, _Output(1), "halab")
    sys.stderr = _text(2, sys.stderr, _Output(2, _STALL_SECONDS), "backslashreplace")


def use_utf8() -> None:
    """Restart Python in UTF-8 mode if the locale has another encoding.

    The files of halab, and those that people write for it, are UTF-8 in every locale.
    """
    if not sys.flags.utf8_mode and sys.getfilesystemencoding() != "utf-8":
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def has_reader() -> bool:
    """False as soon as writing to standard output has failed. An endless view asks this to know when to stop."""
    output = _raw(sys.stdout)
    return output is None or output.error is None


def lost_data() -> OSError | None:
    """The error that lost data on standard output, or None."""
    sys.stdout.flush()
    output = _raw(sys.stdout)
    return output.error if output and output.has_lost_data else None


def _reserve(descriptor: int) -> None:
    """Open a closed descriptor, so that no other file becomes standard output."""
    try:
        os.fstat(descriptor)
    except OSError:
        # standard output is opened for reading only: writing fails, and `main` reports it
        os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
        os.set_inheritable(descriptor, True)


def _text(descriptor: int, old: TextIO | None, raw: _Output, errors: str) -> io.TextIOWrapper:
    if old is not None:
        old.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=old.encoding if old else "utf-8",
        errors=errors,
        line_buffering=descriptor == 2 or raw.isatty(),
    )


def _raw(stream: TextIO) -> _Output | None:
    """The raw output below a stream; None if a test replaced the stream."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None


def _as_it_was_or_escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Keep the bytes of file names that are not UTF-8. Write other unencodable characters as `\\ud83d`."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)
