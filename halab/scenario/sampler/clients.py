"""Clients of the lab, one for each probe; a client asks its question again and again."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import Protocol, assert_never

from halab.cluster.api import Credentials
from halab.cluster.connection import Answer, Connection, RepeatedRequest, Server
from halab.cluster.names import Resolver
from halab.config.probe import Certificate, Question
from halab.config.probe_options import DEFAULT_PATH
from halab.scenario.sampler.probes import Probe

# A write creates an object with this name and its number.
WRITTEN = "write-"
# A namespace that every cluster has, read from the member's own data.
_SERIALIZABLE = json.dumps(
    {"key": b64encode(b"/registry/namespaces/kube-system").decode(), "serializable": True}
).encode()


@dataclass(frozen=True)
class Reply:
    ok: bool
    detail: str

    @classmethod
    def of(cls, answer: Answer) -> Reply:
        return cls(answer.is_ok, str(answer.status))


class Client(Protocol):
    async def ask(self, number: int | None) -> Reply:
        """Ask one question; the caller cancels it at the time limit. Raises Unreachable without an answer."""


@dataclass(frozen=True)
class Identity:
    """The certificates of the questions: an administrator or an anonymous client of the API, a client of etcd."""

    administrator: SSLContext
    anonymous: SSLContext
    etcd: SSLContext
    tunnel: str | None = None
    resolver: Resolver | None = None

    @classmethod
    def in_folder(
        cls, folder: Path, tunnel: str | None = None, resolver: Resolver | None = None
    ) -> Identity:
        credentials = Credentials.in_folder(folder)
        anonymous = create_default_context(cafile=str(credentials.ca))
        return cls(credentials.context(), anonymous, credentials.of_etcd.context(), tunnel, resolver)

    def server(self, probe: Probe, dial_seconds: float) -> Server:
        """The server of a probe. Of a name with several addresses, one must accept within `dial_seconds`."""
        contexts = {
            Certificate.ADMINISTRATOR: self.administrator,
            Certificate.ETCD_CLIENT: self.etcd,
            Certificate.NONE: self.anonymous,
        }
        context = contexts[probe.question.traits.certificate]
        resolver = self.resolver if probe.machine is None else None
        return Server(
            probe.host, probe.port, context, self.tunnel, resolver=resolver, dial_seconds=dial_seconds
        )


# Takes the number of an acknowledged write, and the version that it got.
Acknowledge = Callable[[int, int], None]


class NewConnections:
    """Asks every question over a new connection. Acknowledged writes are passed on, with their versions."""

    def __init__(
        self, probe: Probe, server: Server, namespace: str, acknowledge: Acknowledge | None = None
    ) -> None:
        self._probe = probe
        self._server = server
        self._namespace = namespace
        self._acknowledge = acknowledge

    async def ask(self, number: int | None) -> Reply:
        method, path, body = request(self._probe, self._namespace, number)
        async with await Connection.open(self._server) as connection:
            answer = await connection.ask(method, path, body)
        if self._acknowledge and number is not None and answer.is_ok:
            # an answer without a version is no answer of an API server
            with suppress(ValueError, LookupError, TypeError):
                self._acknowledge(number, int(json.loads(answer.body)["metadata"]["resourceVersion"]))
        return Reply.of(answer)


class KeptConnection:
    """Asks over one connection as long as it lasts."""

    def __init__(self, probe: Probe, server: Server, namespace: str, limit_seconds: float) -> None:
        self._connection = RepeatedRequest(
            server, *request(probe, namespace, None), limit_seconds=limit_seconds
        )

    async def ask(self, number: int | None) -> Reply:
        return Reply.of(await self._connection.ask())


def request(probe: Probe, namespace: str, number: int | None) -> tuple[str, str, bytes]:
    """Method, path and body of a probe's request."""
    inside = f"/api/v1/namespaces/{namespace}"
    match probe.question:
        case Question.READY:
            return "GET", "/readyz", b""
        case Question.HEALTH:
            return "GET", "/health", b""
        case Question.WRITE:
            written = {"metadata": {"name": f"{WRITTEN}{number}"}, "data": {"probe": probe.name}}
            return "POST", f"{inside}/configmaps", json.dumps(written).encode()
        case Question.READ:
            # a read of one object is answered by etcd's quorum, not from the cache of the API server
            return "GET", inside, b""
        case Question.GET:
            return "GET", probe.path, b""
        case Question.TOKEN:
            return "GET", DEFAULT_PATH, b""
        case Question.SERIALIZABLE:
            return "POST", "/v3/kv/range", _SERIALIZABLE
        case Question.LIST:
            return "GET", f"{inside}/configmaps", b""
        case (
            Question.NEXT_EVENT | Question.STILL_OPEN | Question.POD | Question.SERVICE | Question.FROM_NODE
        ):
            raise ValueError(f"not one request, but a client of its own: {probe.name}")
        case _:
            assert_never(probe.question)


def number_of(name: str) -> int | None:
    """The number of a write, from the name of its object; None for other objects."""
    prefix, _, number = name.partition(WRITTEN)
    return int(number) if not prefix and number.isdigit() else None
