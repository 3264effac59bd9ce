"""The ledger: the writes that the API acknowledged. No API server and no etcd member may lose any of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.cluster import api, etcd
from halab.cluster.api import Api, Credentials
from halab.errors import CommandFailed, HalabError, LabProblem
from halab.machines.guests import Guests, on_all
from halab.scenario.record.events import Members
from halab.scenario.sampler.clients import WRITTEN, number_of
from halab.topology.lab import Lab

# The value of the label `halab` of its namespace.
LABEL = "ledger"
# The key prefix of ConfigMaps in etcd.
_STORED = "/registry/configmaps/"
# There are thousands of keys: only their numbers are returned.
_HELD = (
    "set -o pipefail; {hash} && "
    "{get} --count-only --write-out=fields '' | grep Count && "
    "{get} --keys-only {prefix} | sed -n 's/^.*-\\([0-9][0-9]*\\)$/\\1/p'"
)
# A member may be behind for a moment after a recovery, although the lab is steady.
_AGREE_SECONDS = 30
_PAGE = 500
# A page of 500 small objects takes 50 ms; right after a recovery it takes longer.
_READ_SECONDS = 15


@dataclass(frozen=True)
class LedgerReading:
    """The writes that were read back. `unacknowledged_found` counts those that exist although their answer was lost."""

    acknowledged: int
    missing: tuple[int, ...]
    unacknowledged_found: int


@dataclass(frozen=True)
class Held:
    """What an etcd member holds at a revision. Hashes can only be compared at equal `compacted` revisions."""

    hash: int
    compacted: int
    keys: int
    numbers: frozenset[int]


def open_namespace(through: Api, name: str, *, label: str = LABEL) -> None:
    """Create the namespace of a run; its writes are removed with it."""
    expect(
        through,
        "POST",
        "/api/v1/namespaces",
        {"metadata": {"name": name, "labels": {"halab": label}}},
        (201, 409),
    )


def close_namespace(through: Api, name: str) -> None:
    expect(through, "DELETE", f"/api/v1/namespaces/{name}", None, (200, 202, 404, 409))


def read_back(
    lab: Lab,
    credentials: Credentials,
    namespace: str,
    acknowledged: Collection[int],
    *,
    tunnel: str | None = None,
) -> LedgerReading:
    """Ask every API server for the acknowledged writes; it reads through the member beside it, or through any member.

    A write that one API server lacks is missing. LabProblem or Unreachable if one does not answer.
    """
    context = credentials.context()
    readings = []
    for machine in lab.control_planes:
        direct = Api(api.url(machine), context, timeout_seconds=_READ_SECONDS, tunnel=tunnel)
        try:
            readings.append(compare(acknowledged, numbers_found(direct, namespace)))
        finally:
            direct.close()
    missing = {number for reading in readings for number in reading.missing}
    unacknowledged = max((reading.unacknowledged_found for reading in readings), default=0)
    return LedgerReading(len(acknowledged), tuple(sorted(missing)), unacknowledged)


def members(
    guests: Guests, lab: Lab, namespace: str, acknowledged: Collection[int], clock: Clock | None = None
) -> Members:
    """Ask every etcd member for its data, at one revision that all of them have reached.

    TimedOut if one does not answer or does not reach it, or if the compacted revisions stay different.
    """
    machines = [machine.name for machine in lab.members]

    def look() -> Members:
        revision = max(member.revision for member in _statuses(guests, lab).values())
        command = _HELD.format(
            hash=etcd.command(f"endpoint hashkv --rev={revision} --write-out=json"),
            get=etcd.command(f"get --prefix --consistency=s --rev={revision}"),
            prefix=shlex.quote(f"{_STORED}{namespace}/{WRITTEN}"),
        )
        try:
            answers = on_all(machines, lambda name: guests.run(name, command, timeout_seconds=20).output)
        except CommandFailed as error:
            # a member that is behind does not know the revision yet
            raise NotYet(
                error.output.strip().splitlines()[-1] if error.output.strip() else str(error)
            ) from error
        held = {name: parse_held(name, output) for name, output in answers.items()}
        if len({member.compacted for member in held.values()}) > 1:
            raise NotYet(
                "the members have compacted to different revisions, so their hashes cannot be compared"
            )
        return _compared(revision, held, acknowledged)

    deadline = Deadline.after(clock or RealClock(), _AGREE_SECONDS * lab.patience)
    return wait_for("the etcd members to be at one revision", look, deadline)


def parse_held(machine: str, output: str) -> Held:
    """Parse a member's output: its hash as JSON, its number of keys as a field, one number of a write per line."""
    try:
        first, *lines = output.strip().splitlines()
        hashed = json.loads(first)[0]["HashKV"]
        (count,) = [line.partition(":")[2] for line in lines if line.startswith('"Count"')]
        numbers = frozenset(int(line) for line in lines if line.isdigit())
        return Held(hashed["hash"], hashed.get("compact_revision", 0), int(count), numbers)
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"unexpected output of etcdctl on {machine}: {output[:200]!r}") from error


def _compared(revision: int, held: Mapping[str, Held], acknowledged: Collection[int]) -> Members:
    missing = {name: tuple(sorted(set(acknowledged) - member.numbers)) for name, member in held.items()}
    return Members(
        revision=revision,
        hashes={name: member.hash for name, member in held.items()},
        keys={name: member.keys for name, member in held.items()},
        missing={name: numbers for name, numbers in missing.items() if numbers},
    )


def _statuses(guests: Guests, lab: Lab) -> dict[str, etcd.Member]:
    members = {}
    for name, status in etcd.statuses(guests, lab).items():
        if isinstance(status, HalabError):
            # a starved member, for example on an emulated processor, answers the next time
            raise NotYet(f"etcd on {name} does not answer: {status.message}") from status
        members[name] = status
    return members


def numbers_found(through: Api, namespace: str) -> set[int]:
    """The numbers of the writes that the API has, by consistent reads."""
    numbers: set[int] = set()
    next_page = ""
    while True:
        page = through.get(f"/api/v1/namespaces/{namespace}/configmaps?limit={_PAGE}{next_page}")
        for item in page["items"]:
            if (number := number_of(item["metadata"]["name"])) is not None:
                numbers.add(number)
        token = page["metadata"].get("continue")
        if not token:
            return numbers
        next_page = f"&continue={token}"


def compare(acknowledged: Collection[int], present: set[int]) -> LedgerReading:
    promised = set(acknowledged)
    return LedgerReading(len(promised), tuple(sorted(promised - present)), len(present - promised))


def expect(
    through: Api, method: str, path: str, body: Mapping[str, Any] | None, codes: tuple[int, ...]
) -> httpx.Response:
    """Send a request. LabProblem if there is no answer, or one with another status."""
    try:
        response = through.ask(method, path, body)
    except httpx.HTTPError as error:
        raise LabProblem(f"{method} {path}: {api.reason(error)}") from error
    if response.status_code not in codes:
        raise LabProblem(f"{method} {path}: the API answered {response.status_code}: {response.text[:200]}")
    return response
