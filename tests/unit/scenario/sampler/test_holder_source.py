"""Which machines have the virtual address, by what they print at the same moment."""

from __future__ import annotations

import asyncio

import pytest
from support.fakes import FakeGuestShell

from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell
from halab.scenario.sampler.holder_source import Holders

HAS = "3: eth1 inet 10.1.0.100/32 scope global eth1"
OFF = Unreachable("the connection is cut")


@pytest.mark.parametrize(
    ("lb1", "lb2", "holder", "holders"),
    [
        (HAS, "", "lb1", "1"),
        ("", HAS, "lb2", "1"),
        (HAS, HAS, "lb1+lb2", "2"),
        ("", "", None, "0"),
        (OFF, HAS, "lb2", "1"),
        # the machine that does not answer may have it
        (OFF, "", None, None),
        (OFF, OFF, None, None),
    ],
)
def test_the_holder_is_the_machine_with_the_address(
    lb1: str | Exception, lb2: str | Exception, holder: str | None, holders: str | None
) -> None:
    shells: dict[str, GuestShell] = {"lb1": FakeGuestShell(lb1), "lb2": FakeGuestShell(lb2)}
    readings = asyncio.run(Holders(shells, "10.1.0.100", 0.0, 1.0).read())
    assert {reading.state: reading.value for reading in readings} == {
        "vip-holder": holder,
        "vip-holders": holders,
    }


def test_both_machines_are_asked_for_the_address() -> None:
    shells = {"lb1": FakeGuestShell(HAS), "lb2": FakeGuestShell(OFF)}
    readings = asyncio.run(Holders(shells, "10.1.0.100", 0.0, 1.0).read())
    assert [shell.asked for shell in shells.values()] == [["ip -4 -o address show to 10.1.0.100/32"]] * 2
    assert {reading.detail for reading in readings} == {"lb2 does not answer"}


def test_every_machine_that_does_not_answer_is_named() -> None:
    shells: dict[str, GuestShell] = {
        "cp1": FakeGuestShell(OFF),
        "cp2": FakeGuestShell(OFF),
        "cp3": FakeGuestShell(HAS),
    }
    readings = asyncio.run(Holders(shells, "10.1.0.100", 0.0, 1.0).read())
    assert [reading.value for reading in readings] == ["cp3", "1"]
    assert {reading.detail for reading in readings} == {"cp1 does not answer; cp2 does not answer"}


def test_a_machine_that_says_nothing_is_given_up() -> None:
    class Silent(FakeGuestShell):
        async def ask(self, command: str) -> str:
            await asyncio.sleep(60)
            return HAS

    shells: dict[str, GuestShell] = {"lb1": Silent(""), "lb2": FakeGuestShell(HAS)}
    readings = asyncio.run(Holders(shells, "10.1.0.100", 0.0, 0.01).read())
    assert [reading.value for reading in readings] == ["lb2", "1"]
