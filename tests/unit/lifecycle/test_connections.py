"""Machines that do not reach each other on the lab's network are reported before kubeadm runs."""

from __future__ import annotations

import socket
import subprocess
from typing import Any

import pytest
from support.fakes import FakeClock, FakeGuests, Recorded, lab_of

from halab.errors import NotConnected, Unreachable
from halab.lifecycle import connections
from halab.process import Completed

LAB = lab_of()
NAMES = [machine.name for machine in LAB.machines]


def test_every_machine_connects_to_every_other_one_once() -> None:
    guests, progress = FakeGuests(), Recorded()
    connections.require(LAB, guests, FakeClock(), progress)
    for name in NAMES:
        (command,) = guests.commands(name)
        peers = [line.split()[2] for line in command.splitlines() if line.startswith("reach 10.")]
        assert peers == [peer for peer in NAMES if peer != name]
    assert progress.lines[-1] == "end connect the machines to each other"


def test_a_path_that_opens_late_is_no_problem() -> None:
    guests = FakeGuests({"^cp1: ": ["cp2\n", "cp2\n", ""]})
    connections.require(LAB, guests, FakeClock(), Recorded())
    assert len(guests.commands("cp1")) == 3


class LateGuests(FakeGuests):
    """cp1 does not answer over SSH so many times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def run(self, machine: str, command: str, **kwargs: Any) -> Completed:
        if machine == "cp1" and self.failures:
            self.failures -= 1
            raise Unreachable("cp1 does not answer over SSH: Connection timed out")
        return super().run(machine, command, **kwargs)


def test_a_machine_that_answers_late_is_no_problem() -> None:
    connections.require(LAB, LateGuests(3), FakeClock(), Recorded())


def test_a_machine_that_never_answers_is_reported_as_such() -> None:
    with pytest.raises(Unreachable, match="cp1 does not answer over SSH: Connection timed out"):
        connections.require(LAB, LateGuests(10_000), FakeClock(), Recorded())


def test_lost_packets_are_reported_with_their_paths() -> None:
    others = {f"^{name}: ": "\n".join(peer for peer in NAMES if peer != name) for name in NAMES}
    with pytest.raises(NotConnected) as caught:
        connections.require(LAB, FakeGuests(dict(others)), FakeClock(), Recorded())
    assert caught.value.message == (
        "packets on the lab's network are lost on 12 of 12 paths: lb1 → cp1, lb1 → cp2, lb1 → cp3, cp1 → cp2 …"
    )
    assert "firewall of the host" in (caught.value.hint or "")


def test_an_open_and_a_refused_port_are_reached_and_a_dead_network_is_not() -> None:
    """The command itself, with ports of this host instead of SSH's."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as closed:
        free, refused = server.getsockname()[1], closed.getsockname()[1]
        closed.close()
        command = connections._TRY.replace("/dev/tcp/$1/22", "/dev/tcp/127.0.0.1/$1")
        tries = f"reach {free} open &\nreach {refused} refused &\nreach no-such-service dead &"
        done = subprocess.run(["bash", "-c", command % tries], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == ["dead"]
