"""Frees the leases of leaders that ended with their machines.

A new scheduler or controller-manager does not compare a lease with its clock. It waits until it has seen no renewal for
the whole duration of the lease (15 s), even if the lease expired days ago. Without the lease, it leads within 2 s.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import httpx

from halab.cluster.api import Api
from halab.cluster.kube import LEASES, LEASES_PATH


def free_expired(api: Api, now: datetime) -> list[str]:
    """Delete the leases of the leaders that expired before `now`; their names. Raises Unreachable without an answer.

    Only for the first moments after all machines of a lab booted: no process of before runs that could renew one.
    """
    freed = []
    for lease in api.get(LEASES_PATH)["items"]:
        name = lease["metadata"]["name"]
        if name in LEASES and _expired(lease["spec"], now) and _delete(api, lease["metadata"]):
            freed.append(name)
    return freed


def _expired(spec: Mapping[str, Any], now: datetime) -> bool:
    renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if not renewed or not seconds:
        return False
    return datetime.fromisoformat(renewed) + timedelta(seconds=seconds) < now


def _delete(api: Api, metadata: Mapping[str, Any]) -> bool:
    """Delete a lease unless it was changed since; whether it was deleted."""
    same = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    try:
        answer = api.ask("DELETE", f"{LEASES_PATH}/{metadata['name']}", {"preconditions": same})
    except httpx.HTTPError:
        return False
    return answer.is_success
