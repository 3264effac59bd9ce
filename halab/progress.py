"""Progress of long work. The command line shows it; tests and libraries may ignore it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Step(Protocol):
    def note(self, text: str) -> None:
        """Show the present state beside the step while it lasts."""

    def done(self, text: str, *, is_good: bool | None = True) -> None:
        """Show a result beside the step when it ends. `is_good` is None if it is not known yet."""


class Progress(Protocol):
    def step(self, what: str, *, limit_seconds: float | None = None) -> AbstractContextManager[Step]:
        """Show one piece of work. It fails if an exception leaves the block.

        Several threads may have steps at the same time.
        """

    def say(self, text: str) -> None:
        """Show a line that belongs to no step."""


class Quiet:
    """Shows nothing."""

    @contextmanager
    def step(self, what: str, *, limit_seconds: float | None = None) -> Iterator[Step]:
        yield self

    def say(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def done(self, text: str, *, is_good: bool | None = True) -> None:
        pass
