"""The process of the sampler: sampler/launcher.py starts it, and it exits at the end of its standard input.

So it does not outlive a halab that was killed. Every sample is a line on disk before the next one is due. The exit code
is NOT_WRITTEN if it cannot write samples, and TUNNEL_LOST if the tunnel to a lab on another host is lost.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import time
from asyncio import Task, TaskGroup
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from halab.cluster.connection import Server
from halab.config.probe import Question, Way
from halab.errors import HostProblem, TunnelLost, Unreachable
from halab.scenario.record.events import Sample
from halab.scenario.sampler.clients import Client, Identity, KeptConnection, NewConnections, Reply
from halab.scenario.sampler.etcd_views import Views
from halab.scenario.sampler.launcher import NOT_WRITTEN, TUNNEL_LOST, SamplerConfig
from halab.scenario.sampler.probes import Probe
from halab.scenario.sampler.stalls import Pulse
from halab.scenario.sampler.state_sources import Backends, Cluster, EtcdMember, StateSource
from halab.scenario.sampler.streams import Stream
from halab.topology.lab import API_PORT, ETCD_PORT

# As a share of the period: a question is asked at a random moment in the first half of its period. A round-robin load
# balancer also gives its backends to the probes in rotation. With questions in a fixed order, one probe got the broken
# one of three backends in 75 % of its questions and another probe never (measured with an expired certificate, 220
# questions per probe). Only half of the period is random, so that the time since the last question shows if one is due.
_JITTER = 0.5


class Sink:
    """A file of lines, which are complete and in the file before `write` returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, *lines: str) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise HostProblem(f"cannot write {self._path}: {error.strerror}") from error
        if written < len(data):
            raise HostProblem(f"cannot write {self._path}: no room for a complete line")


class SamplerProcess:
    """Runs all probes and reads all states of a configuration until it is stopped."""

    def __init__(self, config: SamplerConfig) -> None:
        self._config = config
        self._identity = Identity.in_folder(Path(config.credentials), config.tunnel)
        self._numbers = itertools.count(1)
        self._samples = Sink(Path(config.samples))
        self._states = Sink(Path(config.states))
        self._stop = asyncio.Event()
        self._listening: set[asyncio.Task[None]] = set()
        self._pulse = Pulse()

    async def run(self) -> None:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_input)
        async with asyncio.TaskGroup() as questions, asyncio.TaskGroup() as group:
            running = [
                group.create_task(self._pulse.run()),
                *self._ask_probes(group, questions),
                *self._read_states(group, questions),
            ]
            await self._stop.wait()
            # a stopped sampler causes no more events: a question that waits for one has not failed
            for task in [*running, *self._listening]:
                task.cancel()

    def _read_input(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop.set()

    def _ask_probes(self, group: TaskGroup, questions: TaskGroup) -> Iterator[Task[None]]:
        for index, probe in enumerate(self._config.probes):
            client = self._client(probe)
            if isinstance(client, Stream):
                yield group.create_task(client.run())
            # spread over the period, or they would delay each other; probes through the balancer are spread at random,
            # which also mixes their order
            offset = index / len(self._config.probes) / probe.rate_hertz if probe.machine else 0.0
            yield group.create_task(
                at_fixed_rate(probe.rate_hertz, offset, partial(self._begin, questions, probe, client))
            )

    def _client(self, probe: Probe) -> Client:
        server, namespace, limit = (
            self._identity.server(probe),
            self._config.namespace,
            self._config.time_limit_seconds,
        )
        if probe.way is Way.NEW:
            return NewConnections(probe, server, namespace)
        if probe.way is Way.KEPT:
            return KeptConnection(probe, server, namespace, limit)
        return Stream(probe, server, namespace, limit, partial(self._record_cut, probe))

    def _begin(self, questions: TaskGroup, probe: Probe, client: Client) -> None:
        """Every question is its own task: a slow answer does not delay the next question."""
        task = questions.create_task(self._ask(probe, client))
        if probe.way is Way.WATCH:
            self._listening.add(task)
            task.add_done_callback(self._listening.discard)

    async def _ask(self, probe: Probe, client: Client) -> None:
        number = next(self._numbers) if probe.question is Question.WRITE else None
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._config.time_limit_seconds):
                outcome = await client.ask(number)
        except TimeoutError:
            outcome = Reply(False, "timed out")
        except Unreachable as error:
            outcome = Reply(False, error.message)
        self._record(probe, begun, outcome, number, stalled=self._pulse.stood_still(begun))

    def _record_cut(self, probe: Probe, why: str) -> None:
        # a stream that the sampler did not read may be cut for that reason
        now = time.monotonic()
        stalled = self._pulse.stood_still(now - self._config.time_limit_seconds)
        self._record(probe, now, Reply(False, why), stalled=stalled)

    def _record(
        self, probe: Probe, begun: float, outcome: Reply, number: int | None = None, *, stalled: float
    ) -> None:
        seconds = round(time.monotonic() - begun, 4)
        since = round(begun - self._config.origin, 4)
        sample = Sample(
            since, seconds, probe.name, probe.machine, outcome.ok, outcome.detail, number, round(stalled, 4)
        )
        self._samples.write(sample.to_json())

    def _read_states(self, group: TaskGroup, questions: TaskGroup) -> Iterator[Task[None]]:
        sources = self._sources()
        for index, source in enumerate(sources):
            rate_hertz = min(source.rate_hertz, self._config.state_hertz)
            offset = index / len(sources) / rate_hertz
            reader = StatePoller(source, self._states)
            yield group.create_task(at_fixed_rate(rate_hertz, offset, partial(reader.begin, questions)))

    def _sources(self) -> list[StateSource]:
        config, identity, limit = self._config, self._identity, self._config.state_limit_seconds
        views = Views(len(config.control_planes))
        sources: list[StateSource] = [
            EtcdMember(
                machine,
                Server(address, ETCD_PORT, identity.etcd, config.tunnel),
                views,
                config.origin,
                limit,
            )
            for machine, address in config.control_planes.items()
        ]
        servers = [
            Server(address, API_PORT, identity.administrator, config.tunnel)
            for address in config.control_planes.values()
        ]
        if servers:
            sources.append(Cluster(servers, config.nodes, config.origin, limit))
        if config.statistics:
            servers_behind = config.control_planes
            sources.append(Backends(config.statistics, servers_behind, config.origin, limit, config.tunnel))
        return sources


class StatePoller:
    """Reads a source again and again; a reading that is due while the last one still waits is left out."""

    def __init__(self, source: StateSource, sink: Sink) -> None:
        self._source = source
        self._sink = sink
        self._reading: Task[None] | None = None

    def begin(self, questions: TaskGroup) -> None:
        if self._reading is None or self._reading.done():
            self._reading = questions.create_task(self._read())

    async def _read(self) -> None:
        self._sink.write(*(reading.to_json() for reading in await self._source.read()))


async def at_fixed_rate(hertz: float, offset: float, act: Callable[[], None]) -> None:
    """Act until cancelled. Times that a busy host missed are left out, and not made up for in a burst."""
    due = time.monotonic() + offset
    while True:
        await asyncio.sleep(max(0.0, due + random.uniform(0, _JITTER) / hertz - time.monotonic()))
        act()
        due += 1 / hertz
        if (now := time.monotonic()) > due + 1 / hertz:
            due = now


def main() -> int:
    code = 0
    try:
        asyncio.run(SamplerProcess(SamplerConfig.from_json(sys.stdin.readline())).run())
    except* HostProblem as problems:
        # task groups wrap exceptions in groups
        sys.stderr.writelines(f"{problem}\n" for problem in problems.exceptions)
        code = NOT_WRITTEN
    except* TunnelLost as problems:
        sys.stderr.writelines(f"{problem}\n" for problem in problems.exceptions)
        code = TUNNEL_LOST
    return code


if __name__ == "__main__":
    sys.exit(main())
