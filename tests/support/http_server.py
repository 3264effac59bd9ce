"""A server on the loopback whose answers a test chooses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from halab.cluster.connection import Server

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def http(body: object, status: str = "200 OK") -> bytes:
    """An answer with this body: bytes, text, or anything else as JSON."""
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    content = text if isinstance(text, bytes) else text.encode()
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(content), content)


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[Server]:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    async with server:
        yield Server("127.0.0.1", server.sockets[0].getsockname()[1])


def saying(*answers: bytes) -> Serve:
    """Give these answers to one request after another, then close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    return serve
