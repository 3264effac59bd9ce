"""The sources of states: every etcd member, one API server after another, the load balancer's statistics."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol
from urllib.parse import urlsplit

from halab.cluster import balancer, kube
from halab.cluster.connection import Answer, RepeatedRequest, Server
from halab.config.leader_roles import ETCD, LEASED_ROLES
from halab.errors import Unreachable
from halab.scenario.record.events import StateReading
from halab.scenario.sampler.etcd_views import MemberView, Views

_STATUS = "POST", "/v3/maintenance/status", b"{}"
# Lease → its two states: the machine that leads, and the process.
_LEASED = {role.lease: (role.leader, role.holder) for role in LEASED_ROLES}


class StateSource(Protocol):
    rate_hertz: float

    async def read(self) -> list[StateReading]:
        """Ask once; a state that is unknown is a reading without a value."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class Asked:
    """The moment of a question, on this host's monotonic clock, in a run that began at `origin`."""

    origin: float
    at: float

    @classmethod
    def now(cls, origin: float) -> Asked:
        return cls(origin, time.monotonic())

    def reading(self, state: str, machine: str | None, value: object, detail: str = "") -> StateReading:
        seconds = time.monotonic() - self.at
        text = None if value is None else str(value)
        return StateReading(round(self.at - self.origin, 4), round(seconds, 4), state, machine, text, detail)


class EtcdMember:
    """One etcd member; every answer also updates the states that depend on all members."""

    rate_hertz = 5.0

    def __init__(
        self, machine: str, server: Server, views: Views, origin: float, limit_seconds: float
    ) -> None:
        self._machine = machine
        self._views = views
        self._origin = origin
        self._status = RepeatedRequest(server, *_STATUS, limit_seconds=limit_seconds)

    async def read(self) -> list[StateReading]:
        asked = Asked.now(self._origin)
        view, why = None, ""
        try:
            view = MemberView.parse(asked.at, body_of(await self._status.ask()))
            self._views.add(self._machine, view)
        except (Unreachable, ValueError) as error:
            why = str(error)
            self._views.lose(self._machine)
        leader, unclear = self._views.leader()
        # a slow answer is not newer than quick answers to later questions
        together = Asked(self._origin, max(asked.at, self._views.asked or 0.0))
        return [
            asked.reading("etcd-alarm", self._machine, view and view.alarm, why),
            asked.reading("etcd-revision", self._machine, view and view.revision, why),
            together.reading(ETCD.leader, None, leader, unclear),
            together.reading("etcd-term", None, self._views.term, "" if self._views.term else unclear),
        ]

    def close(self) -> None:
        self._status.close()


class Cluster:
    """Leaders and nodes, from one API server after another; one that does not answer is skipped."""

    rate_hertz = 2.0

    def __init__(
        self, servers: Sequence[Server], nodes: Mapping[str, str], origin: float, limit_seconds: float
    ) -> None:
        self._nodes = nodes
        self._origin = origin
        self._servers = [
            [
                RepeatedRequest(server, "GET", path, limit_seconds=limit_seconds)
                for path in (kube.LEASES_PATH, "/api/v1/nodes")
            ]
            for server in servers
        ]

    async def read(self) -> list[StateReading]:
        # the server that is asked first now is asked last the next time
        self._servers.append(self._servers.pop(0))
        for leases, nodes in self._servers:
            asked = Asked.now(self._origin)
            try:
                answers = await asyncio.gather(leases.ask(), nodes.ask())
                items = [json.loads(body_of(answer))["items"] for answer in answers]
                return [*leaders(asked, items[0], self._nodes), *readiness(asked, items[1], self._nodes)]
            except (Unreachable, ValueError, LookupError, TypeError, AttributeError) as error:
                why = str(error)
        unknown = [asked.reading(state, None, None, why) for state in chain(*_LEASED.values())]
        return unknown + [asked.reading("node-ready", node, None, why) for node in self._nodes]

    def close(self) -> None:
        for connection in chain(*self._servers):
            connection.close()


class Backends:
    """HAProxy's view of the API servers behind it, at these addresses."""

    rate_hertz = 5.0

    def __init__(
        self,
        url: str,
        addresses: Mapping[str, str],
        origin: float,
        limit_seconds: float,
        tunnel: str | None = None,
    ) -> None:
        self._addresses = addresses
        self._origin = origin
        where = urlsplit(url)
        server = Server(where.hostname or "", where.port or 80, tunnel=tunnel)
        self._statistics = RepeatedRequest(server, "GET", where.path, limit_seconds=limit_seconds)

    async def read(self) -> list[StateReading]:
        asked = Asked.now(self._origin)
        states: Mapping[str, str] = {}
        why = "not in the statistics"
        try:
            text = body_of(await self._statistics.ask()).decode(errors="replace")
            states = balancer.parse_haproxy(text, self._addresses)
        except (Unreachable, csv.Error, LookupError, TypeError, AttributeError) as error:
            why = str(error)
        return [backend(asked, machine, states.get(machine), why) for machine in self._addresses]

    def close(self) -> None:
        self._statistics.close()


def leaders(
    asked: Asked, leases: Sequence[Mapping[str, Any]], nodes: Mapping[str, str]
) -> list[StateReading]:
    """The holders of the controllers' leases. A holder that is gone holds its lease until the lease expires.

    `nodes` maps machines to host names.
    """
    names = {hostname: name for name, hostname in nodes.items()}
    readings = []
    for lease, holder in kube.holders(list(leases)).items():
        machine, process = _LEASED[lease]
        why = "" if holder else "nobody holds the lease"
        readings.append(asked.reading(machine, None, holder and kube.machine_of(holder, names), why))
        readings.append(asked.reading(process, None, holder, why))
    return readings


def readiness(
    asked: Asked, nodes: Sequence[Mapping[str, Any]], expected: Mapping[str, str]
) -> list[StateReading]:
    """The condition Ready of every expected node: true, false or unknown. `expected` maps machines to host names."""
    ready = {
        node["metadata"]["name"]: condition["status"].lower()
        for node in nodes
        for condition in node["status"].get("conditions", [])
        if condition["type"] == "Ready"
    }
    return [
        asked.reading("node-ready", node, ready.get(hostname), "" if hostname in ready else "no such node")
        for node, hostname in expected.items()
    ]


def backend(asked: Asked, machine: str, status: str | None, why: str) -> StateReading:
    """`status` is `up` or `down (why)`; a status in between counts as up while HAProxy still uses the backend."""
    if status is None or status == balancer.UNCHECKED:
        return asked.reading("backend", machine, None, status or why)
    word, _, rest = status.partition(" (")
    is_up = word.startswith("up")
    return asked.reading("backend", machine, "up" if is_up else "down", rest.rstrip(")"))


def body_of(answer: Answer) -> bytes:
    """The body of a good answer; Unreachable for another one."""
    if not answer.is_ok:
        raise Unreachable(str(answer.status))
    return answer.body
