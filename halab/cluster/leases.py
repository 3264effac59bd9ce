"""Deletes the leases of leaders that ended when their machines stopped.

A new scheduler or controller-manager does not compare a lease with its clock. It watches the lease for its duration
(15 s), and leads if nobody renews it meanwhile, even if the lease expired days ago. Without a lease, it does not wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import httpx

from halab.cluster.api import Api
from halab.cluster.kube import LEASES, LEASES_PATH


def delete_expired(api: Api, now: datetime) -> None:
    """Delete the leases of leaders that expired before `now`, except those that somebody changes meanwhile.

    Call it only after all machines have booted: no earlier process is left that could renew a lease. Raises Unreachable
    if the API does not answer.
    """
    for lease in api.get(LEASES_PATH)["items"]:
        if lease["metadata"]["name"] in LEASES and _expired(lease["spec"], now):
            _delete(api, lease["metadata"])


def _expired(spec: Mapping[str, Any], now: datetime) -> bool:
    renewed, seconds = spec.get("renewTime"), spec.get("leaseDurationSeconds")
    if not renewed or not seconds:
        return False
    return datetime.fromisoformat(renewed) + timedelta(seconds=seconds) < now


def _delete(api: Api, metadata: Mapping[str, Any]) -> None:
    same = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    # a lease that stays only costs time
    with suppress(httpx.HTTPError):
        api.ask("DELETE", f"{LEASES_PATH}/{metadata['name']}", {"preconditions": same})
