"""A connection to libvirt. It ends when libvirt does not answer, and is opened again for the next question.

The library is optional (the extra `libvirt` in pyproject.toml): the modules of this package import it when they talk to
libvirt.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TypeVar

from halab.clock import within
from halab.errors import HostProblem, TimedOut
from halab.machines.host import remote_env, tunnel
from halab.machines.libvirt.handles import Handle
from halab.machines.libvirt.retry import until_unchanged

T = TypeVar("T")

# A login over SSH may be slow.
_OPEN_SECONDS = 30
# After so many seconds of silence libvirt is asked whether it is there; so many times without an answer: 40 s in all.
_ALIVE_SECONDS_TIMES = (10, 3)
_HINT = "start libvirt (`sudo systemctl start libvirtd`), and see `halab doctor`"


class LibvirtConnection:
    """Questions to libvirt. Raises HostProblem if it does not answer."""

    def __init__(self, handle: Handle | None = None, *, uri: str | None = None) -> None:
        _load_library()
        self.uri = uri or remote_env.libvirt_address()
        self.remote = None if handle else remote_env.by_libvirt(self.uri)
        if self.remote:
            # opened first, it reports plainly what is wrong with the way there, and asks nobody for a password
            tunnel.TUNNELS.to(self.remote)
        self._handle = handle
        with self.answering():
            pass

    @contextmanager
    def answering(self) -> Iterator[Handle]:
        """The library's own connection. HostProblem for what libvirt reports in this block."""
        import libvirt

        handle = None
        try:
            handle = self._alive()
            yield handle
        except libvirt.libvirtError as error:
            said = error.get_error_message() or str(error)
            if not _is_alive(handle):
                raise HostProblem(f"libvirt at {self.uri} does not answer: {said}", hint=_HINT) from error
            raise HostProblem(f"libvirt refused: {said}") from error

    def seen(self, look: Callable[[Handle], T]) -> T:
        """The result of a look during which nothing was removed."""
        with self.answering() as handle:
            return until_unchanged(lambda: look(handle))

    def _alive(self) -> Handle:
        """Open the connection again if libvirt ended it: after a restart, or after too long a silence."""
        if self._handle is None or not _is_alive(self._handle):
            try:
                self._handle = within(_OPEN_SECONDS, f"libvirt at {self.uri}", self._opened)
            except TimedOut as error:
                raise HostProblem(error.message, hint=_HINT) from error
        return self._handle

    def _opened(self) -> Handle:
        import libvirt

        handle: Handle = libvirt.open(self.uri)
        # no call has a time limit of its own: all calls end with the connection when libvirt is silent
        with suppress(libvirt.libvirtError):
            handle.setKeepAlive(*_ALIVE_SECONDS_TIMES)
        return handle


def _is_alive(handle: Handle | None) -> bool:
    import libvirt

    try:
        return handle is not None and bool(handle.isAlive())
    except libvirt.libvirtError:
        return False


def _load_library() -> None:
    try:
        import libvirt
    except ImportError as error:
        raise HostProblem(
            f"libvirt-python is not installed: {error}",
            # into the environment of this halab; halab itself is not on PyPI
            hint=f"{sys.executable} -m pip install 'libvirt-python>=9.0'; `halab doctor` says what else it needs",
        ) from error
    # by itself it prints every error to stderr, also those that are expected
    with suppress(AttributeError):
        libvirt.registerErrorHandler(_silent, None)
    _run_event_loop()


@cache
def _run_event_loop() -> None:
    """Run libvirt's event loop: without it libvirt does not notice silence. Once per process, before it connects."""
    import libvirt

    libvirt.virEventRegisterDefaultImpl()

    def run() -> None:
        while True:
            with suppress(libvirt.libvirtError):
                libvirt.virEventRunDefaultImpl()

    threading.Thread(target=run, daemon=True, name="libvirt's events").start()


def _silent(context: object, error: object) -> None:
    pass
