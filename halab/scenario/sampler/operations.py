"""Clients that read and write a few keys of etcd, to check afterwards whether that was linearizable.

They ask the members and not the API servers: an API server answers a read of one object with a read of etcd through the
member beside it, so that a stale answer of etcd shows here as well, and here it is known which member gave it. Each
client asks one member, one request after another.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from halab.cluster.connection import Answer, Connection, Server
from halab.errors import Unreachable
from halab.scenario.record.operations import Ended, Started, to_json

# Kubernetes has its keys below /registry/.
PREFIX = "/halab/"
KEYS = tuple(f"{PREFIX}{name}" for name in ("a", "b", "c"))
_CLIENTS_OF_A_MEMBER = 2
# With three members, about 30 operations a second.
_PAUSE_SECONDS = (0.1, 0.3)


@dataclass
class Operations:
    """All clients of a run. `write` puts a line on disk; `origin` is the start of the run on the monotonic clock.

    Each value begins with `run`: a late write of an earlier run is not taken for one of this run.
    """

    servers: Mapping[str, Server]
    origin: float
    limit_seconds: float
    write: Callable[[str], None]
    run: str = field(default_factory=partial(secrets.token_hex, 3))

    def __post_init__(self) -> None:
        self._ids = itertools.count(1)

    def clients(self) -> Iterator[_Client]:
        numbers = itertools.count()
        for machine, server in self.servers.items():
            for _ in range(_CLIENTS_OF_A_MEMBER):
                yield _Client(next(numbers), machine, server, self)

    def next_id(self) -> int:
        return next(self._ids)

    def started(self) -> int:
        return math.floor((time.monotonic() - self.origin) * 1e6)

    def ended(self) -> int:
        return math.ceil((time.monotonic() - self.origin) * 1e6)


class _Client:
    """Asks one member until it is cancelled."""

    def __init__(self, number: int, machine: str, server: Server, all_clients: Operations) -> None:
        self._number = number
        self._machine = machine
        self._server = server
        self._all = all_clients
        self._connection: Connection | None = None
        # each write with an unknown outcome makes the check harder: no second one before an answer
        self._may_write = True

    async def run(self) -> None:
        try:
            while True:
                await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))
                await self._ask(random.choice(KEYS), writes=self._may_write and random.random() < 0.5)
        finally:
            self._disconnect()

    async def _ask(self, key: str, *, writes: bool) -> None:
        number = self._all.next_id()
        value = f"{self._all.run}-{number}" if writes else None
        started = Started(number, self._number, self._machine, key, self._all.started(), value)
        self._all.write(to_json(started))
        is_sent = False
        try:
            async with asyncio.timeout(self._all.limit_seconds):
                if self._connection is None:
                    self._connection = await Connection.open(self._server)
                is_sent = True
                answer = await self._connection.ask("POST", *request(key, value))
            if not self._connection.is_reusable:
                # a member that is being stopped closes the connection after its answer
                self._disconnect()
            ended = Ended(number, self._all.ended(), ok=True, value=value_in(answer, value))
        except (TimeoutError, Unreachable):
            self._disconnect()
            self._may_write = self._may_write and not (writes and is_sent)
            if is_sent:
                return
            ended = Ended(number, self._all.ended(), ok=False)
        else:
            self._may_write = True
        self._all.write(to_json(ended))

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def request(key: str, value: str | None) -> tuple[str, bytes]:
    """The path and the body of a write or, without a value, of a linearizable read."""
    encoded = {"key": b64encode(key.encode()).decode()}
    if value is None:
        return "/v3/kv/range", json.dumps(encoded).encode()
    return "/v3/kv/put", json.dumps({**encoded, "value": b64encode(value.encode()).decode()}).encode()


def value_in(answer: Answer, written: str | None) -> str | None:
    """The value that a read returned (None for a missing key), or that was written. Raises Unreachable for an error.

    etcd answers with an error if it does not know whether a write took effect.
    """
    if not answer.is_ok:
        raise Unreachable(f"etcd answered {answer.status}")
    if written is not None:
        return written
    try:
        found = json.loads(answer.body).get("kvs") or []
        return b64decode(found[0].get("value", "")).decode() if found else None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise Unreachable("etcd's answer cannot be read") from error
