"""Streams: watches that stay open. A question asks if the next event comes, or if the stream is still open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from halab.cluster.connection import Connection, Server
from halab.config.probe import Question
from halab.errors import Unreachable
from halab.scenario.sampler.clients import Reply
from halab.scenario.sampler.probes import Probe

_REOPEN_SECONDS = 0.1
# No object of that name is ever written, so there are no events.
_SILENT = "&fieldSelector=metadata.name%3Dnobody-writes-this"


@dataclass(eq=False)
class Stream:
    """A watch of the objects that the sampler writes. After a cut it is opened again, and `was_cut` gets the reason.

    A stream with events is also given up if no event comes within the time limit, as a patient client does. A silent
    stream lasts until it is cut.
    """

    probe: Probe
    server: Server
    namespace: str
    limit_seconds: float
    was_cut: Callable[[str], None]
    _trouble: str | None = field(default=None, init=False)
    _opened: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _waiting: list[asyncio.Future[Reply]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._path = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self._is_silent = self.probe.question is Question.STILL_OPEN

    async def ask(self, number: int | None) -> Reply:
        """Wait for the next event; for a silent stream, answer at once if it is open."""
        if self._is_silent:
            await self._opened.wait()
            return Reply(self._trouble is None, self._trouble or "open")
        waiting: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        return await waiting

    async def run(self) -> None:
        """Keep the stream open until cancelled."""
        while True:
            try:
                await self._follow()
            except Unreachable as error:
                if self._opened.is_set() and self._trouble is None:
                    self._report_cut(f"cut: {error.message}")
                self._trouble = error.message
            await asyncio.sleep(_REOPEN_SECONDS)

    def _report_cut(self, why: str) -> None:
        self.was_cut(why)

    async def _follow(self) -> None:
        try:
            async with asyncio.timeout(self.limit_seconds) as patience:
                async with await Connection.open(self.server) as connection:
                    await self._begin(connection)
                    self._trouble = None
                    self._opened.set()
                    await self._listen(connection, patience)
        except TimeoutError as error:
            silent = self._trouble is None and self._opened.is_set()
            why = f"no event for {self.limit_seconds:g} s" if silent else "timed out"
            raise Unreachable(why) from error

    async def _begin(self, connection: Connection) -> None:
        """List first, and watch from that version: a watch without a version reports all existing objects as new."""
        selector = _SILENT if self._is_silent else ""
        version = await self._listed_version(connection, selector)
        status = await connection.begin("GET", f"{self._path}?watch=1&resourceVersion={version}{selector}")
        if status != 200:
            raise Unreachable(f"the watch request got {status}")

    async def _listed_version(self, connection: Connection, selector: str = "") -> int:
        listed = await connection.ask("GET", f"{self._path}?limit=1{selector}")
        try:
            return int(json.loads(listed.body)["metadata"]["resourceVersion"])
        except (ValueError, LookupError, TypeError) as error:
            raise Unreachable(f"the list request got {listed.status}") from error

    async def _listen(self, connection: Connection, patience: asyncio.Timeout) -> None:
        patience.reschedule(None if self._is_silent else self._give_up_at())
        async for data in connection.content():
            if b'{"type":"ERROR"' in data:
                raise Unreachable("the API ended the watch with an error")
            if not self._is_silent:
                patience.reschedule(self._give_up_at())
                self._event()
        raise Unreachable("ended by the API")

    def _give_up_at(self) -> float:
        return asyncio.get_running_loop().time() + self.limit_seconds

    def _event(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(Reply(True, "event"))
        self._waiting.clear()
