"""How long work tells what it does. The command line shows it; tests and libraries may stay quiet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Step(Protocol):
    def note(self, text: str) -> None:
        """What is seen right now: shown beside the step while it lasts."""

    def done(self, text: str) -> None:
        """What came of it: shown beside the step when it ends well."""


class Progress(Protocol):
    def step(self, what: str, *, limit_seconds: float | None = None) -> AbstractContextManager[Step]:
        """One piece of work: it ends well, or with the exception that leaves the block.

        Steps may run at the same time, from several threads.
        """

    def say(self, text: str) -> None:
        """A line that stands by itself."""


class Quiet:
    """Shows nothing."""

    @contextmanager
    def step(self, what: str, *, limit_seconds: float | None = None) -> Iterator[Step]:
        yield self

    def say(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def done(self, text: str) -> None:
        pass
