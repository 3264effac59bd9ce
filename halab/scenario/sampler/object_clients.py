"""Clients that need objects in the cluster: a long list, pods that start, a Service that a node asks.

halab/scenario/run/probe_objects.py makes the objects.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from halab.cluster.connection import Answer, Connection, Server
from halab.errors import Unreachable
from halab.machines.guest_shell import GuestShell
from halab.scenario.record.lanes import TIME_LIMIT_SECONDS
from halab.scenario.sampler.clients import Reply
from halab.scenario.sampler.probes import Objects

LISTED = "listed-"
_LISTED = f'"name":"{LISTED}'.encode()
# The path that the pods behind the Service answer, and why curl got no answer (`man curl`).
SERVICE_PATH = "/health"
_NO_ANSWER = {"7": "connection refused", "28": "timed out", "52": "disconnected", "56": "disconnected"}
_POLL_SECONDS = 0.25

# What every pod of a probe has: it runs on any node, also on control planes, and has no access to the API.
POD = {
    "tolerations": [
        {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}
    ],
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
}


class NotAsked(Exception):
    """The node that should ask was not reached: there is no sample."""


class Lister:
    """Lists a namespace, over a new connection each time. The list must be complete."""

    def __init__(self, server: Server, objects: Objects) -> None:
        self._server = server
        self._objects = objects

    async def ask(self, number: int | None) -> Reply:
        size, count, end = 0, 0, b""
        async with await Connection.open(self._server) as connection:
            status = await connection.begin(
                "GET", f"/api/v1/namespaces/{self._objects.namespace}/configmaps"
            )
            # counted as it arrives: to parse megabytes would delay all other questions
            async for data in connection.content():
                size += len(data)
                end += data
                count += end.count(_LISTED)
                end = end[len(end) - _unfinished(end) :]
        if status != 200:
            return Reply(False, str(status))
        return Reply(count == self._objects.listed, f"{status}, {count} objects, {size / 1000:.0f} kB")


def _unfinished(data: bytes) -> int:
    """How many of the last bytes may be the beginning of a name that continues in the next chunk."""
    return next((length for length in range(len(_LISTED) - 1, 0, -1) if data.endswith(_LISTED[:length])), 0)


class PodStarter:
    """Creates a pod and waits until it runs. The pod is deleted in any case."""

    def __init__(self, server: Server, objects: Objects, limit_seconds: float) -> None:
        self._server = server
        self._objects = objects
        self._limit_seconds = limit_seconds
        self._count = 0
        self._deletions: set[asyncio.Task[None]] = set()

    async def ask(self, number: int | None) -> Reply:
        give_up = time.monotonic() + self._limit_seconds
        self._count += 1
        name = f"pod-{self._count}"
        pods = f"/api/v1/namespaces/{self._objects.namespace}/pods"
        try:
            created = await self._request("POST", pods, json.dumps(pod(name, self._objects.image)).encode())
            if not created.is_ok:
                return Reply(False, f"not created: {created.status}")
            seen = "created"
            while time.monotonic() < give_up:
                await asyncio.sleep(_POLL_SECONDS)
                # an API that is away for a moment does not make the pod late
                with suppress(Unreachable):
                    answer = await self._request("GET", f"{pods}/{name}")
                    is_running, seen = progress(answer, seen)
                    if is_running:
                        return Reply(True, seen)
            return Reply(False, f"not running after {self._limit_seconds:g} s: {seen}")
        finally:
            deletion = asyncio.create_task(self._delete(f"{pods}/{name}"))
            self._deletions.add(deletion)
            deletion.add_done_callback(self._deletions.discard)

    async def _delete(self, path: str) -> None:
        # what stays is deleted with the namespace
        with suppress(Unreachable):
            await self._request("DELETE", path, b'{"gracePeriodSeconds": 0}')

    async def _request(self, method: str, path: str, body: bytes = b"") -> Answer:
        try:
            async with asyncio.timeout(TIME_LIMIT_SECONDS):
                async with await Connection.open(self._server) as connection:
                    return await connection.ask(method, path, body)
        except TimeoutError as error:
            raise Unreachable("timed out") from error


def pod(name: str, image: str) -> Mapping[str, Any]:
    """A pod that does nothing."""
    return {
        "metadata": {"name": name},
        "spec": {
            "containers": [{"name": "pause", "image": image, "imagePullPolicy": "Never"}],
            "terminationGracePeriodSeconds": 0,
            **POD,
        },
    }


def progress(answer: Answer, before: str) -> tuple[bool, str]:
    """Whether a pod runs, and what was seen of it."""
    if not answer.is_ok:
        return False, f"{before}, then {answer.status}" if "then" not in before else before
    try:
        found = json.loads(answer.body)
        phase, node = found["status"]["phase"], found["spec"].get("nodeName")
    except (ValueError, LookupError, TypeError):
        return False, before
    return phase == "Running", f"{phase} on {node}" if node else f"{phase} on no node"


class NodeClient:
    """Lets a node ask a URL, over a new connection each time. What the node says is the answer."""

    def __init__(self, shell: GuestShell, url: str, limit_seconds: float, ca: str = "") -> None:
        self._shell = shell
        self._patience_seconds = limit_seconds * 1.1
        trust = f"--cacert {ca} " if ca else ""
        # on the machine, the answer takes a little less time than here
        limit = limit_seconds * 0.95
        self._command = (
            f"curl -s -o /dev/null --max-time {limit:.2f} -w '%{{http_code}} %{{exitcode}}' "
            f"{trust}{shlex.quote(url)}"
        )

    async def ask(self, number: int | None) -> Reply:
        try:
            async with asyncio.timeout(self._patience_seconds):
                code, _, exit_code = (await self._shell.ask(self._command)).partition(" ")
        except (TimeoutError, Unreachable) as error:
            raise NotAsked from error
        if not code.isdigit():
            raise NotAsked
        if code == "000":
            return Reply(False, _NO_ANSWER.get(exit_code, f"no answer (curl: {exit_code})"))
        return Reply(code == "200", code)
