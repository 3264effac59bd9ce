"""The addresses of the name of the API's endpoint, and the order in which a client outside the cluster tries them.

Clients do what a Go client does (kubectl, client-go): every new connection begins with the next address, because name
servers rotate their answers, and an address that does not accept gets its share of the time before the next one is
tried (`share_of`). In a lab with DNS, they look the name up at its server, as on a host whose resolver keeps an answer
for its time to live (systemd-resolved, a cache on the node). After a connection, no other address is tried: not for a
handshake that fails, and not for an answer that does not come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import httpcore

from halab.cluster import socks
from halab.errors import Unreachable
from halab.topology.lab import Lab

# Go's net.Dialer gives no address less than this (saneMinimum in src/net/dial.go).
_LEAST_SECONDS = 2.0
_DIAL_SECONDS = 30.0
_DNS_PORT = 53
# How long a client waits for the DNS server. Then it fails: there is no second server.
_LOOK_UP_SECONDS = 2.0


def share_of(seconds: float, addresses: int) -> float:
    """How long the first of some addresses may take to accept, if there are `seconds` for all of them: as in Go."""
    return min(seconds, max(seconds / addresses, _LEAST_SECONDS))


class Resolver(Protocol):
    async def addresses(self) -> Sequence[str]:
        """The addresses for a new connection, in the order of the tries. Raises Unreachable if there is none."""


@dataclass
class Listed:
    """A name whose addresses do not change. The first one is the next at every connection."""

    known: Sequence[str]
    _turn: int = field(default=0, init=False)

    async def addresses(self) -> Sequence[str]:
        return self.rotated()

    def rotated(self) -> Sequence[str]:
        self._turn += 1
        first = self._turn % len(self.known)
        return [*self.known[first:], *self.known[:first]]


@dataclass(frozen=True)
class Answer:
    """The addresses of a name, in the order of the DNS server, and for how long they may be used."""

    addresses: tuple[str, ...]
    ttl_seconds: int


@dataclass(frozen=True)
class NameServer:
    """The lab's DNS server and the name that it serves. `tunnel` is the socket of a SOCKS5 proxy that reaches it."""

    address: str
    name: str
    tunnel: str | None = None

    def look_up(self) -> Answer:
        """Ask for the addresses; none if the name has none. Raises Unreachable without an answer in time."""
        # it takes 30 ms to import, and most labs have no DNS server
        import dns.exception
        import dns.message
        import dns.query
        import dns.rcode
        import dns.rdatatype

        question = dns.message.make_query(self.name, dns.rdatatype.A)
        try:
            if self.tunnel:
                answer = dns.message.from_wire(_ask_through(self.tunnel, self.address, question.to_wire()))
            else:
                answer = dns.query.udp(
                    question, self.address, _LOOK_UP_SECONDS, port=_DNS_PORT, ignore_unexpected=True
                )
        except (dns.exception.Timeout, httpcore.TimeoutException) as error:
            raise Unreachable(f"no answer from the DNS server for {self.name}") from error
        except (dns.exception.DNSException, httpcore.NetworkError, OSError) as error:
            raise Unreachable(f"the DNS server did not resolve {self.name}: {error}") from error
        if answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise Unreachable(f"the DNS server answers {dns.rcode.to_text(answer.rcode())} for {self.name}")
        sets = [records for records in answer.answer if records.rdtype == dns.rdatatype.A]
        addresses = tuple(record.address for records in sets for record in records)
        return Answer(addresses, min((records.ttl for records in sets), default=0))

    def addresses(self) -> Sequence[str]:
        """The addresses for one connection; Unreachable if there is none."""
        found = self.look_up().addresses
        if not found:
            raise Unreachable(f"{self.name} has no address")
        return found


@dataclass
class Cached:
    """A name in DNS. Asynchronous clients share an answer for its time to live."""

    server: NameServer
    now: Callable[[], float] = time.monotonic
    _known: Listed = field(default_factory=lambda: Listed(()), init=False)
    _until: float = field(default=0.0, init=False)
    _asking: asyncio.Task[None] | None = field(default=None, init=False)

    async def addresses(self) -> Sequence[str]:
        if self.now() >= self._until:
            await self._look_up()
        if not self._known.known:
            raise Unreachable(f"{self.server.name} has no address")
        return self._known.rotated()

    async def _look_up(self) -> None:
        """Ask once for all that wait. A caller that gives up must not take the answer from the others."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        answer = await asyncio.to_thread(self.server.look_up)
        # sorted, because the server changes the order, and the turns would give one address more than its share
        self._known.known, self._until = sorted(answer.addresses), self.now() + answer.ttl_seconds


def name_server(lab: Lab, tunnel: str | None = None) -> NameServer | None:
    """The DNS server of a lab; None for a lab that has none."""
    return NameServer(str(lab.balancer.address), lab.api_host, tunnel) if lab.has_dns else None


def order(lab: Lab, tunnel: str | None = None) -> Callable[[], Sequence[str]] | None:
    """A function that says which addresses a new connection tries; None if the endpoint has one address.

    The function raises Unreachable if there is none.
    """
    if server := name_server(lab, tunnel):
        return server.addresses
    if lab.has_several_addresses:
        return Listed([str(address) for address in lab.api_addresses]).rotated
    return None


class Backend(httpcore.SyncBackend):
    """Connects a synchronous client to one of the addresses of a name. `tunnel` is the socket of a SOCKS5 proxy."""

    def __init__(self, order: Callable[[], Sequence[str]], tunnel: str | None = None) -> None:
        self._order = order
        self._connect = socks.backend(tunnel).connect_tcp

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        connect = partial(
            self._connect, port=port, local_address=local_address, socket_options=socket_options
        )
        try:
            addresses = self._order()
        except Unreachable as error:
            raise httpcore.ConnectError(error.message) from error
        return _first_that_accepts(addresses, timeout or _DIAL_SECONDS, connect)[1]


def accepting_address(
    addresses: Sequence[str], port: int, seconds: float, tunnel: str | None = None
) -> str | None:
    """The first address that accepts a connection, for a client that can have only one; None if none does."""
    try:
        address, stream = _first_that_accepts(
            addresses, seconds, partial(socks.backend(tunnel).connect_tcp, port=port)
        )
    except (httpcore.ConnectError, httpcore.ConnectTimeout):
        return None
    stream.close()
    return address


def _first_that_accepts(
    addresses: Sequence[str], seconds: float, connect: Callable[..., httpcore.NetworkStream]
) -> tuple[str, httpcore.NetworkStream]:
    """The first address that accepts a connection, and the connection. They are tried one after another.

    If none accepts, raise what the first one said, as Go does.
    """
    deadline = time.monotonic() + seconds
    first: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
    for number, address in enumerate(addresses):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return address, connect(host=address, timeout=share_of(left, len(addresses) - number))
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            first = first or error
    raise first or httpcore.ConnectTimeout("no time is left")


def _ask_through(tunnel: str, address: str, question: bytes) -> bytes:
    """Ask over TCP, which the proxy can carry; a length of two bytes comes before each message (RFC 1035, 4.2.2)."""
    stream = socks.Backend(tunnel).connect_tcp(address, _DNS_PORT, _LOOK_UP_SECONDS)
    try:
        stream.write(len(question).to_bytes(2, "big") + question, _LOOK_UP_SECONDS)
        length = int.from_bytes(socks.receive(stream, 2, _LOOK_UP_SECONDS), "big")
        return socks.receive(stream, length, _LOOK_UP_SECONDS)
    finally:
        stream.close()
