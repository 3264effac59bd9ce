"""Fakes for power: one that remembers states, and a docker engine for `DockerPower`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.errors import APIError

from halab.errors import LabProblem
from halab.machines.power import PowerState
from halab.topology.container import LABEL, MACHINE_LABEL, WORK_LABEL
from halab.topology.lab import Lab
from support.fakes import lab_of


@dataclass
class FakePower:
    """Machines that run until something is done to them; `done` is a list of these acts."""

    lab: Lab = field(default_factory=lab_of)
    states: dict[str, PowerState] = field(default_factory=dict)
    unplugged: set[str] = field(default_factory=set)
    cpus: dict[str, float] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def cut(self, machine: str) -> None:
        if self.state(machine) in (PowerState.RUNNING, PowerState.FROZEN):
            self._turn(machine, PowerState.OFF, "cut")

    def shut_down(self, machine: str) -> None:
        if self.state(machine) is PowerState.RUNNING:
            self._turn(machine, PowerState.OFF, "shut down")

    def start(self, machine: str) -> None:
        if self.state(machine) is PowerState.GONE:
            raise LabProblem(f"there is no such machine any more: {machine}")
        if self.state(machine) is PowerState.OFF:
            self.unplugged.discard(machine)
            self._turn(machine, PowerState.RUNNING, "start")

    def reset(self, machine: str) -> None:
        self._require_running(machine)
        self.unplugged.discard(machine)
        self._turn(machine, PowerState.RUNNING, "reset")

    def freeze(self, machine: str) -> None:
        if self.state(machine) is not PowerState.FROZEN:
            self._require_running(machine)
            self._turn(machine, PowerState.FROZEN, "freeze")

    def thaw(self, machine: str) -> None:
        if self.state(machine) is PowerState.FROZEN:
            self._turn(machine, PowerState.RUNNING, "thaw")

    def link(self, machine: str, *, up: bool) -> None:
        if up and self.state(machine) in (PowerState.OFF, PowerState.GONE):
            return
        self._require_running(machine)
        if up:
            self.unplugged.discard(machine)
        else:
            self.unplugged.add(machine)

    def limit_cpus(self, machine: str, cpus: float | None) -> None:
        if cpus is None:
            self.cpus.pop(machine, None)
        else:
            self.cpus[machine] = cpus

    def limit_writes(self, machine: str, per_second: int | None) -> None:
        if per_second is None:
            self.writes.pop(machine, None)
        else:
            self._require_running(machine)
            self.writes[machine] = per_second

    def remove(self, machine: str) -> None:
        if self.state(machine) is not PowerState.GONE:
            self._turn(machine, PowerState.GONE, "remove")

    def state(self, machine: str) -> PowerState:
        self.lab.machine(machine)
        return self.states.get(machine, PowerState.RUNNING)

    def _turn(self, machine: str, state: PowerState, what: str) -> None:
        self.states[machine] = state
        self.done.append(f"{what} {machine}")

    def _require_running(self, machine: str) -> None:
        if self.state(machine) is not PowerState.RUNNING:
            raise LabProblem(f"{machine} must be running for this, but is {self.state(machine)}")


@dataclass
class FakeMachine:
    """A container as the docker library shows it. Like the real engine, it refuses what its state does not allow."""

    name: str
    labels: dict[str, str]
    index: int
    engine: FakeDocker
    running: bool = True
    paused: bool = False
    plugged: bool = True

    @property
    def id(self) -> str:
        return self.name

    @property
    def attrs(self) -> dict[str, Any]:
        address = f"172.17.0.{self.engine.starts + 1}" if self.running else ""
        return {
            "Name": f"/{self.name}",
            "Image": "sha256:box",
            "Config": {"Labels": self.labels},
            "State": {"Running": self.running, "Paused": self.paused},
            "NetworkSettings": {
                "Networks": {
                    "bridge": {"IPAddress": address},
                    "halab-ha": {"MacAddress": f"02:0{self.index}"},
                }
            },
        }

    def kill(self) -> None:
        assert self.running
        self.running = self.paused = False

    def wait(self) -> None:
        assert not self.running

    def stop(self, timeout: int) -> None:
        assert self.running and not self.paused and timeout
        self.running = False

    def start(self) -> None:
        assert not self.running
        self.engine.starts += 1
        self.running = self.plugged = True

    def pause(self) -> None:
        assert self.running and not self.paused
        if self.engine.refusals:
            raise APIError("500 Server Error", explanation=self.engine.refusals.pop(0))
        self.paused = True

    def unpause(self) -> None:
        assert self.paused
        self.paused = False

    def remove(self, *, force: bool, v: bool) -> None:
        assert force and v
        self.engine.machines.remove(self)

    def exec_run(self, argv: list[str]) -> Any:
        assert argv == ["ip", "-json", "link"] and self.running and not self.paused
        links: list[dict[str, str | int]] = [{"ifname": "lo", "address": "00:00"}]
        links += [{"ifname": "eth1", "address": f"02:0{self.index}", "link_index": 100 + self.index}]
        return type("Said", (), {"output": json.dumps(links).encode()})


@dataclass
class FakeDocker:
    """A docker client with the machines of a lab, and a machine of another owner's lab of the same name."""

    work: Path
    machines: list[FakeMachine] = field(default_factory=list)
    posted: list[tuple[str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # what it says to the next calls of `pause`
    helpers: list[dict[str, Any]] = field(default_factory=list)
    starts: int = 1
    base_url: str = "http+docker://localhost"
    api_version: str = "1.41"

    def __post_init__(self) -> None:
        for index, machine in enumerate(lab_of(name="ha").machines):
            labels = {LABEL: "ha", MACHINE_LABEL: machine.name, WORK_LABEL: str(self.work)}
            self.machines.append(FakeMachine(machine.host_name, labels, index, self))
        foreign = {LABEL: "ha", MACHINE_LABEL: "cp2", WORK_LABEL: "/labs/bob/.halab"}
        self.machines.insert(0, FakeMachine("bob-cp2", foreign, 9, self))

    @property
    def containers(self) -> FakeDocker:
        return self

    @property
    def api(self) -> FakeDocker:
        return self

    @property
    def volumes(self) -> Any:
        """No volume has a label."""
        return type("Volumes", (), {"list": lambda self, filters: []})()

    def ping(self) -> None:
        pass

    def list(self, *, filters: dict[str, Any], **options: bool) -> list[FakeMachine]:
        wanted = [label.partition("=") for label in filters["label"]]
        return [
            each
            for each in self.machines
            if all(each.labels.get(name) == value or not value for name, _, value in wanted)
        ]

    def run(self, image: str, arguments: Sequence[str], **options: Any) -> None:
        """A helper that runs `ip link set dev ifN up|down` in the engine's own network."""
        assert (image, arguments[:3]) == ("sha256:box", ["link", "set", "dev"])
        self.helpers.append(options)
        (machine,) = (each for each in self.machines if arguments[3] == f"if{100 + each.index}")
        machine.plugged = arguments[4] == "up"

    def post(self, address: str, json: Any) -> Any:
        self.posted.append((address, json))
        return type("Answer", (), {"raise_for_status": lambda self: None})()
