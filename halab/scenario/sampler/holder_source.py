"""The sources of the states of the virtual address: which machines have it, and which one is reached there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from halab.config.expectation import FactName
from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell
from halab.scenario.record.events import StateReading
from halab.scenario.sampler.state_sources import Asked

# The hardware addresses that this host knows for the addresses of its networks.
ARP_TABLE = Path("/proc/net/arp")
# A flag of an entry: somebody has answered.
_COMPLETE = 0x2
# Of all NICs of a machine.
_HARDWARE_ADDRESSES = "cat /sys/class/net/*/address"


class Holders:
    """Asks all machines at the same moment: answers of different moments would show two holders during a move."""

    rate_hertz = 5.0

    def __init__(
        self, shells: Mapping[str, GuestShell], address: str, origin: float, limit_seconds: float
    ) -> None:
        self._shells = shells
        self._command = f"ip -4 -o address show to {address}/32"
        self._origin = origin
        self._limit_seconds = limit_seconds

    async def read(self) -> list[StateReading]:
        asked = Asked.now(self._origin)
        seen = await _ask_all(self._shells, self._command, self._limit_seconds)
        silent = [name for name, answer in seen.items() if answer is None]
        holders = [name for name, answer in seen.items() if answer]
        why = "; ".join(f"{name} does not answer" for name in silent)
        # a machine that does not answer may have the address, but no client reaches one that is off
        count = None if silent and not holders else len(holders)
        return [
            asked.reading(FactName.VIP_HOLDER, None, "+".join(holders) or None, why or "nobody has it"),
            asked.reading(FactName.VIP_HOLDERS, None, count, why),
        ]

    def close(self) -> None:
        """Do nothing: the shells belong to the caller."""


class Reached:
    """Which machine this host reaches at the address: its ARP table says so, and gratuitous ARP changes it.

    With two holders, it is one of them. A machine that lost the address is reached until another one announces it.
    """

    rate_hertz = 5.0

    def __init__(
        self,
        shells: Mapping[str, GuestShell],
        address: str,
        origin: float,
        limit_seconds: float,
        table: Path = ARP_TABLE,
    ) -> None:
        self._shells = shells
        self._address = address
        self._origin = origin
        self._limit_seconds = limit_seconds
        self._table = table
        # hardware address → machine
        self._machines: dict[str, str] = {}

    async def read(self) -> list[StateReading]:
        asked = Asked.now(self._origin)
        try:
            found = hardware_address(self._table.read_text(), self._address)
        except OSError as error:
            return [asked.reading(FactName.VIP_REACHED, None, None, f"{self._table}: {error.strerror}")]
        if found is not None and found not in self._machines:
            await self._learn()
        machine = self._machines.get(found) if found else None
        why = "" if machine else f"no machine has {found}" if found else "no machine answers for it"
        return [asked.reading(FactName.VIP_REACHED, None, machine, why)]

    def close(self) -> None:
        """Do nothing: the shells belong to the caller."""

    async def _learn(self) -> None:
        """Ask all machines for their hardware addresses. A container may have other ones when it starts again."""
        answers = await _ask_all(self._shells, _HARDWARE_ADDRESSES, self._limit_seconds)
        for machine, answer in answers.items():
            self._machines |= dict.fromkeys((answer or "").split(), machine)


def hardware_address(table: str, address: str) -> str | None:
    """The hardware address of an address, from the text of the kernel's ARP table; None if nobody has answered."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) == 6 and words[0] == address and int(words[2], 16) & _COMPLETE:
            return words[3]
    return None


async def _ask_all(
    shells: Mapping[str, GuestShell], command: str, limit_seconds: float
) -> dict[str, str | None]:
    """Machine → what it prints, which is None without an answer. All are asked at the same moment."""

    async def ask(shell: GuestShell) -> str | None:
        try:
            async with asyncio.timeout(limit_seconds):
                return await shell.ask(command)
        except (TimeoutError, Unreachable):
            return None

    answers = await asyncio.gather(*map(ask, shells.values()))
    return dict(zip(shells, answers, strict=True))
