"""A client with a name of several addresses tries one after another, as a Go client does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace

import httpcore
import pytest
from support.http_server import OK, saying, served

from halab.cluster import names
from halab.cluster.connection import Answer, Connection, Server
from halab.cluster.names import Backend, Listed, accepting_address, share_of
from halab.errors import Unreachable

# No process of a test listens there.
REFUSING = "127.0.0.2"


@pytest.mark.parametrize(
    ("seconds", "addresses", "share"),
    # Go: https://go.dev/src/net/dial.go, partialDeadline
    [(30.0, 3, 10.0), (20.0, 2, 10.0), (10.0, 1, 10.0), (5.0, 3, 2.0), (2.0, 3, 2.0), (0.5, 3, 0.5)],
)
def test_an_address_has_its_share_of_the_time_and_two_seconds_at_least(
    seconds: float, addresses: int, share: float
) -> None:
    assert share_of(seconds, addresses) == share


def test_every_connection_begins_with_the_next_address() -> None:
    listed = Listed(["a", "b", "c"])
    orders = ["".join(asyncio.run(listed.addresses())) for _ in range(4)]
    assert orders == ["bca", "cab", "abc", "bca"]


def asked(*addresses: str) -> list[Answer]:
    """The answers to two requests at a name with these addresses."""

    async def ask() -> list[Answer]:
        async with served(saying(OK)) as server:
            named = replace(server, host="api.ha.internal", resolver=Listed(addresses))
            answers = []
            for _ in addresses:
                async with await Connection.open(named) as connection:
                    answers.append(await connection.ask("GET", "/"))
            return answers

    return asyncio.run(ask())


def test_an_address_that_refuses_is_passed_over_at_once() -> None:
    assert asked(REFUSING, "127.0.0.1") == [Answer(200, b"ok")] * 2


def test_a_name_whose_addresses_all_refuse_is_unreachable() -> None:
    with pytest.raises(Unreachable, match="^connection refused$"):
        asyncio.run(Connection.open(Server("api.ha.internal", 1, resolver=Listed([REFUSING, "127.0.0.1"]))))


def test_a_silent_address_costs_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(self: object, connection: socket.socket, address: tuple[str, int]) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(names, "_LEAST_SECONDS", 0.0)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "sock_connect", silent)
    with pytest.raises(Unreachable, match="^connection timed out$"):
        asyncio.run(
            Connection.open(Server("api.ha.internal", 1, resolver=Listed(["a", "b"]), dial_seconds=0.02))
        )


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_synchronous_client_takes_the_first_address_that_accepts(port: int) -> None:
    backend = Backend(Listed([REFUSING, "127.0.0.1"]).rotated)
    for _ in range(2):
        stream = backend.connect_tcp("api.ha.internal", port, timeout=5)
        assert stream.get_extra_info("server_addr") == ("127.0.0.1", port)
        stream.close()


def test_a_synchronous_client_raises_what_the_first_address_said(port: int) -> None:
    with pytest.raises(httpcore.ConnectError, match="refused"):
        Backend(Listed([REFUSING, REFUSING]).rotated).connect_tcp("api.ha.internal", port, timeout=5)


def test_no_address_is_tried_when_no_time_is_left(port: int) -> None:
    with pytest.raises(httpcore.ConnectTimeout):
        Backend(Listed(["127.0.0.1"]).rotated).connect_tcp("api.ha.internal", port, timeout=-1)


def test_a_client_that_can_have_one_address_gets_one_that_accepts(port: int) -> None:
    assert accepting_address([REFUSING, "127.0.0.1"], port, 5) == "127.0.0.1"
    assert accepting_address([REFUSING], port, 5) is None
