"""Power and plugs of machines that are virtual."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.errors import LabProblem, TimedOut
from halab.machines import addresses
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.power import PowerState
from halab.machines.work import Work
from halab.topology.lab import Lab, Machine

# systemd gives a service 90 s to stop.
_SHUT_DOWN_SECONDS = 120


class LibvirtPower:
    """Power over libvirt; machines may be acted on from several threads.

    `set_clock` is told of every machine that goes on after it was frozen: its clock stood still meanwhile.
    """

    def __init__(
        self,
        lab: Lab,
        work: Work,
        hypervisor: Hypervisor,
        *,
        set_clock: Callable[[str], None] = lambda machine: None,
        clock: Clock | None = None,
    ) -> None:
        self._lab = lab
        self._work = work
        self._hypervisor = hypervisor
        self._set_clock = set_clock
        self._clock = clock or RealClock()

    def cut(self, machine: str) -> None:
        if self.state(machine) in (PowerState.RUNNING, PowerState.FROZEN):
            self._hypervisor.cut(*self._of(machine))

    def shut_down(self, machine: str) -> None:
        if self.state(machine) is not PowerState.RUNNING:
            return

        def is_off() -> None:
            # a guest that is still booting does not hear the button: it is pressed again
            if self.state(machine) is PowerState.RUNNING:
                self._hypervisor.shut_down(*self._of(machine))
            if self.state(machine) is not PowerState.OFF:
                raise NotYet("it still runs")

        deadline = Deadline.after(self._clock, _SHUT_DOWN_SECONDS * self._lab.patience)
        try:
            wait_for(f"{machine} to shut down", is_off, deadline, every_seconds=1)
        except TimedOut:
            self.cut(machine)

    def start(self, machine: str) -> None:
        if self.state(machine) in (PowerState.OFF, PowerState.GONE):
            self._hypervisor.start(*self._of(machine))
        addresses.note(self._lab, self._work, self._hypervisor)

    def reset(self, machine: str) -> None:
        """Off and on: libvirt's own reset is lost on a guest whose firmware has just begun.

        QEMU 7.2's default machine keeps the firmware's copy in RAM mapped at a reset. Reset while SeaBIOS makes that
        copy, the processor runs into what is not there yet, and no further reset helps (seen three times, emulated).
        """
        self._require_running(machine)
        self.cut(machine)
        self.start(machine)

    def freeze(self, machine: str) -> None:
        if self.state(machine) is not PowerState.FROZEN:
            self._require_running(machine)
            self._hypervisor.freeze(*self._of(machine))

    def thaw(self, machine: str) -> None:
        if self.state(machine) is PowerState.FROZEN:
            self._hypervisor.thaw(*self._of(machine))
            self._set_clock(machine)

    def link(self, machine: str, *, up: bool) -> None:
        if up and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return  # the next start plugs it in
        self._require_running(machine)
        self._hypervisor.plug(*self._of(machine), up=up)

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        if cpus is None and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return  # the next start has what is written
        self._hypervisor.limit_cpus(*self._of(machine), cpus)

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        if per_second is None and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return  # the next start has no limit
        self._hypervisor.limit_writes(*self._of(machine), per_second)

    def remove(self, machine: str) -> None:
        if self.state(machine) is not PowerState.GONE:
            self._hypervisor.discard(*self._of(machine))
        # Vagrant would log in to the next machine of that name with the key of this one
        addresses.forget(self._work, machine)

    def state(self, machine: str) -> PowerState:
        return self._hypervisor.state(*self._of(machine))

    def _require_running(self, machine: str) -> None:
        state = self.state(machine)
        if state is not PowerState.RUNNING:
            raise LabProblem(f"{machine} has to be running for this, and is {state}")

    def _of(self, machine: str) -> tuple[Lab, Machine, Path]:
        return self._lab, self._lab.machine(machine), self._work.path
