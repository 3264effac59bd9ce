"""The ledger: the writes that the API acknowledged. None of them may be lost."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import httpx

from halab.cluster import api
from halab.cluster.api import Api, Credentials
from halab.errors import LabProblem
from halab.topology.lab import Lab

_PAGE = 500
# A page of 500 small objects takes 50 ms; right after a recovery, everything takes longer.
_READ_SECONDS = 15


@dataclass(frozen=True)
class Reading:
    """What was read back. A write whose answer never came may be there or not: `unacknowledged_found` counts them."""

    acknowledged: int
    missing: tuple[int, ...]
    unacknowledged_found: int


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


def read_back(lab: Lab, credentials: Credentials, namespace: str, acknowledged: Collection[int]) -> Reading:
    """Ask every API server for every acknowledged write: each of them reads through its own etcd member.

    What one of them misses is missing. LabProblem, or Unreachable, where one does not answer.
    """
    context = credentials.context()
    readings = []
    for machine in lab.control_planes:
        direct = Api(api.url(machine), context, timeout_seconds=_READ_SECONDS)
        try:
            readings.append(compare(acknowledged, numbers_found(direct, namespace)))
        finally:
            direct.close()
    missing = {number for reading in readings for number in reading.missing}
    unacknowledged = max((reading.unacknowledged_found for reading in readings), default=0)
    return Reading(len(acknowledged), tuple(sorted(missing)), unacknowledged)


def numbers_found(through: Api, namespace: str) -> set[int]:
    """The numbers of the writes that the API holds, by a consistent read."""
    found: set[int] = set()
    more = ""
    while True:
        page = through.get(f"/api/v1/namespaces/{namespace}/configmaps?limit={_PAGE}{more}")
        for item in page["items"]:
            prefix, _, number = item["metadata"]["name"].partition("write-")
            if not prefix and number.isdigit():
                found.add(int(number))
        token = page["metadata"].get("continue")
        if not token:
            return found
        more = f"&continue={token}"


def compare(acknowledged: Collection[int], found: set[int]) -> Reading:
    promised = set(acknowledged)
    return Reading(len(promised), tuple(sorted(promised - found)), len(found - promised))


def _expect(
    through: Api, method: str, path: str, body: dict[str, object] | None, codes: tuple[int, ...]
) -> None:
    try:
        response = through.ask(method, path, body)
    except httpx.HTTPError as error:
        raise LabProblem(f"{method} {path}: {api.reason(error)}") from error
    if response.status_code not in codes:
        raise LabProblem(f"{method} {path}: the API says {response.status_code}: {response.text[:200]}")
