"""End a run that hangs, as Ctrl-C would end it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# The sum of the limits is an estimate: a run that takes so many times as long hangs.
HANGING = 2.0
# A run that is ended heals its faults. If that hangs too, it is ended after this time.
_AGAIN_SECONDS = 600.0


class OverLimit(KeyboardInterrupt):
    """A run has taken longer than its limit. It is no HalabError: what waits for something would just try again."""


@contextmanager
def ended_after(seconds: float, what: str, *, again_seconds: float = _AGAIN_SECONDS) -> Iterator[None]:
    """Raise OverLimit, which says `what`, if the block takes longer; only in the main thread.

    The time in which the host sleeps does not count.
    """

    def end(number: int, frame: FrameType | None) -> None:
        raise OverLimit(what)

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, again_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
