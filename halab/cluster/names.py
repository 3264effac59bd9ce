"""The addresses of the name of the API's endpoint, and the order in which a client outside the cluster tries them.

Clients do what a Go client does (kubectl, client-go): every new connection begins with the next address, because name
servers rotate their answers, and an address that does not accept gets its share of the time before the next one is
tried (`share_of`). After a connection, no other address is tried: not for a handshake that fails, and not for an
answer that does not come.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import httpcore

from halab.cluster import socks

# Go's net.Dialer gives no address less than this (saneMinimum in src/net/dial.go).
_LEAST_SECONDS = 2.0
_DIAL_SECONDS = 30.0


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


class Backend(httpcore.SyncBackend):
    """Connects a synchronous client to one of the addresses of a name. `tunnel` is the socket of a SOCKS5 proxy."""

    def __init__(self, listed: Listed, tunnel: str | None = None) -> None:
        self._listed = listed
        self._connect = socks.Backend(tunnel).connect_tcp if tunnel else super().connect_tcp

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
        return _first_that_accepts(self._listed.rotated(), timeout or _DIAL_SECONDS, connect)


def accepting_address(
    addresses: Sequence[str], port: int, seconds: float, tunnel: str | None = None
) -> str | None:
    """The first address that accepts a connection, for a client that can have only one; None if none does."""
    accepted: list[str] = []
    backend = socks.Backend(tunnel) if tunnel else httpcore.SyncBackend()

    def connect(host: str, timeout: float) -> httpcore.NetworkStream:
        stream = backend.connect_tcp(host, port, timeout)
        accepted.append(host)
        return stream

    try:
        _first_that_accepts(addresses, seconds, connect).close()
    except (httpcore.ConnectError, httpcore.ConnectTimeout):
        return None
    return accepted[0]


def _first_that_accepts(
    addresses: Sequence[str], seconds: float, connect: Callable[..., httpcore.NetworkStream]
) -> httpcore.NetworkStream:
    """Try one address after another. If none accepts, raise what the first one said, as Go does."""
    deadline = time.monotonic() + seconds
    first: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
    for number, address in enumerate(addresses):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        try:
            return connect(host=address, timeout=share_of(left, len(addresses) - number))
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            first = first or error
    raise first or httpcore.ConnectTimeout("no time is left")
