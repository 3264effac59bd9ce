"""A call that is made once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from halab.errors import HalabError

T = TypeVar("T")


class CachedCall(Generic[T]):
    """Make the call at first use and remember its value or its HalabError. Other threads wait for the first one."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._values: list[T] = []
        self._error: HalabError | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._error:
                raise self._error
            if not self._values:
                try:
                    self._values.append(self._call())
                except HalabError as error:
                    self._error = error
                    raise
            return self._values[0]
