"""The sources of states that are read only if a scenario names them: each of them costs the lab something."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from halab.cluster import node_choice
from halab.cluster.connection import RepeatedRequest, Server
from halab.config.expectation import FactName
from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell
from halab.scenario.record.events import StateReading
from halab.scenario.sampler.state_sources import Asked, body_of

# Answered with etcd's quorum: the list of a member that is cut off may be old.
_MEMBERS = "POST", "/v3/cluster/member/list", b'{"linearizable": true}'
_ENDPOINTS = "GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes", b""
# The state of an answer, by the address of a machine; addresses that it does not name are absent.
_ByAddress = Callable[[Any], Mapping[str, str]]


class _FromOne:
    """States that every server knows, from one server after another until one answers."""

    rate_hertz = 2.0

    def __init__(
        self, fact: FactName, servers: Sequence[Server], origin: float, limit_seconds: float
    ) -> None:
        request, self._parse = _QUESTIONS[fact]
        self._fact = fact
        self._origin = origin
        self._servers = [
            RepeatedRequest(server, *request, limit_seconds=limit_seconds) for server in servers
        ]

    async def read(self) -> list[StateReading]:
        # the server that is asked first now is asked last the next time
        self._servers.append(self._servers.pop(0))
        why, asked = "", Asked.now(self._origin)
        for server in self._servers:
            asked = Asked.now(self._origin)
            try:
                states = self._parse(json.loads(body_of(await server.ask())))
            except (Unreachable, ValueError, LookupError, TypeError, AttributeError) as error:
                why = str(error)
                continue
            return self._readings(asked, states)
        return self._unknown(asked, why)

    def _readings(self, asked: Asked, states: Mapping[str, str]) -> list[StateReading]:
        raise NotImplementedError

    def _unknown(self, asked: Asked, why: str) -> list[StateReading]:
        raise NotImplementedError

    def close(self) -> None:
        for server in self._servers:
            server.close()


class OfAddresses(_FromOne):
    """A state of each of several machines, by its address."""

    def __init__(
        self,
        fact: FactName,
        servers: Sequence[Server],
        machines: Mapping[str, str],
        origin: float,
        limit_seconds: float,
    ) -> None:
        super().__init__(fact, servers, origin, limit_seconds)
        self._machines = machines

    def _readings(self, asked: Asked, states: Mapping[str, str]) -> list[StateReading]:
        return [
            asked.reading(self._fact, machine, states.get(address, "absent"))
            for machine, address in self._machines.items()
        ]

    def _unknown(self, asked: Asked, why: str) -> list[StateReading]:
        return [asked.reading(self._fact, machine, None, why) for machine in self._machines]


class VoterCount(_FromOne):
    """How many etcd members have a vote, including machines that joined during the run."""

    def _readings(self, asked: Asked, states: Mapping[str, str]) -> list[StateReading]:
        count = sum(state == "voter" for state in states.values())
        return [asked.reading(self._fact, None, str(count))]

    def _unknown(self, asked: Asked, why: str) -> list[StateReading]:
        return [asked.reading(self._fact, None, None, why)]


def members(answer: Any) -> dict[str, str]:
    """Voter or learner, by the address of the member. One that has not started yet has no name, but an address."""
    return {
        str(urlsplit(url).hostname): "learner" if member.get("isLearner") else "voter"
        for member in answer["members"]
        for url in member["peerURLs"]
    }


def endpoints(answer: Any) -> dict[str, str]:
    """The addresses behind the Service `kubernetes`, which every API server keeps up to date for itself."""
    return {
        address: "listed"
        for endpoint in answer.get("endpoints") or ()
        for address in endpoint["addresses"]
        if endpoint.get("conditions", {}).get("ready") is not False
    }


_QUESTIONS: dict[FactName, tuple[tuple[str, str, bytes], _ByAddress]] = {
    FactName.ETCD_MEMBER: (_MEMBERS, members),
    FactName.ETCD_MEMBERS: (_MEMBERS, members),
    FactName.KUBERNETES_ENDPOINT: (_ENDPOINTS, endpoints),
}
ADDRESS_FACTS = (FactName.ETCD_MEMBER, FactName.KUBERNETES_ENDPOINT)

# Fact → the name of its process, as the kernel knows it: 15 characters, a pattern of pgrep.
_PROCESSES = {
    FactName.ETCD_MEMORY: "etcd",
    FactName.API_SERVER_MEMORY: "kube-apiserver",
    FactName.CONTROLLER_MANAGER_MEMORY: "kube-controller",
    FactName.SCHEDULER_MEMORY: "kube-scheduler",
    FactName.KUBELET_MEMORY: "kubelet",
    FactName.CONTAINERD_MEMORY: "containerd",
    # each has a main process with workers, and after a reload also old workers
    FactName.BALANCER_MEMORY: "'haproxy|nginx|dnsmasq'",
}
MEMORY_FACTS = tuple(_PROCESSES)


class Inside:
    """What a machine says of itself: the states of its systemd units, the memory of its processes."""

    rate_hertz = 1.0

    def __init__(
        self,
        machine: str,
        shell: GuestShell,
        units: Sequence[str],
        memories: Sequence[FactName],
        origin: float,
        limit_seconds: float,
    ) -> None:
        self._machine = machine
        self._shell = shell
        self._units = units
        self._memories = memories
        self._command = "; ".join([*map(_unit_command, units), *map(_memory_command, memories)])
        self._origin = origin
        self._limit_seconds = limit_seconds

    async def read(self) -> list[StateReading]:
        asked = Asked.now(self._origin)
        why, printed = "", ""
        try:
            async with asyncio.timeout(self._limit_seconds):
                printed = await self._shell.ask(self._command)
        except TimeoutError:
            why = "timed out"
        except Unreachable as error:
            why = error.message
        values = dict(word.rsplit("=", 1) for word in printed.split() if "=" in word)
        return [
            *(
                asked.reading(unit, self._machine, *_unit_state(values.get(unit), why))
                for unit in self._units
            ),
            *(
                asked.reading(fact, self._machine, *_memory(values.get(fact), why))
                for fact in self._memories
            ),
        ]

    def close(self) -> None:
        """Do nothing: the shell belongs to the caller."""


class NodeChoice:
    """The control plane whose API server the kubelet of a node is connected to."""

    rate_hertz = 2.0

    def __init__(
        self,
        node: str,
        shell: GuestShell,
        control_planes: Mapping[str, str],
        origin: float,
        limit_seconds: float,
    ) -> None:
        self._node = node
        self._shell = shell
        self._control_planes = control_planes
        self._origin = origin
        self._limit_seconds = limit_seconds

    async def read(self) -> list[StateReading]:
        asked = Asked.now(self._origin)
        try:
            async with asyncio.timeout(self._limit_seconds):
                printed = await self._shell.ask(node_choice.COMMAND)
        except (TimeoutError, Unreachable) as error:
            why = str(error) or "timed out"
            return [asked.reading(FactName.BACKEND_OF, self._node, None, why)]
        found = sorted(node_choice.parse(printed, self._control_planes))
        chosen = found[0] if len(found) == 1 else None
        return [
            asked.reading(
                FactName.BACKEND_OF, self._node, chosen, "" if chosen else "+".join(found) or "none"
            )
        ]

    def close(self) -> None:
        """Do nothing: the shell belongs to the caller."""


def _unit_command(unit: str) -> str:
    quoted = shlex.quote(unit)
    show = f"systemctl show -p LoadState -p ActiveState {quoted} | sort | cut -d= -f2 | paste -sd/"
    return f"echo {quoted}=$({show})"


def _memory_command(fact: FactName) -> str:
    files = f"$(pgrep -x {_PROCESSES[fact]} | sed 's|.*|/proc/&/status|')"
    # without a process there is no file, and awk would read standard input
    return f"echo {fact}=$(awk '/^VmRSS/ {{sum += $2}} END {{if (sum) print sum}}' /dev/null {files} 2>/dev/null)"


def _unit_state(shown: str | None, why: str) -> tuple[str | None, str]:
    """`shown` is ActiveState and LoadState."""
    active, _, load = (shown or "").partition("/")
    if not active:
        return None, why or "systemd does not answer"
    return (None, "no such unit") if load == "not-found" else (active, "")


def _memory(kibibytes: str | None, why: str) -> tuple[int | None, str]:
    if kibibytes and kibibytes.isascii() and kibibytes.isdigit():
        return int(kibibytes) // 1024, ""
    return None, why or "it does not run"
