"""Clients that need objects in the cluster: a long list, pods that start, a Service that a node asks."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from support.fakes import FakeGuestShell
from support.http_server import Serve, http, served

from halab.cluster.connection import Server
from halab.errors import Unreachable
from halab.scenario.sampler import object_clients
from halab.scenario.sampler.clients import Reply
from halab.scenario.sampler.object_clients import Lister, NodeClient, NotAsked, PodStarter
from halab.scenario.sampler.probes import Objects

OBJECTS = Objects("space", 3, "10.96.0.77", "pause:1")


def listing(count: int) -> bytes:
    items = [{"metadata": {"name": f"listed-{number}", "namespace": "space"}} for number in range(count)]
    content = {"items": [{"metadata": {"name": "kube-root-ca.crt"}}, *items]}
    return json.dumps(content, separators=(",", ":")).encode()


def in_pieces(body: bytes, length: int, status: str = "200 OK") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(body)))
        for start in range(0, len(body), length):
            writer.write(body[start : start + length])
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    return serve


def listed(serve: Serve) -> Reply:
    async def ask() -> Reply:
        async with served(serve) as server:
            return await Lister(server, OBJECTS).ask(None)

    return asyncio.run(ask())


@pytest.mark.parametrize("length", [1, 2, 7, 11, 1000])
def test_a_complete_list_is_good_however_it_arrives(length: int) -> None:
    body = listing(3)
    assert listed(in_pieces(body, length)) == Reply(True, f"200, 3 objects, {len(body) / 1000:.0f} kB")


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_list_with_another_number_of_objects_is_not_good(count: int) -> None:
    reply = listed(in_pieces(listing(count), 50))
    assert (reply.ok, reply.detail) == (False, f"200, {count} objects, 0 kB")


def test_an_error_is_not_a_list() -> None:
    assert listed(in_pieces(listing(3), 50, "503 Service Unavailable")) == Reply(False, "503")


def running(phase: str, node: str | None = "cp2") -> bytes:
    return http({"status": {"phase": phase}, "spec": {"nodeName": node} if node else {}})


def started(*answers: bytes) -> tuple[Reply, list[str]]:
    """The reply within 1 s, and the requests in order. A second passes when every answer was given."""
    asked: list[str] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(" ".join(head.decode().split(" ")[:2]))
        if answer := left.pop(0) if len(left) > 1 else left[0]:
            writer.write(answer)
            await writer.drain()
        writer.close()

    async def ask() -> Reply:
        async with served(serve) as server:
            reply = await PodStarter(server, OBJECTS, 1.0).ask(None)
            while not asked[-1].startswith("DELETE"):
                await asyncio.sleep(0.01)
            return reply

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            object_clients, "time", SimpleNamespace(monotonic=lambda: float(len(asked) >= len(answers)))
        )
        return asyncio.run(ask()), asked


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_clients, "_POLL_SECONDS", 0.01)


def test_a_pod_is_created_seen_running_and_deleted() -> None:
    pods = "/api/v1/namespaces/space/pods"
    reply, asked = started(http("", "201 Created"), running("Pending", None), b"", running("Running"))
    assert reply == Reply(True, "Running on cp2")
    assert asked == [f"POST {pods}", *[f"GET {pods}/pod-1"] * 3, f"DELETE {pods}/pod-1"]


def test_a_pod_that_does_not_run_in_time_says_how_far_it_came_and_is_deleted() -> None:
    reply, _ = started(http("", "201 Created"), running("Pending"))
    assert reply == Reply(False, "not running after 1 s: Pending on cp2")


def test_a_pod_that_is_not_created_is_not_waited_for() -> None:
    assert started(http("", "403 Forbidden"))[0] == Reply(False, "not created: 403")


def test_a_pod_that_disappears_is_not_running() -> None:
    reply, _ = started(http("", "201 Created"), running("Pending"), http("", "404 Not Found"))
    assert reply == Reply(False, "not running after 1 s: Pending on cp2, then 404")


def test_an_api_without_an_answer_to_the_creation_is_unreachable() -> None:
    starter = PodStarter(Server("127.0.0.1", 1), OBJECTS, 1.0)
    with pytest.raises(Unreachable, match="connection refused"):
        asyncio.run(starter.ask(None))


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ("200 0", Reply(True, "200")),
        ("503 0", Reply(False, "503")),
        ("000 7", Reply(False, "connection refused")),
        ("000 28", Reply(False, "timed out")),
        ("000 99", Reply(False, "no answer (curl: 99)")),
    ],
)
def test_what_a_node_sees_of_the_service_is_the_answer(answer: str, reply: Reply) -> None:
    shell = FakeGuestShell(answer)
    assert asyncio.run(NodeClient(shell, "http://10.96.0.77/health", 2.0).ask(None)) == reply
    assert shell.asked[0].endswith(" http://10.96.0.77/health")
    assert "--max-time 1.90" in shell.asked[0]


def test_a_node_that_asks_the_api_checks_its_certificate() -> None:
    shell = FakeGuestShell("200 0")
    url = "https://api.ha.internal:7445/readyz"
    assert asyncio.run(NodeClient(shell, url, 2.0, ca="/pki/ca.crt").ask(None)) == Reply(True, "200")
    assert shell.asked[0].endswith(f"--cacert /pki/ca.crt {url}")


@pytest.mark.parametrize("problem", [Unreachable("the connection is cut"), TimeoutError(), ""])
def test_a_node_that_cannot_be_told_to_ask_says_nothing_about_the_service(problem: Exception | str) -> None:
    with pytest.raises(NotAsked):
        asyncio.run(NodeClient(FakeGuestShell(problem), "http://10.96.0.77/health", 2.0).ask(None))
