"""When objects of Kubernetes do their work."""

from __future__ import annotations

from typing import Any

import pytest

from halab.cluster import rollout


def thing(
    kind: str, spec: dict[str, Any], status: dict[str, Any], generation: int | None = None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "metadata": {"name": "web", "generation": generation or 1},
        "spec": spec,
        "status": {"observedGeneration": 1, **status},
    }


READY = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "readyReplicas": 2}
DAEMONS = {"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "lacks"),
    [
        ("Deployment", {"replicas": 2}, READY, ""),
        ("Deployment", {"replicas": 2}, {**READY, "updatedReplicas": 1}, "1 of 2 pods are new"),
        ("Deployment", {"replicas": 2}, {**READY, "replicas": 3}, "1 old pods still run"),
        ("Deployment", {"replicas": 2}, {**READY, "availableReplicas": 0}, "0 of 2 pods are ready"),
        ("Deployment", {"replicas": 2, "paused": True}, {}, ""),
        ("Deployment", {"replicas": 0}, {}, ""),
        ("DaemonSet", {}, DAEMONS, ""),
        ("DaemonSet", {}, {**DAEMONS, "updatedNumberScheduled": 1}, "1 of 2 pods are new"),
        ("DaemonSet", {}, {**DAEMONS, "numberAvailable": 1}, "1 of 2 pods are ready"),
        ("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, {**DAEMONS, "updatedNumberScheduled": 0}, ""),
        ("StatefulSet", {"replicas": 2}, {**READY, "currentRevision": "a", "updateRevision": "a"}, ""),
        ("StatefulSet", {"replicas": 2},
         {"updatedReplicas": 1, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "b"},
         "1 of 2 pods are new"),
        ("StatefulSet", {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}},
         {"updatedReplicas": 1, "readyReplicas": 2, "currentRevision": "a", "updateRevision": "b"}, ""),
        ("Job", {}, {}, "0 of 1 completed"),
        ("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}, ""),
        ("Job", {"suspend": True}, {}, ""),
        ("Pod", {}, {"phase": "Pending"}, "is Pending"),
        ("Pod", {}, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}, ""),
        ("Pod", {}, {"phase": "Succeeded"}, ""),
        ("CustomResourceDefinition", {}, {"conditions": [{"type": "Established", "status": "False"}]},
         "is not established"),
        ("CustomResourceDefinition", {}, {"conditions": [{"type": "Established", "status": "True"}]}, ""),
        ("ConfigMap", {}, {}, ""),
    ],
)  # fmt: skip
def test_what_an_object_lacks(kind: str, spec: dict[str, Any], status: dict[str, Any], lacks: str) -> None:
    assert rollout.missing(thing(kind, spec, status)) == lacks


def test_a_status_of_an_earlier_generation_says_nothing() -> None:
    assert (
        rollout.missing(thing("Deployment", {"replicas": 2}, READY, generation=2))
        == "its controller has not seen it yet"
    )


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("Job", {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}),
        ("Pod", {"phase": "Failed", "reason": "BackoffLimitExceeded"}),
    ],
)
def test_what_failed_is_not_waited_for(kind: str, status: dict[str, Any]) -> None:
    with pytest.raises(rollout.Failed, match="BackoffLimitExceeded"):
        rollout.missing(thing(kind, {}, status))
