"""Which machines have the virtual address, by what they print, and which one the host reaches, by its ARP table."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from support.fakes import FakeGuestShell

from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell
from halab.scenario.sampler.holder_source import Holders, Reached, hardware_address

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


TABLE = """\
IP address       HW type     Flags       HW address            Mask     Device
10.1.0.9         0x1         0x2         02:42:0a:01:00:09     *        br-1
10.1.0.100       0x1         0x2         02:42:0a:01:00:09     *        br-1
10.1.0.101       0x1         0x0         00:00:00:00:00:00     *        br-1
"""
LB1, LB2 = "02:42:0a:01:00:09\n00:00:00:00:00:00", "02:42:0a:01:00:0a\n00:00:00:00:00:00"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.1.0.100", "02:42:0a:01:00:09"),
        # nobody has answered for it, or it was not asked for
        ("10.1.0.101", None),
        ("10.1.0.10", None),
    ],
)
def test_the_arp_table_has_the_hardware_address(address: str, found: str | None) -> None:
    assert hardware_address(TABLE, address) == found


def reached(table: Path, text: str, source: Reached) -> tuple[str | None, str]:
    table.write_text(text)
    (reading,) = asyncio.run(source.read())
    assert reading.state == "vip-reached"
    return reading.value, reading.detail


def test_the_machine_that_announced_the_address_last_is_reached(tmp_path: Path) -> None:
    shells = {"lb1": FakeGuestShell(LB1), "lb2": FakeGuestShell(LB2)}
    source = Reached(shells, "10.1.0.100", 0.0, 1.0, tmp_path / "arp")
    assert reached(tmp_path / "arp", TABLE, source) == ("lb1", "")
    moved = TABLE.replace(
        "100       0x1         0x2         02:42:0a:01:00:09", "100 0x1 0x2 02:42:0a:01:00:0a"
    )
    assert reached(tmp_path / "arp", moved, source) == ("lb2", "")
    assert reached(tmp_path / "arp", "", source) == (None, "no machine answers for it")
    # they are asked once
    assert [len(shell.asked) for shell in shells.values()] == [1, 1]
    source.close()


def test_a_machine_may_come_back_with_another_hardware_address(tmp_path: Path) -> None:
    shells = {"lb1": FakeGuestShell(OFF), "lb2": FakeGuestShell(LB2)}
    source = Reached(shells, "10.1.0.100", 0.0, 1.0, tmp_path / "arp")
    unknown = reached(tmp_path / "arp", TABLE, source)
    assert unknown == (None, "no machine has 02:42:0a:01:00:09")
    shells["lb1"].answer = LB1
    assert reached(tmp_path / "arp", TABLE, source) == ("lb1", "")


def test_without_an_arp_table_it_is_unknown(tmp_path: Path) -> None:
    (reading,) = asyncio.run(Reached({}, "10.1.0.100", 0.0, 1.0, tmp_path / "none").read())
    assert (reading.value, reading.detail) == (None, f"{tmp_path / 'none'}: No such file or directory")
