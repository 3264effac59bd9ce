"""Leases of leaders that ended with their machines are deleted; those of others stay."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from halab.cluster import leases
from halab.cluster.api import Api
from halab.cluster.kube import LEASES_PATH
from halab.errors import Unreachable

NOW = datetime(2026, 5, 1, 12, 0, 30, tzinfo=UTC)


def lease(name: str, renewed: str | None, seconds: int | None = 15) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "uid": f"uid-of-{name}", "resourceVersion": "7"},
        "spec": {"renewTime": renewed, "leaseDurationSeconds": seconds, "holderIdentity": "cp1_4f"},
    }


class Server:
    """An API server with leases; it records what it is asked to delete."""

    answer = 200

    def __init__(self, *items: dict[str, Any]) -> None:
        self.deleted: list[tuple[str, Any]] = []
        self.api = Api("https://cp1", ssl.create_default_context(), timeout_seconds=5)
        self.api._client = httpx.Client(base_url="https://cp1", transport=httpx.MockTransport(self._answer))
        self._items = items

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            self.deleted.append((request.url.path, json.loads(request.content)))
            return httpx.Response(self.answer)
        return httpx.Response(200, json={"items": list(self._items)})


def test_an_expired_lease_is_deleted_unless_somebody_renews_it_meanwhile() -> None:
    server = Server(lease("kube-scheduler", "2026-05-01T12:00:10.123456Z"))
    leases.delete_expired(server.api, NOW)
    same = {"preconditions": {"uid": "uid-of-kube-scheduler", "resourceVersion": "7"}}
    assert server.deleted == [(f"{LEASES_PATH}/kube-scheduler", same)]


@pytest.mark.parametrize(
    "item",
    [
        lease("kube-scheduler", "2026-05-01T12:00:16.000000Z"),
        lease("kube-controller-manager", None),
        lease("kube-controller-manager", "2026-05-01T11:00:00.000000Z", None),
        lease("apiserver-x7", "2026-05-01T11:00:00.000000Z"),
    ],
    ids=["its holder renews it", "never renewed", "without a duration", "of no leader"],
)
def test_other_leases_stay(item: dict[str, Any]) -> None:
    server = Server(item)
    leases.delete_expired(server.api, NOW)
    assert server.deleted == []


def test_a_lease_that_cannot_be_deleted_is_left() -> None:
    server = Server(
        lease("kube-scheduler", "2026-05-01T11:00:00Z"),
        lease("kube-controller-manager", "2026-05-01T11:00:00Z"),
    )
    server.answer = 409
    leases.delete_expired(server.api, NOW)
    assert len(server.deleted) == 2


def test_an_api_that_does_not_answer_is_reported() -> None:
    server = Server()
    server.api._client = httpx.Client(
        base_url="https://cp1", transport=httpx.MockTransport(lambda request: httpx.Response(503))
    )
    with pytest.raises(Unreachable):
        leases.delete_expired(server.api, NOW)
