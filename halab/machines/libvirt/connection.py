"""A connection to libvirt: the one home of its library. It ends when nobody answers, and is made again.

The library is an extra (`halab[libvirt]`): it is imported when virtual machines are asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

from halab.clock import within
from halab.errors import HostProblem, TimedOut
from halab.machines.host import remote_env, tunnel
from halab.machines.libvirt.retry import until_unchanged

T = TypeVar("T")

# Over SSH a slow login takes its time.
_OPEN_SECONDS = 30
# After how many seconds of silence it is asked whether it is there, and how often without an answer: 40 s in all.
_ALIVE_SECONDS_TIMES = (10, 3)
_HINT = "start libvirt (`sudo systemctl start libvirtd`), and see `halab doctor`"


class LibvirtConnection:
    """`handle` is the library's own, for what is asked within `answering`. HostProblem where nobody answers."""

    def __init__(self, handle: Any = None, *, uri: str | None = None) -> None:
        self.library = _library()
        self.uri = uri or remote_env.libvirt_address()
        self.remote = None if handle else remote_env.by_libvirt(self.uri)
        if self.remote:
            # it says plainly what is wrong with the way there, and asks nobody for a password
            tunnel.to(self.remote)
        self.handle = handle
        with self.answering():
            pass

    @contextmanager
    def answering(self) -> Iterator[None]:
        """HostProblem instead of what libvirt says of a question in this block."""
        asked = None
        try:
            asked = self._awake()
            yield
        except self.library.libvirtError as error:
            said = error.get_error_message() or str(error)
            if not self._is_alive(asked):
                raise HostProblem(f"libvirt at {self.uri} does not answer: {said}", hint=_HINT) from error
            raise HostProblem(f"libvirt refused: {said}") from error

    def seen(self, look: Callable[[], T]) -> T:
        """What a look sees while nothing goes that it has been told of."""
        with self.answering():
            return until_unchanged(self.library, look)

    def _awake(self) -> Any:
        """One that libvirt has ended, because it was started anew or was silent for too long, is made again."""
        if self._is_alive(self.handle):
            return self.handle
        try:
            self.handle = within(_OPEN_SECONDS, f"libvirt at {self.uri}", self._opened)
        except TimedOut as error:
            raise HostProblem(error.message, hint=_HINT) from error
        return self.handle

    def _opened(self) -> Any:
        handle = self.library.open(self.uri)
        # no call has a time limit of its own: all of them end with the connection when nobody is there any more
        with suppress(self.library.libvirtError):
            handle.setKeepAlive(*_ALIVE_SECONDS_TIMES)
        return handle

    def _is_alive(self, handle: Any) -> bool:
        try:
            return handle is not None and bool(handle.isAlive())
        except self.library.libvirtError:
            return False


def _library() -> Any:
    try:
        import libvirt
    except ImportError as error:
        raise HostProblem(
            f"libvirt-python is not there: {error}",
            hint="sudo apt-get install libvirt-dev pkg-config gcc python3-dev && pip install 'halab[libvirt]'",
        ) from error
    # it prints every error to stderr, those that are expected too
    with suppress(AttributeError):
        libvirt.registerErrorHandler(_silent, None)
    _hear_events(libvirt)
    return libvirt


@cache
def _hear_events(libvirt: Any) -> None:
    """Only by its loop of events does libvirt notice that nobody answers: once for each process, before it connects."""
    libvirt.virEventRegisterDefaultImpl()

    def hear() -> None:
        while True:
            with suppress(libvirt.libvirtError):
                libvirt.virEventRunDefaultImpl()

    threading.Thread(target=hear, daemon=True, name="libvirt's events").start()


def _silent(context: object, error: object) -> None:
    pass
