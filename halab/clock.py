"""Clocks, and waits with a deadline that report what they last saw."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from halab.errors import TimedOut

T = TypeVar("T")


class Clock(Protocol):
    def now(self) -> float:
        """Seconds of a monotonic clock."""

    def sleep(self, seconds: float) -> None: ...


class RealClock:
    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class NotYet(Exception):
    """Raised by the check of a wait to continue waiting; the text says what was seen."""


@dataclass(frozen=True)
class Deadline:
    clock: Clock
    at: float
    limit_seconds: float

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> Deadline:
        return cls(clock, clock.now() + seconds, seconds)

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self.at - self.clock.now())

    @property
    def expired(self) -> bool:
        return self.clock.now() >= self.at


def wait_for(what: str, check: Callable[[], T], deadline: Deadline, *, every_seconds: float = 0.5) -> T:
    """Call `check` until it returns; while it raises NotYet, sleep and try again until the deadline."""
    while True:
        try:
            return check()
        except NotYet as seen:
            if deadline.expired:
                raise TimedOut(
                    f"waited {deadline.limit_seconds:.0f} s for {what}; last seen: {seen}"
                ) from None
        deadline.clock.sleep(min(every_seconds, max(0.01, deadline.remaining_seconds)))


def within(limit_seconds: float, who: str, call: Callable[[], T]) -> T:
    """The result of a call that has no time limit of its own. Raises TimedOut if it takes longer.

    The call then goes on in a thread, which does not prevent halab from exiting.
    """
    outcome: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # raised again below, in the caller's thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_seconds)
    if errors:
        raise errors[0]
    if not outcome:
        raise TimedOut(f"{who} does not answer within {limit_seconds:g} s")
    return outcome[0]
