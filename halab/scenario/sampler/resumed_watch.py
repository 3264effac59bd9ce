"""A watch that is resumed where it ended, as informers do, and that reports what it missed or got twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from halab.cluster.connection import Connection, Server
from halab.errors import Unreachable
from halab.scenario.sampler.probes import Probe
from halab.scenario.sampler.streams import Stream

_NAME = "write-"
_GONE = 410
_MOST_NAMED = 5


class Deliveries:
    """Which acknowledged writes a watch has told. Events come in the order of their versions.

    A watch that has told a later version than that of a write, but not the write, has missed it.
    """

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._due: dict[int, int] = {}
        self._begun: int | None = None
        self._reached = 0

    def begin(self, version: int) -> list[int]:
        """Start at a version, from which on everything must be told. The writes that were due until then are missed."""
        missed = self._take([number for number, due in self._due.items() if due <= version])
        self._begun = self._reached = version
        return missed

    def acknowledge(self, number: int, version: int) -> None:
        """Take in a write. Its event may have come before the answer."""
        if number not in self._told and self._begun is not None and version > self._begun:
            self._due[number] = version

    def tell(self, number: int) -> bool:
        """Take in an event of a write; False if it was told before."""
        is_new = number not in self._told
        self._told.add(number)
        self._due.pop(number, None)
        return is_new

    def reach(self, version: int) -> list[int]:
        """Take in the version of an event or a bookmark; the writes that are missed now."""
        self._reached = max(self._reached, version)
        return self._take([number for number, due in self._due.items() if due < self._reached])

    def _take(self, numbers: list[int]) -> list[int]:
        for number in numbers:
            del self._due[number]
        return sorted(numbers)


class ResumedWatch(Stream):
    """A watch of the objects that the sampler writes, which is resumed after a cut.

    A cut is no failure for such a client if the next event comes in time. A failed sample is recorded for a write that
    was acknowledged but not told, for one that was told twice, and if the API has forgotten the version. `was_wrong`
    gets what is certain even if the sampler stood still meanwhile: a slow reader is cut off, and misses nothing.
    """

    def __init__(
        self,
        probe: Probe,
        server: Server,
        namespace: str,
        limit_seconds: float,
        was_cut: Callable[[str], None],
        was_wrong: Callable[[str], None],
        deliveries: Deliveries,
    ) -> None:
        super().__init__(probe, server, namespace, limit_seconds, was_cut)
        self._was_wrong = was_wrong
        self._deliveries = deliveries
        self._version: int | None = None

    def _report_cut(self, why: str) -> None:
        """The questions wait for the next event."""

    async def _begin(self, connection: Connection) -> None:
        if self._version is None:
            self._version = await self._listed_version(connection)
            self._report("missed", self._deliveries.begin(self._version), self._was_cut)
        path = f"{self._path}?watch=1&allowWatchBookmarks=true&resourceVersion={self._version}"
        status = await connection.begin("GET", path)
        if status == _GONE:
            self._forget()
        if status != 200:
            raise Unreachable(f"the watch request got {status}")

    async def _listen(self, connection: Connection, patience: asyncio.Timeout) -> None:
        patience.reschedule(self._give_up_at())
        line = b""
        async for data in connection.content():
            *complete, line = (line + data).split(b"\n")
            for event in filter(None, complete):
                if self._take_in(event):
                    patience.reschedule(self._give_up_at())
                    self._event()
        raise Unreachable("ended by the API")

    def _take_in(self, line: bytes) -> bool:
        """Take in an event; False for a bookmark, which no client waits for."""
        try:
            event = json.loads(line)
            kind, what = event["type"], event["object"]
            if kind == "ERROR":
                if what.get("code") == _GONE:
                    self._forget()
                raise Unreachable(
                    f"the API ended the watch: {what.get('code')} {what.get('reason', '')}".rstrip()
                )
            version = int(what["metadata"]["resourceVersion"])
            number = _number(what) if kind == "ADDED" else None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Unreachable("the watch got an event that cannot be read") from error
        if number is not None and not self._deliveries.tell(number):
            self._report("told twice", [number], self._was_wrong)
        # an older event does not move the watch back
        self._version = version if self._version is None else max(self._version, version)
        self._report("missed", self._deliveries.reach(version), self._was_wrong)
        return bool(kind != "BOOKMARK")

    def _forget(self) -> None:
        """The API has forgotten the version: list anew. What was due until then is missed."""
        self._was_cut(f"the API has forgotten version {self._version}: listed anew")
        self._version = None

    @staticmethod
    def _report(what: str, numbers: list[int], tell: Callable[[str], None]) -> None:
        if numbers:
            names = [f"{_NAME}{number}" for number in numbers[:_MOST_NAMED]]
            more = f" and {len(numbers) - _MOST_NAMED} more" if len(numbers) > _MOST_NAMED else ""
            tell(f"{what}: {', '.join(names)}{more}")


def _number(written: Any) -> int | None:
    prefix, _, number = str(written["metadata"]["name"]).partition(_NAME)
    return int(number) if not prefix and number.isdigit() else None
