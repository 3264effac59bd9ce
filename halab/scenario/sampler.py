"""The sampler: probes at a fixed rate from outside the cluster, in a process of its own.

`start` runs this module as a child. It ends when its standard input does, so that it never outlives a halab that
was killed. Every sample is a line on disk before the next is due.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import ssl
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TextIO

import httpx

from halab import process
from halab.cluster import api
from halab.cluster.api import Credentials
from halab.errors import HalabError
from halab.scenario.events import Sample
from halab.topology.lab import Lab

RATE_HERTZ = 5.0
# What a patient client would give up after; the same for every probe, so that they can be compared.
TIME_LIMIT_SECONDS = 2.0
# In parts of the period. In step with each other, three probes through a balancer that takes three backends in turn
# would each meet the same backend for ever: one probe saw an outage of 3 s whole, and the two others none of it.
_JITTER = 0.25


class Question(StrEnum):
    READY = "ready"
    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Probe:
    """One question to one address. `machine` is None for the load balancer."""

    name: str
    machine: str | None
    question: Question
    url: str


def probes(lab: Lab, more: Collection[str] = ()) -> list[Probe]:
    """Ready, read and write through the load balancer; ready and write of each API server, and what else is named."""
    through = api.url(lab.balancer)
    found = [Probe(f"{question}-via-lb", None, question, through) for question in Question]
    for machine in lab.control_planes:
        for question in Question:
            name = f"{question}-direct"
            if question is not Question.READ or name in more:
                found.append(Probe(name, machine.name, question, api.url(machine)))
    return found


@dataclass(frozen=True)
class Order:
    """What a sampler is told. `origin` is the moment of a run's start on this host's monotonic clock."""

    probes: list[Probe]
    origin: float
    samples: str
    namespace: str
    credentials: str
    rate_hertz: float = RATE_HERTZ
    time_limit_seconds: float = TIME_LIMIT_SECONDS


@contextmanager
def sampling(order: Order, log: Path) -> Iterator[None]:
    """Sample while the block lasts. HalabError if the sampler ended by itself before."""
    argv = [sys.executable, "-m", "halab.scenario.sampler"]
    grace = order.time_limit_seconds + 5
    with process.background(argv, log=log, env=_paths(), with_input=True, grace_seconds=grace) as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
        child.stdin.flush()
        yield
        if child.poll() is not None:
            raise HalabError(f"the sampler ended with {child.returncode}", hint=f"see {log}")


def _paths() -> dict[str, str]:
    """The child finds the same halab: a checkout may not be installed."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


class _Sampler:
    """The child's side."""

    def __init__(self, order: Order) -> None:
        self._order = order
        credentials = Credentials.in_folder(Path(order.credentials))
        self._certificate = credentials.context()
        # /readyz is for everyone: without a certificate, the client saves a signature a request
        self._anonymous = ssl.create_default_context(cafile=str(credentials.ca))
        self._numbers = itertools.count(1)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_input)
        with Path(self._order.samples).open("a", buffering=1) as sink:
            async with asyncio.TaskGroup() as group:
                for index, probe in enumerate(self._order.probes):
                    # spread over the period: all at once, they would wait for each other
                    offset = index / len(self._order.probes) / self._order.rate_hertz
                    group.create_task(self._at_fixed_rate(probe, offset, sink))

    def _read_input(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop.set()

    async def _at_fixed_rate(self, probe: Probe, offset: float, sink: TextIO) -> None:
        due = time.monotonic() + offset
        async with asyncio.TaskGroup() as group:
            while not await self._stopped_before(due + random.uniform(0, _JITTER) / self._order.rate_hertz):
                # a task of its own: a slow answer does not delay the next question
                group.create_task(self._ask(probe, sink))
                # what a busy host has missed is left out, and not made up for in a burst
                due = max(due + 1 / self._order.rate_hertz, time.monotonic())

    async def _stopped_before(self, due: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), max(0.0, due - time.monotonic()))
        except TimeoutError:
            return False
        return True

    async def _ask(self, probe: Probe, sink: TextIO) -> None:
        number = next(self._numbers) if probe.question is Question.WRITE else None
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._order.time_limit_seconds):
                ok, detail = await self._answer(probe, number)
        except TimeoutError:
            ok, detail = False, "timed out"
        except (httpx.HTTPError, OSError) as error:
            ok, detail = False, api.reason(error)
        seconds = time.monotonic() - begun
        since = begun - self._order.origin
        sample = Sample(round(since, 4), round(seconds, 4), probe.name, probe.machine, ok, detail, number)
        sink.write(sample.to_json() + "\n")

    async def _answer(self, probe: Probe, number: int | None) -> tuple[bool, str]:
        context = self._anonymous if probe.question is Question.READY else self._certificate
        async with httpx.AsyncClient(
            base_url=probe.url, verify=context, trust_env=False, timeout=None
        ) as client:
            if probe.question is Question.READY:
                response = await client.get("/readyz")
            elif probe.question is Question.READ:
                # of one object: answered by etcd's quorum, not from the API server's memory
                response = await client.get(f"/api/v1/namespaces/{self._order.namespace}")
            else:
                response = await client.post(
                    f"/api/v1/namespaces/{self._order.namespace}/configmaps",
                    json={"metadata": {"name": f"write-{number}"}, "data": {"probe": probe.name}},
                )
        return response.is_success, str(response.status_code)


def main() -> None:
    words = json.loads(sys.stdin.readline())
    words["probes"] = [Probe(**{**each, "question": Question(each["question"])}) for each in words["probes"]]
    asyncio.run(_Sampler(Order(**words)).run())


if __name__ == "__main__":
    main()
