"""The source of the states of the virtual address: which machines have it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from halab.config.expectation import FactName
from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell
from halab.scenario.record.events import StateReading
from halab.scenario.sampler.state_sources import Asked


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
        answers = await asyncio.gather(*map(self._ask, self._shells.values()))
        seen = dict(zip(self._shells, answers, strict=True))
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

    async def _ask(self, shell: GuestShell) -> str | None:
        """What the machine prints if it has the address; None without an answer."""
        try:
            async with asyncio.timeout(self._limit_seconds):
                return await shell.ask(self._command)
        except (TimeoutError, Unreachable):
            return None
