"""Power and plugs of a lab's machines, from outside of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class PowerState(StrEnum):
    RUNNING = "running"
    FROZEN = "frozen"
    OFF = "off"
    GONE = "gone"


class Power(Protocol):
    """Acts on machines by their names. What is as it should be already is left alone."""

    def cut(self, machine: str) -> None:
        """Pull the plug: nothing in the machine is told, nothing is written back."""

    def shut_down(self, machine: str) -> None:
        """Ask the machine's init to stop everything, and wait until it is off."""

    def start(self, machine: str) -> None:
        """Switch on, with its addresses on every network, and make it reachable over SSH again."""

    def reset(self, machine: str) -> None:
        """Off and on again at once: what was not flushed is lost."""

    def freeze(self, machine: str) -> None:
        """Stop every process of the machine where it stands."""

    def thaw(self, machine: str) -> None: ...

    def link(self, machine: str, *, up: bool) -> None:
        """The plug of the lab's network. The way in over SSH is another network, and stays."""

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        """So many cores and no more; None is what the lab file gives it."""

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        """So many writes a second to the machine's disk and no more; None is no limit.

        Unable where the machine's disk is not its own.
        """

    def remove(self, machine: str) -> None:
        """Destroy the machine and its disks, as a lost host is lost."""

    def state(self, machine: str) -> PowerState: ...
