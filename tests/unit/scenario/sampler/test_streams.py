"""Watches of a server on the loopback: events answer, cuts are reported, streams are opened again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.http_server import served

from halab.config.probe import Question, Way
from halab.scenario.sampler.clients import Reply
from halab.scenario.sampler.probes import Probe
from halab.scenario.sampler.streams import Stream

_LIST = b'{"metadata":{"resourceVersion":"41"}}'
_EVENT = b'{"type":"ADDED","object":{}}\n'
_ERROR = b'{"type":"ERROR","object":{"code":410}}\n'


class Watched:
    """An API with one list and one watch; the test sends the events."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.streams: list[asyncio.StreamWriter] = []
        self.list = _LIST

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            self.paths.append(line.split()[1].decode())
            if "watch=1" in self.paths[-1]:
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                self.streams.append(writer)
            else:
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(self.list), self.list)
                )
            await writer.drain()

    def send(self, event: bytes = _EVENT) -> None:
        self.streams[-1].write(b"%x\r\n%s\r\n" % (len(event), event))

    async def opened(self, streams: int) -> None:
        while len(self.streams) < streams:
            await asyncio.sleep(0.001)


async def until(happened: Callable[[], object]) -> None:
    while not happened():
        await asyncio.sleep(0.001)


def played(
    question: Question, play: Callable[[Watched, Stream], Awaitable[None]], limit_seconds: float = 30
) -> tuple[Watched, list[str]]:
    """Play with a stream that runs; what the server saw, and the cuts that were told."""
    cuts: list[str] = []

    async def run() -> Watched:
        watched = Watched()
        async with served(watched) as server:
            probe = Probe("w", None, question, Way.WATCH, server.host, server.port, 10)
            stream = Stream(probe, server, "space", limit_seconds, cuts.append)
            running = asyncio.create_task(stream.run())
            async with asyncio.timeout(20):
                await play(watched, stream)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        return watched

    return asyncio.run(run()), cuts


def test_a_question_is_answered_by_the_next_event() -> None:
    async def play(watched: Watched, stream: Stream) -> None:
        await watched.opened(1)
        asking = asyncio.create_task(stream.ask(None))
        await asyncio.sleep(0)
        watched.send()
        assert await asking == Reply(True, "event")

    watched, cuts = played(Question.NEXT_EVENT, play)
    assert watched.paths[0].endswith("/namespaces/space/configmaps?limit=1")
    assert watched.paths[1].endswith("?watch=1&resourceVersion=41")
    assert cuts == []


@pytest.mark.parametrize("question", [Question.NEXT_EVENT, Question.STILL_OPEN])
def test_a_cut_is_reported_once_and_the_stream_is_opened_again(question: Question) -> None:
    async def play(watched: Watched, stream: Stream) -> None:
        await watched.opened(1)
        if question is Question.STILL_OPEN:
            assert await stream.ask(None) == Reply(True, "open")
        watched.send()
        watched.streams[0].close()
        await watched.opened(2)
        watched.send()

    _, cuts = played(question, play)
    assert cuts == ["cut: disconnected"]


def test_a_silent_stream_is_open_however_long_nothing_comes() -> None:
    async def play(watched: Watched, stream: Stream) -> None:
        await watched.opened(1)
        await asyncio.sleep(0.4)
        assert await stream.ask(None) == Reply(True, "open")

    # as long as a busy machine may need to open a stream, and shorter than the silence
    watched, cuts = played(Question.STILL_OPEN, play, limit_seconds=0.3)
    assert "fieldSelector=" in watched.paths[1]
    assert (len(watched.streams), cuts) == (1, [])


def test_a_stream_without_events_is_given_up() -> None:
    async def play(watched: Watched, stream: Stream) -> None:
        await watched.opened(2)

    _, cuts = played(Question.NEXT_EVENT, play, limit_seconds=0.3)
    assert cuts[0] == "cut: no event for 0.3 s"


def test_an_error_in_the_stream_is_a_cut() -> None:
    async def play(watched: Watched, stream: Stream) -> None:
        await watched.opened(1)
        watched.send(_ERROR)
        await watched.opened(2)

    assert played(Question.NEXT_EVENT, play)[1] == ["cut: the API ended the watch with an error"]


def test_an_unreadable_list_opens_no_stream() -> None:
    async def play(watched: Watched, stream: Stream) -> None:
        watched.list = b"<html>"
        await until(lambda: len(watched.paths) > 1)
        watched.list = _LIST
        await watched.opened(1)

    watched, cuts = played(Question.STILL_OPEN, play)
    assert cuts == []
    assert [path for path in watched.paths[:2] if "watch" in path] == []
