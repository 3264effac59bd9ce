"""A watch that is resumed where it ended, as informers do, and that reports what it missed or got twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from halab.cluster.connection import Connection
from halab.errors import Unreachable
from halab.scenario.record.events import MISSED, REPORTED_TWICE
from halab.scenario.sampler.clients import WRITTEN, number_of
from halab.scenario.sampler.streams import Stream

_GONE = 410
_MOST_NAMED = 5


class Deliveries:
    """Which acknowledged writes a watch has reported. Events come in the order of their versions.

    If a watch reports a later version than the version of a write, but has not reported the write, it has missed the
    write.
    """

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._due: dict[int, int] = {}
        self._begun: int | None = None
        self._reached = 0

    def begin(self, version: int) -> list[int]:
        """Begin at a version: later writes must be reported. Return the earlier ones that are due: they are missed."""
        missed = self._take([number for number, due in self._due.items() if due <= version])
        self._begun = self._reached = version
        return missed

    def acknowledge(self, number: int, version: int) -> None:
        """Note a write. Its event may have come before the answer."""
        if number not in self._told and self._begun is not None and version > self._begun:
            self._due[number] = version

    def tell(self, number: int) -> bool:
        """Note the event of a write. Return False if it was reported before."""
        is_new = number not in self._told
        self._told.add(number)
        self._due.pop(number, None)
        return is_new

    def reach(self, version: int) -> list[int]:
        """Note the version of an event or a bookmark. Return the writes that are missed now."""
        self._reached = max(self._reached, version)
        return self._take([number for number, due in self._due.items() if due < self._reached])

    def _take(self, numbers: list[int]) -> list[int]:
        for number in numbers:
            del self._due[number]
        return sorted(numbers)


@dataclass(eq=False)
class ResumedWatch(Stream):
    """A watch of the objects that the sampler writes, which is resumed after a cut.

    A cut is no failure for such a client if the next event comes in time. A failed sample is recorded for a write that
    was acknowledged but not reported, for one that was reported twice, and if the API has forgotten the version.
    `was_wrong` gets what is certain even if the sampler stood still meanwhile: a slow reader is cut off, and misses
    nothing.
    """

    was_wrong: Callable[[str], None]
    deliveries: Deliveries
    _version: int | None = field(default=None, init=False)

    def _report_cut(self, why: str) -> None:
        """Report nothing: the watch is resumed, and the questions wait for the next event."""

    async def _begin(self, connection: Connection) -> None:
        if self._version is None:
            self._version = await self._listed_version(connection)
            missed = self.deliveries.begin(self._version)
            self._report("not reported before the watch listed again", missed, self.was_cut)
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
        """Note an event. Return False for a bookmark, which no client waits for."""
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
            number = number_of(str(what["metadata"]["name"])) if kind == "ADDED" else None
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise Unreachable("the watch got an event that cannot be read") from error
        if number is not None and not self.deliveries.tell(number):
            self._report(REPORTED_TWICE, [number], self.was_wrong)
        # an older event does not move the watch back
        self._version = version if self._version is None else max(self._version, version)
        self._report(MISSED, self.deliveries.reach(version), self.was_wrong)
        return bool(kind != "BOOKMARK")

    def _forget(self) -> None:
        """The API has forgotten the version: list again. The writes that are due by then are missed."""
        self.was_cut(f"the API has forgotten version {self._version}: listed again")
        self._version = None

    @staticmethod
    def _report(what: str, numbers: list[int], tell: Callable[[str], None]) -> None:
        if numbers:
            names = [f"{WRITTEN}{number}" for number in numbers[:_MOST_NAMED]]
            more = f" and {len(numbers) - _MOST_NAMED} more" if len(numbers) > _MOST_NAMED else ""
            tell(f"{what}: {', '.join(names)}{more}")
