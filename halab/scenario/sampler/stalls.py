"""Keeps this process from standing still, and detects if it did: a signal stopped it, or it had no processor.

Otherwise servers would be blamed: when the process continues, the time limits of its questions are over, and answers
that came in time have not been read.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

_EVERY_SECONDS = 0.1
# On a busy host, every beat is a little late.
_LATE_SECONDS = 0.1
_WORTH_A_LINE_SECONDS = 0.5
_STOPS_REMEMBERED = 100
# Even the lowest real-time priority comes before all normal ones.
_LOWEST_REAL_TIME = 1


def come_first() -> None:
    """Give this process the processor before all work of normal priority: the machines of a lab may use all there is.

    Only root and users with a limit `rtprio` may do this. For others, nothing changes. Child processes have normal
    priority. The kernel keeps some time for other work (by default 5 % of each second), so the sampler cannot hang the
    host.
    """
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(_LOWEST_REAL_TIME))


class Pulse:
    """A beat at a fixed rate: if it is late, the process stood still."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._due = now() + _EVERY_SECONDS
        self._stops: deque[tuple[float, float]] = deque(maxlen=_STOPS_REMEMBERED)

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            stood_still = self.beat()
            if stood_still > _WORTH_A_LINE_SECONDS:
                sys.stderr.write(f"the sampler stood still for {stood_still:.1f} s\n")

    def beat(self) -> float:
        """Record how many seconds the process stood still before this beat, and return them."""
        now = self._now()
        late = self._late(now)
        if late:
            self._stops.append((self._due, now))
        self._due = now + _EVERY_SECONDS
        return late

    def stood_still(self, since: float) -> float:
        """How many seconds the process stood still since a moment. The next beat may still be due."""
        now = self._now()
        stops = [*self._stops, (self._due, now)] if self._late(now) else self._stops
        return sum(max(0.0, until - max(begun, since)) for begun, until in stops)

    def _late(self, now: float) -> float:
        late = now - self._due
        return late if late > _LATE_SECONDS else 0.0
