"""Connections to a server on the loopback: every request ends with an answer or a short reason."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import replace

import pytest
from support.http_server import OK, saying, served

from halab.cluster import connection
from halab.cluster.connection import Answer, Connection, RepeatedRequest, Server, reason
from halab.errors import Unreachable


def asked(*answers: bytes, times: int = 1) -> list[Answer]:
    async def ask() -> list[Answer]:
        async with served(saying(*answers)) as server, await Connection.open(server) as connection:
            return [await connection.ask("GET", "/") for _ in range(times)]

    return asyncio.run(ask())


def test_an_answer_has_a_status_and_a_body() -> None:
    assert asked(OK) == [Answer(200, b"ok")]


def test_one_connection_carries_consecutive_requests() -> None:
    failed = b"HTTP/1.1 503 Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n"
    answers = asked(OK, failed, times=2)
    assert answers == [Answer(200, b"ok"), Answer(503, b"no")]
    assert [answer.is_ok for answer in answers] == [True, False]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", "disconnected"),
        (b"\x15\x03\x01 what?\r\n\r\n", "invalid answer: "),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "invalid answer: "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "invalid answer: "),
    ],
)
def test_incomplete_and_invalid_answers_are_unreachable(answer: bytes, why: str) -> None:
    with pytest.raises(Unreachable, match=f"^{why}"):
        asked(answer)


def test_an_answer_that_is_too_long_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="answer longer than"):
        asked(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + bytes(5 * 2**20))


def test_a_closed_port_refuses_the_connection() -> None:
    # no process listens on port 1 of the loopback, and the kernel refuses at once
    with pytest.raises(Unreachable, match="^connection refused$"):
        asyncio.run(Connection.open(Server("127.0.0.1", 1)))


def posted(token: str = "") -> bytes:
    """What a server gets of a request with a body."""
    got = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.readuntil(b"}"))
        writer.write(OK)
        await writer.drain()

    async def ask() -> None:
        async with (
            served(serve) as server,
            await Connection.open(replace(server, token=token)) as connection,
        ):
            await connection.ask("POST", "/things", b"{}")

    asyncio.run(ask())
    return got[0]


def test_a_body_is_sent_with_its_length() -> None:
    request = posted()
    assert request.startswith(b"POST /things HTTP/1.1\r\n")
    assert b"\r\nContent-Length: 2\r\n" in request


def test_a_token_is_sent_with_the_request() -> None:
    assert b"\r\nAuthorization: Bearer a.b.c\r\n" in posted("a.b.c")
    assert b"Authorization" not in posted()


class Counting:
    """A server that counts its connections and requests, and answers while `may_answer` is set."""

    def __init__(self) -> None:
        self.connections = self.requests = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            await self.may_answer.wait()
            writer.write(OK)
            await writer.drain()


def test_a_repeated_request_reuses_its_connection() -> None:
    async def ask() -> tuple[int, int]:
        counting = Counting()
        async with served(counting) as server:
            request = RepeatedRequest(server, "GET", "/", limit_seconds=30)
            for _ in range(3):
                assert (await request.ask()).is_ok
            request.close()
        return counting.connections, counting.requests

    assert asyncio.run(ask()) == (1, 3)


def test_waiting_callers_share_the_answer_of_the_next_request() -> None:
    async def ask() -> int:
        counting = Counting()
        counting.may_answer.clear()
        async with served(counting) as server:
            request = RepeatedRequest(server, "GET", "/", limit_seconds=30)
            first = asyncio.create_task(request.ask())
            while not counting.requests:
                await asyncio.sleep(0)
            others = [asyncio.create_task(request.ask()) for _ in range(5)]
            await asyncio.sleep(0)
            counting.may_answer.set()
            assert all(answer.is_ok for answer in await asyncio.gather(first, *others))
            request.close()
        return counting.requests

    assert asyncio.run(ask()) == 2


def test_a_repeated_request_reconnects_after_a_failure() -> None:
    async def ask() -> int:
        counting = Counting()
        counting.may_answer.clear()
        async with served(counting) as server:
            # the second answer must be in time, also on a busy machine
            request = RepeatedRequest(server, "GET", "/", limit_seconds=1)
            with pytest.raises(Unreachable, match="timed out"):
                await request.ask()
            counting.may_answer.set()
            assert (await request.ask()).is_ok
            request.close()
        return counting.connections

    assert asyncio.run(ask()) == 2


def test_a_caller_that_gives_up_does_not_cancel_the_request() -> None:
    async def ask() -> int:
        counting = Counting()
        counting.may_answer.clear()
        async with served(counting) as server:
            request = RepeatedRequest(server, "GET", "/", limit_seconds=30)
            impatient, patient = asyncio.create_task(request.ask()), asyncio.create_task(request.ask())
            while not counting.requests:
                await asyncio.sleep(0)
            impatient.cancel()
            counting.may_answer.set()
            assert (await patient).is_ok
            request.close()
        return counting.requests

    assert asyncio.run(ask()) in (1, 2)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(111, "x"), "connection refused"),
        (OSError(113, "x"), "no route to host"),
        (ConnectionResetError(), "disconnected"),
        (ssl.SSLError(1, "x"), "tls failed"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "disconnected"),
    ],
)
def test_a_failure_is_a_few_words(error: OSError, words: str) -> None:
    assert reason(error) == words


def test_a_socket_that_asyncio_took_is_shut_down_and_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number must stay taken until asyncio has stopped to watch it."""
    ours, theirs = socket.socketpair()

    async def fail(**_: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(asyncio, "open_connection", fail)
    with pytest.raises(TimeoutError):
        asyncio.run(connection._streams_over(ours, Server("cp1", 6443)))
    with ours, theirs:
        assert ours.fileno() != -1
        assert theirs.recv(1) == b""
