"""A watch that is resumed: what it missed, what it reported twice, and how it begins again."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from support.http_server import served

from halab.config.probe import Question, Way
from halab.scenario.sampler.probes import Probe
from halab.scenario.sampler.resumed_watch import Deliveries, ResumedWatch

PROBE = Probe("watch-resuming", None, Question.NEXT_EVENT, Way.RESUMED_WATCH, "127.0.0.1", 1, 10.0)


def begun(version: int = 10) -> Deliveries:
    deliveries = Deliveries()
    deliveries.begin(version)
    return deliveries


def test_a_write_that_is_told_is_not_missed() -> None:
    deliveries = begun()
    deliveries.acknowledge(1, 11)
    assert deliveries.tell(1)
    assert deliveries.reach(11) == []
    assert deliveries.reach(20) == []


def test_a_later_version_shows_that_a_write_was_missed() -> None:
    deliveries = begun()
    deliveries.acknowledge(1, 11)
    deliveries.acknowledge(2, 12)
    assert deliveries.reach(11) == []
    deliveries.tell(2)
    assert deliveries.reach(12) == [1]
    assert deliveries.reach(13) == []


def test_an_event_may_come_before_the_answer_to_its_write() -> None:
    deliveries = begun()
    deliveries.tell(1)
    deliveries.reach(11)
    deliveries.acknowledge(1, 11)
    assert deliveries.reach(12) == []


def test_a_write_is_told_once() -> None:
    deliveries = begun()
    assert [deliveries.tell(1), deliveries.tell(1)] == [True, False]


def test_writes_before_the_first_version_need_not_be_told() -> None:
    deliveries = Deliveries()
    deliveries.acknowledge(1, 5)
    assert deliveries.begin(10) == []
    deliveries.acknowledge(2, 10)
    assert deliveries.reach(20) == []


def test_a_watch_that_begins_again_has_missed_what_was_due_until_then() -> None:
    deliveries = begun()
    deliveries.acknowledge(1, 11)
    deliveries.acknowledge(2, 31)
    assert deliveries.begin(30) == [1]
    assert deliveries.reach(32) == [2]


def event(version: int, number: int | None = None, kind: str = "ADDED") -> bytes:
    name = {"name": f"write-{number}"} if number is not None else {"name": "other"}
    written = {"type": kind, "object": {"metadata": {"resourceVersion": str(version), **name}}}
    return json.dumps(written).encode() + b"\n"


def error(code: int) -> bytes:
    return json.dumps({"type": "ERROR", "object": {"code": code, "reason": "Expired"}}).encode() + b"\n"


LIST = b'{"metadata": {"resourceVersion": "10"}}'


@dataclass
class Api:
    """Serves lists, and one script after another to watches: each ends the connection."""

    scripts: list[bytes]
    asked: list[str] = field(default_factory=list)
    refuse: int | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            path = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1]
            self.asked.append(path)
            if "watch=1" not in path:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LIST), LIST))
                await writer.drain()
                continue
            if self.refuse:
                writer.write(b"HTTP/1.1 %d no\r\nContent-Length: 0\r\n\r\n" % self.refuse)
                self.refuse = None
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                script = self.scripts.pop(0) if self.scripts else b""
                # in two pieces, as a network may cut them
                for piece in filter(None, (script[:30], script[30:])):
                    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                    await writer.drain()
                    await asyncio.sleep(0.01)
                if not self.scripts:
                    await asyncio.sleep(60)
            await writer.drain()
            writer.close()
            return


def followed(
    api: Api, deliveries: Deliveries | None = None, watches: int = 2
) -> tuple[list[str], list[str]]:
    """What was reported, and the versions from which the watch began."""
    reported: list[str] = []
    certain: list[str] = []

    async def follow() -> None:
        async with served(api.serve) as server:
            deliver = deliveries or Deliveries()
            watch = ResumedWatch(PROBE, server, "space", 2.0, reported.append, certain.append, deliver)
            task = asyncio.create_task(watch.run())
            async with asyncio.timeout(10):
                while sum("watch=1" in path for path in api.asked) < watches:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
            task.cancel()

    asyncio.run(follow())
    begun = [path.rpartition("resourceVersion=")[2] for path in api.asked if "watch=1" in path]
    # what is certain is marked
    return [*reported, *(f"! {what}" for what in certain)], begun


def test_after_a_cut_the_watch_is_resumed_from_the_last_event_without_a_list() -> None:
    api = Api([event(11, 1) + event(15, 2), event(16, 3)])
    assert followed(api) == ([], ["10", "15"])
    assert sum("limit=1" in path for path in api.asked) == 1


def test_a_bookmark_moves_the_version() -> None:
    assert followed(Api([event(40, kind="BOOKMARK"), event(41, 1)])) == ([], ["10", "40"])


def test_a_write_that_comes_again_is_reported() -> None:
    reported, _ = followed(Api([event(11, 1), event(11, 1) + event(12, 2)]))
    assert reported == ["! reported twice: write-1"]


def test_a_write_that_was_acknowledged_and_not_told_is_reported() -> None:
    deliveries = Deliveries()

    class Acknowledged(Api):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # the first watch ends after the list was read
            if len(self.asked) == 2:
                for number in range(2, 9):
                    deliveries.acknowledge(number, 10 + number)
            await super().serve(reader, writer)

    reported, _ = followed(Acknowledged([event(11, 1), event(30, 9)]), deliveries)
    assert reported == ["! missed: write-2, write-3, write-4, write-5, write-6 and 2 more"]


@pytest.mark.parametrize("in_band", [True, False])
def test_a_version_that_the_api_has_forgotten_is_reported_and_the_list_read_again(in_band: bool) -> None:
    api = Api([error(410), event(11, 1)]) if in_band else Api([event(11, 1)], refuse=410)
    reported, begun = followed(api)
    assert reported == ["the API has forgotten version 10: listed again"]
    assert begun == ["10", "10"]
    assert sum("limit=1" in path for path in api.asked) == 2


@pytest.mark.parametrize("nonsense", [b"nonsense\n", b'{"type": "ADDED"}\n', b"[]\n", error(500)])
def test_an_event_that_cannot_be_read_ends_the_connection_only(nonsense: bytes) -> None:
    assert followed(Api([event(12, 1) + nonsense, event(13, 2)])) == ([], ["10", "12"])
