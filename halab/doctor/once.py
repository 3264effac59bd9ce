"""Asking once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from halab.errors import HalabError

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
