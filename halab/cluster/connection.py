"""A connection to an HTTP server of the lab, for clients that send many requests per second.

It uses h11 over asyncio's streams. A request over a new TLS connection costs 2 to 3 ms of CPU, but 5.2 ms with httpx,
which is more than 5 % of a core at ten requests per second (`scripts/bench` prints the cost of a probe).
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

import h11

from halab.cluster import socks
from halab.cluster.names import Resolver, share_of
from halab.errors import TunnelLost, Unreachable

# Far more than any expected answer: the list of nodes of a lab with five nodes takes 40 kB.
_MAXIMUM_BYTES = 4 * 2**20
_CHUNK_BYTES = 64 * 2**10


@dataclass(frozen=True)
class Server:
    """The address of a server. Without a context, use plain HTTP. `tunnel` is the socket of a SOCKS5 proxy.

    A client with a `token` sends it with every request. With a `resolver`, the host is a name, whose addresses are
    tried one after another for `dial_seconds` in all.
    """

    host: str
    port: int
    context: ssl.SSLContext | None = None
    tunnel: str | None = None
    token: str = ""
    resolver: Resolver | None = None
    dial_seconds: float = 30.0


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    @property
    def is_ok(self) -> bool:
        return 200 <= self.status < 300


class Connection:
    """One connection for consecutive requests. Every failure is raised as Unreachable."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, server: Server) -> Connection:
        try:
            if server.resolver is not None:
                streams = await _streams_over(await _dial(server, server.resolver), server)
            elif server.tunnel is None:
                streams = await asyncio.open_connection(server.host, server.port, ssl=server.context)
            else:
                proxied = await socks.connect(server.tunnel, server.host, server.port)
                streams = await _streams_over(proxied, server)
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
        """Close at once, without waiting for a server that hangs."""
        self._writer.transport.abort()

    @property
    def is_reusable(self) -> bool:
        return self._http.our_state is h11.IDLE

    async def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        """Send one request and read the whole answer."""
        status = await self.begin(method, path, body)
        content = bytearray()
        async for data in self.content():
            content += data
            if len(content) > _MAXIMUM_BYTES:
                raise Unreachable(f"answer longer than {_MAXIMUM_BYTES} bytes")
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return Answer(status, bytes(content))

    async def begin(self, method: str, path: str, body: bytes = b"") -> int:
        """Send a request and return the status of the answer. `content` yields its body, which may be endless."""
        headers = [("Host", self._server.host), ("User-Agent", "halab"), ("Accept", "application/json")]
        if self._server.token:
            headers.append(("Authorization", f"Bearer {self._server.token}"))
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
        """The body of the answer, as it arrives."""
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
            # if the data ends in the middle of an answer, the answer is not invalid: the server has disconnected
            raise Unreachable("disconnected" if data == b"" else f"invalid answer: {error}") from error
        except OSError as error:
            raise Unreachable(reason(error)) from error
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise Unreachable("disconnected")
        return event


class RepeatedRequest:
    """The same request again and again over one connection. After a failure, the next request opens a new connection.

    Callers that ask while a request is in flight wait, and share the answer of the next request.
    The request has a time limit of its own, so that a caller that gives up does not cancel it for the others.
    """

    def __init__(
        self, server: Server, method: str, path: str, body: bytes = b"", *, limit_seconds: float
    ) -> None:
        self._server = server
        self._request = method, path, body
        self._limit_seconds = limit_seconds
        self._connection: Connection | None = None
        self._waiting: list[asyncio.Future[Answer]] = []
        self._sender: asyncio.Task[None] | None = None

    async def ask(self) -> Answer:
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        if self._sender is None:
            self._sender = asyncio.create_task(self._serve_waiting())
        return await waiting

    def close(self) -> None:
        if self._sender:
            self._sender.cancel()
        self._disconnect()

    async def _serve_waiting(self) -> None:
        """Send requests until no caller is waiting."""
        try:
            while callers := [future for future in self._waiting if not future.done()]:
                self._waiting.clear()
                try:
                    answer = await self._answer()
                except (Unreachable, TunnelLost) as error:
                    self._disconnect()
                    for future in callers:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for future in callers:
                        if not future.done():
                            future.set_result(answer)
        finally:
            self._sender = None

    async def _answer(self) -> Answer:
        try:
            async with asyncio.timeout(self._limit_seconds):
                if self._connection is None:
                    self._connection = await Connection.open(self._server)
                answer = await self._connection.ask(*self._request)
        except TimeoutError as error:
            raise Unreachable("timed out") from error
        if not self._connection.is_reusable:
            self._disconnect()
        return answer

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


async def _dial(server: Server, resolver: Resolver) -> socket.socket:
    """Connect to the first address that accepts. If none does, raise what the first one said, as Go does."""
    loop = asyncio.get_running_loop()
    first: OSError | None = None
    deadline = loop.time() + server.dial_seconds
    addresses = await resolver.addresses()
    for number, address in enumerate(addresses):
        try:
            async with asyncio.timeout(share_of(deadline - loop.time(), len(addresses) - number)):
                return await _connected(server, address)
        except TimeoutError as error:
            first = first or TimeoutError(errno.ETIMEDOUT, str(error))
        except OSError as error:
            first = first or error
    assert first is not None
    raise first


async def _connected(server: Server, address: str) -> socket.socket:
    if server.tunnel is not None:
        return await socks.connect(server.tunnel, address, server.port)
    connection = socket.socket()
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (address, server.port))
    except BaseException:
        connection.close()
        raise
    return connection


async def _streams_over(
    connected: socket.socket, server: Server
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Like `asyncio.open_connection`, over a socket that is connected already.

    After a failure the socket is shut down and not closed: it belongs to asyncio, which closes it when it sees the end.
    The next socket would get its number, and asyncio would refuse that while it still watches the old one.
    """
    name = server.host if server.context else None
    try:
        return await asyncio.open_connection(sock=connected, ssl=server.context, server_hostname=name)
    except BaseException:
        with suppress(OSError):
            connected.shutdown(socket.SHUT_RDWR)
        raise


def reason(error: OSError) -> str:
    """Why there is no connection, in a few words: `connection refused`, `no route to host`, `disconnected` …"""
    if isinstance(error, ssl.SSLEOFError):
        return "disconnected"
    if isinstance(error, ssl.SSLError):
        # both attributes exist only if OpenSSL itself failed
        text = getattr(error, "verify_message", None) or getattr(error, "reason", None) or "tls failed"
        return str(text).lower().replace("_", " ")
    if error.errno is not None:
        return os.strerror(error.errno).lower()
    return "disconnected"
