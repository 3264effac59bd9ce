"""The endpoint's name: the DNS server on the loopback, the time to live, the order of the tries, and Go's shares."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import httpcore
import pytest
from support.fakes import lab_of
from support.http_server import OK, saying, served

from halab.cluster import api, connection, names, socks
from halab.cluster.connection import Connection
from halab.cluster.names import Answer, Cached, NameServer, share_of
from halab.errors import Unreachable

NAME = "api.ha.internal"
DNS = {"kind": "dns"}


@dataclass(frozen=True)
class Scripted(NameServer):
    """A DNS server with an answer for every question, the last one again and again."""

    answers: list[Answer | Unreachable] = field(default_factory=list)

    def look_up(self) -> Answer:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Unreachable):
            raise answer
        return answer


def scripted(*answers: Answer | Unreachable) -> Scripted:
    return Scripted("10.213.7.10", NAME, None, list(answers))


def answer_to(wire: bytes, addresses: tuple[str, ...], rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(wire))
    response.set_rcode(rcode)
    if addresses:
        response.answer.append(dns.rrset.from_text(f"{NAME}.", 10, "IN", "A", *addresses))
    return response.to_wire()


@contextmanager
def dns_server(*addresses: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR) -> Iterator[int]:
    """A DNS server on the loopback; the port."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, answering = self.request
            answering.sendto(answer_to(wire, addresses, rcode), self.client_address)

    with socketserver.UDPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def asking(monkeypatch: pytest.MonkeyPatch, port: int) -> NameServer:
    monkeypatch.setattr(names, "_DNS_PORT", port)
    return NameServer("127.0.0.1", NAME)


def test_the_addresses_come_with_their_time_to_live(monkeypatch: pytest.MonkeyPatch) -> None:
    with dns_server("10.213.7.12", "10.213.7.11") as port:
        found = asking(monkeypatch, port).look_up()
    # a server that is made of dnspython shuffles its records
    assert (sorted(found.addresses), found.ttl_seconds) == (["10.213.7.11", "10.213.7.12"], 10)


def test_a_name_without_records_has_no_address_and_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with dns_server(rcode=dns.rcode.NXDOMAIN) as port:
        assert asking(monkeypatch, port).look_up() == Answer((), 0)


def test_a_server_that_fails_is_not_a_name_without_records(monkeypatch: pytest.MonkeyPatch) -> None:
    with dns_server(rcode=dns.rcode.SERVFAIL) as port, pytest.raises(Unreachable, match="answers SERVFAIL"):
        asking(monkeypatch, port).look_up()


def test_a_server_that_does_not_answer_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "_LOOK_UP_SECONDS", 0.01)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match=f"^no answer from the DNS server for {NAME}$"):
            asking(monkeypatch, silent.getsockname()[1]).look_up()


@pytest.mark.parametrize("pieces", [1, 3])
def test_through_a_tunnel_the_question_goes_over_tcp(monkeypatch: pytest.MonkeyPatch, pieces: int) -> None:
    sent: list[bytes] = []

    class Stream:
        def write(self, data: bytes, timeout: float) -> None:
            message = answer_to(data[2:], ("10.213.7.11",))
            whole = len(message).to_bytes(2, "big") + message
            step = -(-len(whole) // pieces)
            sent.extend(whole[start : start + step] for start in range(0, len(whole), step))

        def read(self, size: int, timeout: float) -> bytes:
            piece = sent.pop(0)
            if len(piece) > size:
                sent.insert(0, piece[size:])
            return piece[:size]

        def close(self) -> None: ...

    class Proxy:
        def __init__(self, proxy: str) -> None:
            assert proxy == "/run/tunnel"

        def connect_tcp(self, host: str, port: int, timeout: float) -> Stream:
            assert (host, port) == ("10.213.7.10", 53)
            return Stream()

    monkeypatch.setattr(socks, "Backend", Proxy)
    assert NameServer("10.213.7.10", NAME, "/run/tunnel").look_up() == Answer(("10.213.7.11",), 10)


def test_a_proxy_that_ends_the_connection_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    class Proxy:
        def __init__(self, proxy: str) -> None: ...

        def connect_tcp(self, host: str, port: int, timeout: float) -> Any:
            return self

        def write(self, data: bytes, timeout: float) -> None: ...

        def read(self, size: int, timeout: float) -> bytes:
            return b""

        def close(self) -> None: ...

    monkeypatch.setattr(socks, "Backend", Proxy)
    with pytest.raises(Unreachable, match="did not resolve api.ha.internal: disconnected"):
        NameServer("10.213.7.10", NAME, "/run/tunnel").look_up()


def test_only_a_lab_with_dns_has_a_name_server() -> None:
    assert names.name_server(lab_of()) is None
    assert names.name_server(lab_of(load_balancer=DNS)) == NameServer("10.213.7.10", NAME)


def test_the_first_address_gets_its_share_but_at_least_two_seconds_as_in_go() -> None:
    assert share_of(30, 3) == 10
    assert share_of(5, 3) == 2
    # a client with two seconds gives all of them to the first address
    assert share_of(2, 3) == 2
    assert share_of(1, 1) == 1


def test_every_connection_begins_with_the_next_address() -> None:
    resolver = Cached(scripted(Answer(("3", "1", "2"), 60)))

    async def orders() -> list[list[str]]:
        return [list(await resolver.addresses()) for _ in range(4)]

    assert asyncio.run(orders()) == [list("231"), list("312"), list("123"), list("231")]


def test_an_answer_is_used_for_its_time_to_live_and_no_longer() -> None:
    now = 100.0
    resolver = Cached(scripted(Answer(("1", "2"), 10), Answer(("2",), 10)), now=lambda: now)

    async def over_time() -> list[set[str]]:
        nonlocal now
        seen = [set(await resolver.addresses())]
        now += 9.9
        seen.append(set(await resolver.addresses()))
        now += 0.1
        return [*seen, set(await resolver.addresses())]

    assert asyncio.run(over_time()) == [{"1", "2"}, {"1", "2"}, {"2"}]


def test_callers_that_wait_share_one_question() -> None:
    server = scripted(Answer(("1",), 0), Answer(("2",), 0))
    resolver = Cached(server)

    async def together() -> list[list[str]]:
        return list(map(list, await asyncio.gather(resolver.addresses(), resolver.addresses())))

    assert asyncio.run(together()) == [["1"], ["1"]]
    # an answer with no time to live is not kept
    assert asyncio.run(resolver.addresses()) == ["2"]


def test_without_a_record_or_a_server_there_is_no_address() -> None:
    with pytest.raises(Unreachable, match=f"^{NAME} has no address$"):
        asyncio.run(Cached(scripted(Answer((), 0))).addresses())
    with pytest.raises(Unreachable, match="^gone$"):
        asyncio.run(Cached(scripted(Unreachable("gone"))).addresses())


def test_a_connection_goes_to_the_next_address_if_one_refuses() -> None:
    async def ask() -> Any:
        async with served(saying(OK)) as server:
            # 127.0.0.2 is the loopback too, and nothing listens there on this port
            resolver = Cached(scripted(Answer(("127.0.0.1", "127.0.0.2"), 60)))
            assert (await resolver.addresses())[0] == "127.0.0.2"
            await resolver.addresses()
            named = replace(server, host=NAME, resolver=resolver)
            async with await Connection.open(named) as opened:
                return await opened.ask("GET", "/")

    assert asyncio.run(ask()).is_ok


def test_if_no_address_accepts_the_first_one_says_why() -> None:
    resolver = Cached(scripted(Answer(("127.0.0.1", "127.0.0.2"), 60)))
    with pytest.raises(Unreachable, match="^connection refused$"):
        asyncio.run(Connection.open(connection.Server(NAME, 1, resolver=resolver)))


def test_an_address_that_is_silent_uses_up_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def silent(server: connection.Server, address: str) -> socket.socket:
        tried.append(address)
        await asyncio.sleep(60)
        raise AssertionError

    monkeypatch.setattr(connection, "_connected", silent)
    resolver = Cached(scripted(Answer(("1", "2"), 60)))
    with pytest.raises(Unreachable, match="^connection timed out$"):
        asyncio.run(Connection.open(connection.Server(NAME, 1, resolver=resolver, dial_seconds=0.02)))
    # the least share is more than the whole time: no second address was tried for long
    assert tried[0] == "2"


def test_a_tunnel_carries_the_connection_to_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    async def connect(proxy: str, host: str, port: int) -> socket.socket:
        raise ConnectionRefusedError(111, f"{proxy} {host}")

    monkeypatch.setattr(socks, "connect", connect)
    server = connection.Server(NAME, 6443, None, "/run/tunnel", resolver=Cached(scripted(Answer(("1",), 1))))
    with pytest.raises(Unreachable, match="^connection refused$"):
        asyncio.run(Connection.open(server))


class Accepting:
    """Connects to some addresses only."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.tried: list[tuple[str, float]] = []

    def __call__(self, host: str, timeout: float) -> Any:
        self.tried.append((host, timeout))
        if host not in self.addresses:
            raise httpcore.ConnectError(f"{host} refused")
        return host


def test_a_synchronous_client_tries_the_addresses_in_their_order() -> None:
    connect = Accepting("3")
    accepted: tuple[str, object] = names._first_that_accepts(("1", "2", "3"), 30, connect)
    assert accepted == ("3", "3")
    assert [host for host, _ in connect.tried] == ["1", "2", "3"]
    assert connect.tried[0][1] == pytest.approx(10, abs=0.1)
    with pytest.raises(httpcore.ConnectError, match="^1 refused$"):
        names._first_that_accepts(("1", "2"), 30, Accepting())


def test_the_api_is_asked_by_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def first(addresses: tuple[str, ...], seconds: float, connect: Any) -> Any:
        asked.append(f"{addresses} {seconds:g}")
        raise httpcore.ConnectError("refused")

    monkeypatch.setattr(names, "_first_that_accepts", first)
    server = scripted(Answer(("10.213.7.11",), 5), Unreachable("no answer from the DNS server"))
    with api.Api(
        f"https://{NAME}:6443", ssl.create_default_context(), timeout_seconds=4, order=server.addresses
    ) as client:
        with pytest.raises(Unreachable, match="refused"):
            client.get("/readyz")
        with pytest.raises(Unreachable, match="no answer from the dns server"):
            client.get("/readyz")
    assert asked == ["('10.213.7.11',) 4"]


def test_kubectl_gets_the_first_address_that_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def close(self) -> None: ...

    def connect_tcp(self: Any, host: str, port: int, timeout: float) -> Stream:
        assert port == 6443
        if host == "1":
            raise httpcore.ConnectTimeout
        return Stream()

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect_tcp)
    assert names.accepting_address(("1", "2"), 6443, 6) == "2"
    assert names.accepting_address(("1",), 6443, 6) is None


def test_which_addresses_a_connection_tries_is_known_for_labs_with_several() -> None:
    assert names.order(lab_of()) is None
    listed = names.order(lab_of(load_balancer={"kind": "local"}))
    assert listed is not None
    assert list(listed()) == ["10.213.7.12", "10.213.7.13", "10.213.7.11"]
    asked = names.order(lab_of(load_balancer=DNS), "/run/tunnel")
    assert getattr(asked, "__self__", None) == NameServer("10.213.7.10", NAME, "/run/tunnel")
    with pytest.raises(Unreachable, match=f"^{NAME} has no address$"):
        scripted(Answer((), 5)).addresses()
