"""The clients that read and write keys of etcd, against a server on the loopback."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode, b64encode
from pathlib import Path

import pytest
from support.http_server import Serve, http, saying, served

from halab.cluster.connection import Answer, Server
from halab.errors import Unreachable
from halab.scenario.record.operations import operations, read
from halab.scenario.sampler import operations as clients
from halab.scenario.sampler.operations import Operations, request, value_in


def decoded(body: bytes) -> dict[str, str]:
    return {name: b64decode(value).decode() for name, value in json.loads(body).items()}


def test_a_write_has_a_key_and_a_value_and_a_read_only_a_key() -> None:
    path, body = request("/halab/a", "7")
    assert (path, decoded(body)) == ("/v3/kv/put", {"key": "/halab/a", "value": "7"})
    path, body = request("/halab/a", None)
    # without `serializable`, a read is linearizable
    assert (path, decoded(body)) == ("/v3/kv/range", {"key": "/halab/a"})


def found(*values: str) -> Answer:
    kvs = [{"key": "", "value": b64encode(value.encode()).decode()} for value in values]
    return Answer(200, json.dumps({"header": {}, "kvs": kvs} if kvs else {"header": {}}).encode())


def test_the_value_of_an_answer() -> None:
    assert value_in(found("7"), None) == "7"
    assert value_in(found(), None) is None
    assert value_in(found(), "8") == "8"


@pytest.mark.parametrize("answer", [Answer(503, b"{}"), Answer(200, b"no"), Answer(200, b"[]")])
def test_an_error_is_no_answer(answer: Answer) -> None:
    with pytest.raises(Unreachable):
        value_in(answer, None)


class OneKey:
    """An etcd member with one key, as far as the clients ask it."""

    def __init__(self) -> None:
        self.value: str | None = None
        self.refuses = False
        self.closes = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            if self.refuses:
                writer.write(http({"error": "etcdserver: request timed out"}, "503 Unavailable"))
            elif self.closes:
                writer.write(http({"header": {}}, "200 OK\r\nConnection: close"))
            elif b"/put" in head:
                self.value = body["value"]
                writer.write(http({"header": {}}))
            else:
                writer.write(http({"kvs": [{"value": self.value}]} if self.value else {}))
            await writer.drain()
            if self.closes:
                return


def played(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch, *, count: int) -> list[str]:
    """Let all clients of one member run until there are so many lines."""
    lines: list[str] = []
    monkeypatch.setattr(clients, "_PAUSE_SECONDS", (0.0, 0.001))
    monkeypatch.setattr(clients, "KEYS", ("/halab/a",))

    async def play() -> None:
        enough = asyncio.Event()

        def write(line: str) -> None:
            lines.append(line)
            if len(lines) >= count:
                enough.set()

        async with served(serve) as server:
            every = Operations({"cp1": server}, time.monotonic(), 2.0, write)
            running = [asyncio.create_task(client.run()) for client in every.clients()]
            assert len(running) == 2
            async with asyncio.timeout(20):
                await enough.wait()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    asyncio.run(play())
    path.write_text("".join(f"{line}\n" for line in lines))
    return lines


def test_clients_read_what_they_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "operations.jsonl"
    played(OneKey().serve, path, monkeypatch, count=200)
    done = operations(read(path))
    writes = {operation.value for operation in done if operation.write}
    reads = {operation.value for operation in done if not operation.write}
    assert writes and reads <= {*writes, ""}
    # another run has other values
    (run,) = {value.partition("-")[0] for value in writes}
    assert run != Operations({}, 0.0, 1.0, print).run and len(run) == 6
    assert all(operation.end is None or operation.start < operation.end for operation in done)


def test_after_a_write_of_unknown_outcome_a_client_only_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member, path = OneKey(), tmp_path / "operations.jsonl"
    member.refuses = True
    played(member.serve, path, monkeypatch, count=60)
    done = operations(read(path))
    # one for each client
    assert [operation.end for operation in done] == [None, None]


def test_a_member_that_closes_the_connection_after_each_answer_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member, path = OneKey(), tmp_path / "operations.jsonl"
    member.closes = True
    played(member.serve, path, monkeypatch, count=60)
    done = operations(read(path))
    # all but the last question of each client
    assert len([operation for operation in done if operation.end is not None]) >= 28


def test_a_write_to_a_member_that_refuses_connections_is_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "operations.jsonl"

    async def refused() -> list[str]:
        async with served(saying()) as server:
            closed = Server(server.host, server.port)
        lines: list[str] = []
        (client, _) = Operations({"cp1": closed}, time.monotonic(), 2.0, lines.append).clients()
        await client._ask("/halab/a", writes=True)
        return lines

    lines = asyncio.run(refused())
    path.write_text("".join(f"{line}\n" for line in lines))
    assert len(lines) == 2 and operations(read(path)) == []
