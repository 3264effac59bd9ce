"""Whether objects of Kubernetes do their work: a Deployment is rolled out, a Job has ended. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Object = Mapping[str, Any]


class Failed(Exception):
    """The object will never be ready."""


def missing(item: Object) -> str:
    """What an object lacks to be ready; empty if it is, or if it is of a kind that is ready when it exists.

    Raises Failed.
    """
    check = _CHECKS.get(item["kind"])
    if check is None:
        return ""
    observed = item.get("status", {}).get("observedGeneration")
    if item["kind"] in _OBSERVED and (observed or 0) < item["metadata"].get("generation", 0):
        return "its controller has not seen it yet"
    return check(item.get("spec", {}), item.get("status", {}))


def is_waited_for(kind: str) -> bool:
    return kind in _CHECKS


def _deployment(spec: Object, status: Object) -> str:
    if spec.get("paused"):
        return ""
    wanted, updated = spec.get("replicas", 1), status.get("updatedReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are new"
    old = status.get("replicas", 0) - updated
    if old > 0:
        return f"{old} old pods still run"
    return _of(status.get("availableReplicas", 0), wanted)


def _daemon_set(spec: Object, status: Object) -> str:
    wanted = status.get("desiredNumberScheduled", 0)
    updated = status.get("updatedNumberScheduled", 0)
    if _strategy(spec) == _ROLLING and updated < wanted:
        return f"{updated} of {wanted} pods are new"
    return _of(status.get("numberAvailable", 0), wanted)


def _stateful_set(spec: Object, status: Object) -> str:
    wanted = spec.get("replicas", 1)
    partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
    new = wanted - min(partition, wanted) if _strategy(spec) == _ROLLING else 0
    is_current = status.get("currentRevision") == status.get("updateRevision")
    updated = wanted if is_current else status.get("updatedReplicas", 0)
    if updated < new:
        return f"{updated} of {new} pods are new"
    return _of(status.get("readyReplicas", 0), wanted)


def _job(spec: Object, status: Object) -> str:
    if spec.get("suspend") or _condition(status, "Complete"):
        return ""
    failed = _condition(status, "Failed")
    if failed:
        raise Failed(f"failed: {failed.get('message') or failed.get('reason', 'no reason given')}")
    return f"{status.get('succeeded', 0)} of {spec.get('completions', 1)} completed"


def _pod(spec: Object, status: Object) -> str:
    if status.get("phase") == "Succeeded" or _condition(status, "Ready"):
        return ""
    if status.get("phase") == "Failed":
        raise Failed(f"failed: {status.get('message') or status.get('reason', 'see its log')}")
    return f"is {status.get('phase', 'Pending')}"


def _definition(spec: Object, status: Object) -> str:
    return "" if _condition(status, "Established") else "is not established"


def _of(ready: int, wanted: int) -> str:
    return "" if ready >= wanted else f"{ready} of {wanted} pods are ready"


def _strategy(spec: Object) -> str:
    return str((spec.get("updateStrategy") or {}).get("type", _ROLLING))


def _condition(status: Object, name: str) -> Object | None:
    """The condition of that name, if it is true."""
    return next(
        (
            entry
            for entry in status.get("conditions") or ()
            if entry.get("type") == name and entry.get("status") == "True"
        ),
        None,
    )


_ROLLING = "RollingUpdate"
_CHECKS: Mapping[str, Callable[[Object, Object], str]] = {
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "Pod": _pod,
    "CustomResourceDefinition": _definition,
}
_OBSERVED = ("Deployment", "DaemonSet", "StatefulSet")
