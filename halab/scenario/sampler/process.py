"""The process of the sampler: sampler/launcher.py starts it, and it exits at the end of its standard input.

So it does not outlive a halab that was killed. With a permit it runs in the background, until that file is gone. Every
sample is a line on disk before the next one is due. The exit code is NOT_WRITTEN if it cannot write samples, and
TUNNEL_LOST if the tunnel to a lab on another host is lost.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sys
import time
from asyncio import Task, TaskGroup
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from halab.cluster.connection import Server
from halab.cluster.names import Cached, Listed, Resolver
from halab.config.expectation import FactName, fact_of
from halab.config.kubernetes import API_PORT
from halab.config.probe import Question, Way
from halab.config.targets import kind_of
from halab.errors import HostProblem, TunnelLost, Unreachable
from halab.machines.guest_shell import GuestShell
from halab.machines.guests import SshGuests
from halab.permit import Permit
from halab.scenario.record.events import Sample
from halab.scenario.sampler.clients import Client, Identity, KeptConnection, NewConnections, Reply
from halab.scenario.sampler.etcd_views import Views
from halab.scenario.sampler.holder_source import Holders, Reached
from halab.scenario.sampler.launcher import NOT_WRITTEN, TUNNEL_LOST, SamplerConfig
from halab.scenario.sampler.named_sources import (
    ADDRESS_FACTS,
    MEMORY_FACTS,
    Inside,
    NodeChoice,
    OfAddresses,
    VoterCount,
)
from halab.scenario.sampler.object_clients import SERVICE_PATH, Lister, NodeClient, NotAsked, PodStarter
from halab.scenario.sampler.operations import Operations
from halab.scenario.sampler.probes import Probe
from halab.scenario.sampler.record_source import Records
from halab.scenario.sampler.resumed_watch import Deliveries, ResumedWatch
from halab.scenario.sampler.sink import Sink
from halab.scenario.sampler.stalls import Pulse, come_first
from halab.scenario.sampler.state_sources import Backends, Cluster, EtcdMember, StateSource
from halab.scenario.sampler.streams import Stream
from halab.topology.lab import ETCD_PORT

# As a share of the period: a question is asked at a random moment in the first half of its period. A round-robin load
# balancer also gives its backends to the probes in rotation. With questions in a fixed order, one probe got the broken
# one of three backends in 75 % of its questions and another probe never (measured with an expired certificate, 220
# questions per probe). Only half of the period is random, so that the time since the last question shows if one is due.
_JITTER = 0.5
_OWN_LIMIT_SECONDS = 0.5
# The CA of the API servers on a node.
CA = "/etc/kubernetes/pki/ca.crt"
# A sampler in the background looks this often whether it still has its permit, and ends after a day if it does.
_PERMIT_SECONDS = 0.5
_MOST_SECONDS = 24 * 3600.0


class SamplerProcess:
    """Runs all probes and reads all states of a configuration until it is stopped."""

    def __init__(self, config: SamplerConfig) -> None:
        self._config = config
        resolver: Resolver | None = None
        if config.name_server:
            resolver = Cached(config.name_server)
        elif config.api_addresses:
            resolver = Listed(config.api_addresses)
        self._identity = Identity.in_folder(Path(config.credentials), config.tunnel, resolver)
        self._numbers = itertools.count(config.first_write)
        self._samples = Sink(Path(config.samples))
        self._states = Sink(Path(config.states))
        self._stop = asyncio.Event()
        self._listening: set[asyncio.Task[None]] = set()
        self._pulse = Pulse()
        self._shells: dict[str, GuestShell] = {}
        self._deliveries = Deliveries()
        self._follows_writes = any(probe.way is Way.RESUMED_WATCH for probe in config.probes)

    async def run(self) -> None:
        if self._config.permit is None:
            asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_input)
        async with asyncio.TaskGroup() as questions, asyncio.TaskGroup() as group:
            running = [
                group.create_task(self._pulse.run()),
                group.create_task(self._watch_permit()),
                *self._ask_probes(group, questions),
                *self._operate(group),
                *self._read_states(group, questions),
            ]
            await self._stop.wait()
            # a stopped sampler causes no more events: a question that waits for one has not failed
            for task in [*running, *self._listening]:
                task.cancel()
        for shell in self._shells.values():
            await shell.close()

    def _read_input(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop.set()

    async def _watch_permit(self) -> None:
        if self._config.permit is None:
            return
        permit, until = Permit(Path(self._config.permit)), time.monotonic() + _MOST_SECONDS
        while permit.is_valid and time.monotonic() < until:
            await asyncio.sleep(_PERMIT_SECONDS)
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

    def _operate(self, group: TaskGroup) -> Iterator[Task[None]]:
        config = self._config
        if config.operations:
            write, limit = Sink(Path(config.operations)).write, config.time_limit_seconds
            for client in Operations(self._members(), config.origin, limit, write).clients():
                yield group.create_task(client.run())

    def _client(self, probe: Probe) -> Client:
        config, limit = self._config, self._limit_seconds(probe)
        server = self._identity.server(probe, limit)
        match probe.question:
            case Question.LIST:
                return Lister(server, config.objects)
            case Question.POD:
                return PodStarter(server, config.objects, limit)
            case Question.TOKEN:
                server = replace(server, token=config.objects.token)
            case Question.SERVICE:
                assert probe.machine is not None
                url = f"http://{config.objects.service}{SERVICE_PATH}"
                return NodeClient(self._shell(probe.machine), url, limit)
            case Question.FROM_NODE:
                assert probe.machine is not None
                url = f"https://{probe.host}:{probe.port}/readyz"
                return NodeClient(self._shell(probe.machine), url, limit, ca=CA)
        match probe.way:
            case Way.WATCH:
                return Stream(probe, server, config.namespace, limit, partial(self._record_cut, probe))
            case Way.RESUMED_WATCH:
                report = partial(self._record_cut, probe)
                certain = partial(self._record_certain, probe)
                return ResumedWatch(
                    probe, server, config.namespace, limit, report, certain, self._deliveries
                )
            case Way.KEPT:
                return KeptConnection(probe, server, config.namespace, limit)
            case _:
                acknowledge = self._deliveries.acknowledge if self._follows_writes else None
                return NewConnections(probe, server, config.namespace, acknowledge)

    def _limit_seconds(self, probe: Probe) -> float:
        return probe.limit_seconds or self._config.time_limit_seconds

    def _begin(self, questions: TaskGroup, probe: Probe, client: Client) -> None:
        """Every question is its own task: a slow answer does not delay the next question."""
        task = questions.create_task(self._ask(probe, client))
        if probe.way in (Way.WATCH, Way.RESUMED_WATCH):
            self._listening.add(task)
            task.add_done_callback(self._listening.discard)

    async def _ask(self, probe: Probe, client: Client) -> None:
        number = next(self._numbers) if probe.question is Question.WRITE else None
        begun = time.monotonic()
        try:
            # these clients give up by themselves, to say how far they came
            own = _OWN_LIMIT_SECONDS if isinstance(client, (PodStarter, NodeClient)) else 0.0
            async with asyncio.timeout(self._limit_seconds(probe) + own):
                outcome = await client.ask(number)
        except NotAsked:
            return
        except TimeoutError:
            outcome = Reply(False, "timed out")
        except Unreachable as error:
            outcome = Reply(False, error.message)
        self._record(probe, begun, outcome, number, stalled=self._pulse.stood_still(begun))

    def _record_certain(self, probe: Probe, why: str) -> None:
        self._record(probe, time.monotonic(), Reply(False, why), stalled=0.0)

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
        sources = self._sources() if self._config.reads_states else []
        for index, source in enumerate(sources):
            rate_hertz = min(source.rate_hertz, self._config.state_hertz)
            offset = index / len(sources) / rate_hertz
            reader = StatePoller(source, self._states)
            yield group.create_task(at_fixed_rate(rate_hertz, offset, partial(reader.begin, questions)))

    def _sources(self) -> list[StateSource]:
        config, identity, limit = self._config, self._identity, self._config.state_limit_seconds
        views = Views(len(config.members))
        sources: list[StateSource] = [
            EtcdMember(machine, server, views, config.origin, limit)
            for machine, server in self._members().items()
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
        if config.virtual_address:
            shells = {name: self._shell(name) for name in config.address_machines}
            sources.append(Holders(shells, config.virtual_address, config.origin, limit))
            # through a tunnel, another host reaches the address
            if config.tunnel is None:
                sources.append(Reached(shells, config.virtual_address, config.origin, limit))
        if config.name_server:
            sources.append(Records(config.name_server, config.control_planes, config.origin))
        return [*sources, *self._named_sources(servers)]

    def _members(self) -> dict[str, Server]:
        """The etcd members by machine."""
        return {
            machine: Server(address, ETCD_PORT, self._identity.etcd, self._config.tunnel)
            for machine, address in self._config.members.items()
        }

    def _named_sources(self, api_servers: Sequence[Server]) -> Iterator[StateSource]:
        config, limit = self._config, self._config.state_limit_seconds
        members = list(self._members().values())
        for fact in ADDRESS_FACTS:
            if fact in config.named_states:
                servers = members if fact.is_of_etcd else api_servers
                machines = config.members if fact.is_of_etcd else config.control_planes
                yield OfAddresses(fact, servers, machines, config.origin, limit)
        if FactName.ETCD_MEMBERS in config.named_states:
            yield VoterCount(FactName.ETCD_MEMBERS, members, config.origin, limit)
        if FactName.BACKEND_OF in config.named_states:
            for node in config.workers:
                yield NodeChoice(node, self._shell(node), config.control_planes, config.origin, limit)
        memories = [fact for fact in MEMORY_FACTS if fact in config.named_states]
        units = [name for name in config.named_states if fact_of(name) is FactName.UNIT_STATE]
        for machine in config.machines:
            kind = kind_of(machine)
            here = [
                fact
                for fact in memories
                if (machine in config.members if fact.is_of_etcd else kind in fact.kinds)
            ]
            if units or here:
                yield Inside(machine, self._shell(machine), units, here, config.origin, limit)

    def _shell(self, machine: str) -> GuestShell:
        if machine not in self._shells:
            ssh = SshGuests(Path(self._config.ssh_config)).shell_argv(machine, [])
            self._shells[machine] = GuestShell([*ssh, "--"])
        return self._shells[machine]


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
    config = SamplerConfig.from_json(sys.stdin.readline())
    if config.permit is not None and not Permit(Path(config.permit)).take():
        return code
    come_first()
    try:
        asyncio.run(SamplerProcess(config).run())
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
