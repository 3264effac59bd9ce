"""The hosts that play labs, as the fleet needs them: the seam to the library that connects them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class HostGone(Exception):
    """A host does not answer any more."""


class Task(Protocol[T_co]):
    """Something that takes long, on a host."""

    @property
    def is_over(self) -> bool: ...

    def result(self) -> T_co:
        """What came of it. Raises HostGone, or what the host raised."""

    def cancel(self) -> None:
        """Do not begin it any more. If it has begun, it goes on."""


class Cluster(Protocol):
    def hosts(self) -> Mapping[str, str]:
        """The names of the hosts that are there, by address. Raises HostProblem if nobody knows."""

    def ask(self, address: str, act: Callable[..., T], *args: object) -> T:
        """Call a function on a host at once. Raises HostGone, or what the function raises."""

    def begin(self, address: str, act: Callable[..., T], *args: object) -> Task[T]:
        """Let a host do something that takes long, as soon as it does nothing else of this kind."""
