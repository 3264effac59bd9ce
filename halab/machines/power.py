"""Power and plugs of a lab's machines, from outside of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Protocol

from halab.errors import LabProblem


class PowerState(StrEnum):
    RUNNING = "running"
    FROZEN = "frozen"
    OFF = "off"
    GONE = "gone"


class Power(Protocol):
    """Acts on machines by their names. A machine that is already as wanted is left alone."""

    def cut(self, machine: str) -> None:
        """Pull the plug: nothing in the machine is warned, nothing is written back."""

    def shut_down(self, machine: str) -> None:
        """Ask the machine's init to stop everything, and wait until the machine is off."""

    def start(self, machine: str) -> None:
        """Switch on, with its addresses on every network, and make it reachable over SSH again."""

    def reset(self, machine: str) -> None:
        """Off and on again at once: what was not flushed is lost."""

    def freeze(self, machine: str) -> None:
        """Stop every process of the machine where it is."""

    def thaw(self, machine: str) -> None: ...

    def link(self, machine: str, *, up: bool) -> None:
        """The plug of the lab's network. SSH goes over another network, and still works."""

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        """Limit the machine to so many cores; None is what the lab file gives it."""

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        """Limit the machine's disk to so many writes a second; None is no limit.

        Raises Unable if the machine has no disk of its own.
        """

    def remove(self, machine: str) -> None:
        """Destroy the machine and its disks, as when a host is lost."""

    def state(self, machine: str) -> PowerState: ...


class LabPower(ABC):
    """What power over containers and over virtual machines have in common: in which state an act is possible.

    What starts with an underscore acts at once, whatever the state is.
    """

    @abstractmethod
    def state(self, machine: str) -> PowerState: ...

    @abstractmethod
    def start(self, machine: str) -> None: ...

    @abstractmethod
    def shut_down(self, machine: str) -> None: ...

    @abstractmethod
    def limit_cpus(self, machine: str, cpus: float | None) -> None: ...

    @abstractmethod
    def limit_writes(self, machine: str, per_second: int | None) -> None: ...

    def cut(self, machine: str) -> None:
        if self.state(machine) in (PowerState.RUNNING, PowerState.FROZEN):
            self._cut(machine)

    def reset(self, machine: str) -> None:
        self._require_running(machine)
        self.cut(machine)
        self.start(machine)

    def freeze(self, machine: str) -> None:
        if self.state(machine) is not PowerState.FROZEN:
            self._require_running(machine)
            self._freeze(machine)

    def thaw(self, machine: str) -> None:
        if self.state(machine) is PowerState.FROZEN:
            self._thaw(machine)

    def link(self, machine: str, *, up: bool) -> None:
        if up and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return  # the next start plugs it in
        self._require_running(machine)
        self._plug(machine, up=up)

    def remove(self, machine: str) -> None:
        if self.state(machine) is not PowerState.GONE:
            self._discard(machine)

    @abstractmethod
    def _cut(self, machine: str) -> None: ...

    @abstractmethod
    def _freeze(self, machine: str) -> None: ...

    @abstractmethod
    def _thaw(self, machine: str) -> None: ...

    @abstractmethod
    def _plug(self, machine: str, *, up: bool) -> None: ...

    @abstractmethod
    def _discard(self, machine: str) -> None: ...

    def _require_running(self, machine: str) -> None:
        state = self.state(machine)
        if state is not PowerState.RUNNING:
            raise LabProblem(
                f"{machine} must be running for this, but is {state}",
                hint="`halab heal` heals open faults; if there are none, `halab up` starts the machine",
            )
