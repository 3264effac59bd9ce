"""Power and plugs of machines that are containers."""

from __future__ import annotations

from pathlib import Path

from halab.errors import LabProblem, Unable
from halab.machines import addresses
from halab.machines.docker.engine import Engine
from halab.machines.power import PowerState
from halab.machines.work import Work
from halab.topology.lab import Lab, Machine

# systemd gives a service 90 s to stop; the whole of a control plane took 3 s on 2 cores.
_SHUT_DOWN_SECONDS = 120


class DockerPower:
    """Power over the engine; machines may be acted on from several threads."""

    def __init__(self, lab: Lab, work: Work, engine: Engine) -> None:
        self._lab = lab
        self._work = work
        self._engine = engine

    def cut(self, machine: str) -> None:
        if self.state(machine) in (PowerState.RUNNING, PowerState.FROZEN):
            self._engine.kill(*self._of(machine))

    def shut_down(self, machine: str) -> None:
        if self.state(machine) is PowerState.RUNNING:
            seconds = round(_SHUT_DOWN_SECONDS * self._lab.patience)
            self._engine.stop(*self._of(machine), timeout_seconds=seconds)

    def start(self, machine: str) -> None:
        if self.state(machine) in (PowerState.OFF, PowerState.GONE):
            self._engine.start(*self._of(machine))
        self._engine.connect(*self._of(machine))
        addresses.note(self._lab, self._work, self._engine)

    def reset(self, machine: str) -> None:
        self._require_running(machine)
        self.cut(machine)
        self.start(machine)

    def freeze(self, machine: str) -> None:
        if self.state(machine) is not PowerState.FROZEN:
            self._require_running(machine)
            self._engine.pause(*self._of(machine))

    def thaw(self, machine: str) -> None:
        if self.state(machine) is PowerState.FROZEN:
            self._engine.unpause(*self._of(machine))

    def link(self, machine: str, *, up: bool) -> None:
        if up and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return  # the next start plugs it in
        self._require_running(machine)
        self._engine.plug(*self._of(machine), up=up)

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        if cpus is None and self.state(machine) is PowerState.GONE:
            return  # one that is made anew has what is written
        written = self._lab.machine(machine).cpus
        self._engine.limit_cpus(*self._of(machine), written if cpus is None else cpus)

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        """The engine sets such a limit only when it makes a container."""
        if per_second is not None:
            raise Unable("a container's disk is the host's: there is none to limit from outside of it")

    def remove(self, machine: str) -> None:
        if self.state(machine) is not PowerState.GONE:
            self._engine.discard(*self._of(machine))

    def state(self, machine: str) -> PowerState:
        return self._engine.state(*self._of(machine))

    def _require_running(self, machine: str) -> None:
        state = self.state(machine)
        if state is not PowerState.RUNNING:
            raise LabProblem(f"{machine} has to be running for this, and is {state}")

    def _of(self, machine: str) -> tuple[Lab, Machine, Path]:
        return self._lab, self._lab.machine(machine), self._work.path
