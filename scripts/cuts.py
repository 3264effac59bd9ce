"""A TLS server on the loopback address that refuses, hangs or drops connections for a known time."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Cut(StrEnum):
    """Refuse connections; answer only at the end of the cut; never answer."""

    REFUSES = "refuses"
    HANGS = "hangs"
    DROPS = "drops"


class CutServer:
    """Answer every request with 200, except during a cut. Runs in its own thread."""

    def __init__(self, folder: Path) -> None:
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
        self._held: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._dropped: list[asyncio.Event] = []
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[CutServer]:
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        self._call(self._open())
        try:
            yield self
        finally:
            self._call(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()

    def cut(self, how: Cut, seconds: float) -> tuple[float, float]:
        """Make a cut, and return its real start and end (monotonic seconds)."""
        begun = self._call(self._close() if how is Cut.REFUSES else self._hold())
        time.sleep(seconds)
        ended = self._call(self._open() if how is Cut.REFUSES else self._release(answer=how is Cut.HANGS))
        return begun, ended

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _open(self) -> float:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._context, backlog=500
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return time.monotonic()

    async def _close(self) -> float:
        assert self._server is not None
        self._server.close()
        return time.monotonic()

    async def _end(self) -> None:
        """Release the dropped requests: no client waits for them any more."""
        await self._close()
        for event in self._dropped:
            event.set()
        await asyncio.sleep(0.1)

    async def _hold(self) -> float:
        self._held = asyncio.Event()
        return time.monotonic()

    async def _release(self, *, answer: bool) -> float:
        held, self._held = self._held, None
        assert held is not None
        if answer:
            held.set()
        else:
            self._dropped.append(held)
        return time.monotonic()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if self._held:
                await self._held.wait()
            writer.write(_ANSWER)
            await writer.drain()
            await reader.read()
        writer.transport.abort()


def make_credentials(folder: Path) -> None:
    """Write a CA and a certificate for the loopback address, under all file names that the sampler reads."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "admin.key", "-out", folder / "admin.crt"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    for name in ("cluster-ca.crt", "etcd-ca.crt", "etcd-client.crt"):
        shutil.copyfile(folder / "admin.crt", folder / name)
    shutil.copyfile(folder / "admin.key", folder / "etcd-client.key")
