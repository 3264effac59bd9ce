"""The source of the states of DNS: which control planes have a record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from halab.cluster.names import NameServer
from halab.config.expectation import FactName
from halab.errors import Unreachable
from halab.scenario.record.events import StateReading
from halab.scenario.sampler.state_sources import Asked


class Records:
    """Asks the DNS server itself: clients may still use an earlier answer."""

    rate_hertz = 5.0

    def __init__(self, server: NameServer, control_planes: Mapping[str, str], origin: float) -> None:
        self._server = server
        self._control_planes = control_planes
        self._origin = origin

    async def read(self) -> list[StateReading]:
        asked = Asked.now(self._origin)
        try:
            addresses = (await asyncio.to_thread(self._server.look_up)).addresses
        except Unreachable as error:
            return [
                asked.reading(FactName.DNS_RECORD, name, None, error.message)
                for name in self._control_planes
            ]
        return [
            asked.reading(FactName.DNS_RECORD, name, "listed" if address in addresses else "absent")
            for name, address in self._control_planes.items()
        ]

    def close(self) -> None:
        """Do nothing: every question is one packet."""
