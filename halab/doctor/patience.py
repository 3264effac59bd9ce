"""Asking once, and not for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from halab.errors import HalabError, TimedOut

T = TypeVar("T")


class Once(Generic[T]):
    """A call whose outcome, value or error, is kept; threads that ask meanwhile wait for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._outcome: list[T] = []
        self._error: HalabError | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._error:
                raise self._error
            if not self._outcome:
                try:
                    self._outcome.append(self._call())
                except HalabError as error:
                    self._error = error
                    raise
            return self._outcome[0]


def within(limit_seconds: float, who: str, call: Callable[[], T]) -> T:
    """What a call returns that knows no time limit of its own; TimedOut where it takes longer.

    The call is left behind in a thread that does not keep halab from ending.
    """
    outcome: list[T] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # raised again below, in the thread that asked
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limit_seconds)
    if errors:
        raise errors[0]
    if not outcome:
        raise TimedOut(f"{who} does not answer within {limit_seconds:g} s")
    return outcome[0]
