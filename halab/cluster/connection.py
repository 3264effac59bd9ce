"""A connection to an HTTP server of the lab, for who asks many times a second.

It is h11 over asyncio's streams: a question over a new TLS connection costs 2 to 3 ms of CPU, and 5.2 ms with httpx,
which would be more than 5 % of a core at ten questions a second (`scripts/bench` prints what a probe costs).
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType

import h11

from halab.cluster import socks
from halab.errors import TunnelLost, Unreachable

# Far more than anything that is asked for: the nodes of a lab of five take 40 kB.
_MAXIMUM_BYTES = 4 * 2**20
_CHUNK_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Server:
    """Where to connect; without a context, it is plain HTTP. `tunnel` is the socket of a SOCKS5 proxy."""

    host: str
    port: int
    context: ssl.SSLContext | None = None
    tunnel: str | None = None


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


class Connection:
    """One connection, for one question after another. Whatever goes wrong is raised as Unreachable."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, server: Server) -> Connection:
        try:
            if server.tunnel is None:
                streams = await asyncio.open_connection(server.host, server.port, ssl=server.context)
            else:
                through = await socks.connect(server.tunnel, server.host, server.port)
                streams = await _speak(through, server)
        except OSError as error:
            raise Unreachable(reason(error)) from error
        return cls(server, *streams)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """At once: a server that hangs is not waited for."""
        self._writer.transport.abort()

    @property
    def is_reusable(self) -> bool:
        return self._http.our_state is h11.IDLE

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """One question and its whole answer."""
        status = await self.begin(method, path, body)
        content = bytearray()
        async for data in self.content():
            content += data
            if len(content) > _MAXIMUM_BYTES:
                raise Unreachable("an answer without an end")
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return Answer(status, bytes(content))

    async def begin(self, method: str, path: str, body: bytes = b"") -> int:
        """Ask, and wait for the status of the answer only: a stream has no end."""
        headers = [("Host", self._server.host), ("User-Agent", "halab"), ("Accept", "application/json")]
        if body:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        request = h11.Request(method=method, target=path, headers=headers)
        parts = [self._http.send(request), body and self._http.send(h11.Data(data=body))]
        parts.append(self._http.send(h11.EndOfMessage()))
        self._writer.write(b"".join(filter(None, parts)))
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event.status_code

    async def content(self) -> AsyncIterator[bytes]:
        """What comes after the status, as it comes."""
        while not isinstance(event := await self._next(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                yield bytes(event.data)

    async def _next(self) -> h11.Event:
        data = None
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = await self._reader.read(_CHUNK_BYTES)
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            # an end in the middle of an answer is no nonsense: the other side has gone
            raise Unreachable("disconnected" if data == b"" else f"nonsense: {error}") from error
        except OSError as error:
            raise Unreachable(reason(error)) from error
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise Unreachable("disconnected")
        return event


class Kept:
    """One connection, kept from question to question; after a failure it is closed, and opened anew by the next.

    While one question is on its way, others wait, and the next request answers them all: they are the same question.
    A request has a time limit of its own, so that who gives up does not end it for those who still wait.
    """

    def __init__(
        self, server: Server, method: str, path: str, body: bytes = b"", *, limit_seconds: float
    ) -> None:
        self._server = server
        self._request = method, path, body
        self._limit_seconds = limit_seconds
        self._connection: Connection | None = None
        self._waiting: list[asyncio.Future[Answer]] = []
        self._flight: asyncio.Task[None] | None = None

    async def ask(self) -> Answer:
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly())
        return await waiting

    def close(self) -> None:
        if self._flight:
            self._flight.cancel()
        self._drop()

    async def _fly(self) -> None:
        try:
            while asked := [each for each in self._waiting if not each.done()]:
                self._waiting.clear()
                try:
                    answer = await self._answer()
                except (Unreachable, TunnelLost) as error:
                    self._drop()
                    for each in asked:
                        if not each.done():
                            each.set_exception(error)
                else:
                    for each in asked:
                        if not each.done():
                            each.set_result(answer)
        finally:
            self._flight = None

    async def _answer(self) -> Answer:
        try:
            async with asyncio.timeout(self._limit_seconds):
                if self._connection is None:
                    self._connection = await Connection.open(self._server)
                answer = await self._connection.ask(*self._request)
        except TimeoutError as error:
            raise Unreachable("timed out") from error
        if not self._connection.is_reusable:
            self._drop()
        return answer

    def _drop(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


async def _speak(
    through: socket.socket, server: Server
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Over a connection that is there already, as `open_connection` does over one that it makes."""
    name = server.host if server.context else None
    try:
        return await asyncio.open_connection(sock=through, ssl=server.context, server_hostname=name)
    except BaseException:
        through.close()
        raise


def reason(error: OSError) -> str:
    """Why there is no connection, in a few words: `connection refused`, `no route to host`, `disconnected` …"""
    if isinstance(error, ssl.SSLEOFError):
        return "disconnected"
    if isinstance(error, ssl.SSLError):
        # both are there only where OpenSSL itself has failed
        why = getattr(error, "verify_message", None) or getattr(error, "reason", None) or "tls failed"
        return str(why).lower().replace("_", " ")
    if error.errno is not None:
        return os.strerror(error.errno).lower()
    return "disconnected"
