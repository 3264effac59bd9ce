"""The ledger: the writes that the API acknowledged. None of them may be lost, by no API server and no etcd member."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import httpx

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.cluster import api, etcd
from halab.cluster.api import Api, Credentials
from halab.errors import CommandFailed, HalabError, LabProblem
from halab.machines.guests import Guests, on_all
from halab.scenario.record.events import Members
from halab.topology.lab import Lab

_NAME = "write-"
# Where the API keeps them in etcd.
_STORED = "/registry/configmaps/"
# Of thousands of keys, only the numbers come back.
_HELD = (
    "set -o pipefail; {hash} && "
    "{get} --count-only --write-out=fields '' | grep Count && "
    "{get} --keys-only {prefix} | sed -n 's/^.*-\\([0-9][0-9]*\\)$/\\1/p'"
)
# After a recovery a member may be behind for a moment; the lab was steady before this is asked.
_AGREE_SECONDS = 30
_PAGE = 500
# A page of 500 small objects takes 50 ms; right after a recovery, everything takes longer.
_READ_SECONDS = 15


@dataclass(frozen=True)
class LedgerReading:
    """What was read back. A write whose answer never came may be there or not: `unacknowledged_found` counts them."""

    acknowledged: int
    missing: tuple[int, ...]
    unacknowledged_found: int


@dataclass(frozen=True)
class Held:
    """What one etcd member holds at a revision. Hashes are comparable where as much was compacted."""

    hash: int
    compacted: int
    keys: int
    numbers: frozenset[int]


def open_namespace(through: Api, name: str) -> None:
    """A namespace of the run's own: what it writes goes with it."""
    _expect(
        through,
        "POST",
        "/api/v1/namespaces",
        {"metadata": {"name": name, "labels": {"halab": "ledger"}}},
        (201, 409),
    )


def close_namespace(through: Api, name: str) -> None:
    _expect(through, "DELETE", f"/api/v1/namespaces/{name}", None, (200, 202, 404, 409))


def read_back(
    lab: Lab,
    credentials: Credentials,
    namespace: str,
    acknowledged: Collection[int],
    *,
    tunnel: str | None = None,
) -> LedgerReading:
    """Ask every API server for every acknowledged write: each of them reads through its own etcd member.

    What one of them misses is missing. LabProblem, or Unreachable, where one does not answer.
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
    """Ask every etcd member for what it holds itself, at one revision that all of them have reached.

    TimedOut where one does not answer or does not get there, or they do not compact alike.
    """
    machines = [machine.name for machine in lab.control_planes]

    def look() -> Members:
        revision = max(each.revision for each in _statuses(guests, lab).values())
        command = _HELD.format(
            hash=etcd.command(f"endpoint hashkv --rev={revision} --write-out=json"),
            get=etcd.command(f"get --prefix --consistency=s --rev={revision}"),
            prefix=shlex.quote(f"{_STORED}{namespace}/{_NAME}"),
        )
        try:
            answers = on_all(machines, lambda name: guests.run(name, command, timeout_seconds=20).output)
        except CommandFailed as error:
            # a member that is a moment behind does not know the revision yet
            raise NotYet(
                error.output.strip().splitlines()[-1] if error.output.strip() else str(error)
            ) from error
        held = {name: parse_held(name, output) for name, output in answers.items()}
        if len({each.compacted for each in held.values()}) > 1:
            raise NotYet("members that compact at this moment: their hashes cannot be compared")
        return _compared(revision, held, acknowledged)

    deadline = Deadline.after(clock or RealClock(), _AGREE_SECONDS * lab.patience)
    return wait_for("the etcd members to be at one revision", look, deadline)


def parse_held(machine: str, output: str) -> Held:
    """What a member printed: its hash as JSON, the number of its keys as a field, a number of a write a line."""
    try:
        first, *lines = output.strip().splitlines()
        said = json.loads(first)[0]["HashKV"]
        (count,) = [line.partition(":")[2] for line in lines if line.startswith('"Count"')]
        numbers = frozenset(int(line) for line in lines if line.isdigit())
        return Held(said["hash"], said.get("compact_revision", 0), int(count), numbers)
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(
            f"etcdctl on {machine} printed something else than what it holds: {output[:200]!r}"
        ) from error


def _compared(revision: int, held: Mapping[str, Held], acknowledged: Collection[int]) -> Members:
    missing = {name: tuple(sorted(set(acknowledged) - each.numbers)) for name, each in held.items()}
    return Members(
        revision=revision,
        hashes={name: each.hash for name, each in held.items()},
        keys={name: each.keys for name, each in held.items()},
        missing={name: numbers for name, numbers in missing.items() if numbers},
    )


def _statuses(guests: Guests, lab: Lab) -> dict[str, etcd.Member]:
    found = {}
    for name, said in etcd.statuses(guests, lab).items():
        if isinstance(said, HalabError):
            # one that is starved, on an emulated processor for example, answers the next time
            raise NotYet(f"etcd on {name} does not answer: {said.message}") from said
        found[name] = said
    return found


def numbers_found(through: Api, namespace: str) -> set[int]:
    """The numbers of the writes that the API holds, by a consistent read."""
    found: set[int] = set()
    more = ""
    while True:
        page = through.get(f"/api/v1/namespaces/{namespace}/configmaps?limit={_PAGE}{more}")
        for item in page["items"]:
            prefix, _, number = item["metadata"]["name"].partition(_NAME)
            if not prefix and number.isdigit():
                found.add(int(number))
        token = page["metadata"].get("continue")
        if not token:
            return found
        more = f"&continue={token}"


def compare(acknowledged: Collection[int], found: set[int]) -> LedgerReading:
    promised = set(acknowledged)
    return LedgerReading(len(promised), tuple(sorted(promised - found)), len(found - promised))


def _expect(
    through: Api, method: str, path: str, body: dict[str, object] | None, codes: tuple[int, ...]
) -> None:
    try:
        response = through.ask(method, path, body)
    except httpx.HTTPError as error:
        raise LabProblem(f"{method} {path}: {api.reason(error)}") from error
    if response.status_code not in codes:
        raise LabProblem(f"{method} {path}: the API says {response.status_code}: {response.text[:200]}")
