"""Manifests are applied in their order, waited for, and applied again only if they changed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.fakes import Call, FakeClock, FakeGuests, Recorded, lab_of

from halab.config.manifests import Manifest, parse
from halab.errors import LabProblem
from halab.lifecycle.manifests import ManifestApplier
from halab.process import Completed

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
JOB = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: fill, namespace: shop}\n"
CRD = "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: a.b}\n"
COMPLETE = {
    "conditions": [{"type": "Complete", "status": "True"}, {"type": "Established", "status": "True"}]
}


def entry(name: str, text: str) -> tuple[Manifest, ...]:
    return (Manifest(name, text, parse(text, name)),)


class Cluster(FakeGuests):
    """An API that accepts everything, and remembers the note of halab."""

    def __init__(self, *refusals: str, status: dict[str, Any] | None = None) -> None:
        super().__init__({"": self._answer})
        self.note = ""
        self.applied: list[str] = []
        self.refusals = list(refusals)
        self.status = COMPLETE if status is None else status

    def _answer(self, call: Call) -> str | Completed:
        assert call.machine == "cp1"
        if "get configmap halab-manifests" in call.command:
            return self.note
        if " apply " in call.command:
            text = call.input or ""
            if "halab-manifests" in text:
                self.note = text
                return ""
            if self.refusals:
                return Completed(1, "namespace/other serverside-applied\n", self.refusals.pop(0))
            self.applied.append(parse(text, "x")[0].name)
            return f"{self.applied[-1]} serverside-applied\n"
        if "get events" in call.command:
            return "fill-x   Failed to pull image\n"
        asked = [json.loads(part) for part in (call.input or "").split("---")]
        items = [{**thing, "spec": {}, "status": self.status} for thing in asked]
        return json.dumps(items[0] if len(items) == 1 else {"kind": "List", "items": items})


def apply(cluster: Cluster, progress: Recorded | None = None, **entries: str) -> int:
    named = {f"{name}.yaml": entry(f"{name}.yaml", text) for name, text in entries.items()}
    return ManifestApplier(lab_of(), cluster, "cp1", FakeClock(), progress or Recorded()).apply(named)


def test_entries_are_applied_in_the_order_of_the_lab_file() -> None:
    cluster = Cluster()
    assert apply(cluster, b=NAMESPACE, a=JOB) == 2
    assert cluster.applied == ["shop", "fill"]


def test_a_second_up_applies_only_what_changed() -> None:
    cluster, progress = Cluster(), Recorded()
    apply(cluster, a=NAMESPACE, b=JOB)
    assert apply(cluster, a=NAMESPACE, b=JOB) == 0
    assert apply(cluster, progress, a=NAMESPACE, b=f"{JOB}spec: {{}}\n") == 1
    assert cluster.applied == ["shop", "fill", "fill"]
    assert progress.lines == ["begin apply b.yaml", "end apply b.yaml: 1 object"]


def test_nothing_is_asked_without_manifests() -> None:
    cluster = Cluster()
    assert apply(cluster) == 0
    assert cluster.calls == []


def test_a_manifest_that_is_no_longer_named_is_reported_once() -> None:
    cluster, progress = Cluster(), Recorded()
    apply(cluster, a=NAMESPACE, b=JOB)
    for _ in range(2):
        apply(cluster, progress, b=JOB)
    assert progress.lines == ["a.yaml is no longer in the lab file; what it created stays in the cluster"]


def test_a_refusal_says_what_was_applied_and_how_to_continue() -> None:
    cluster = Cluster('Error from server: error when creating "STDIN": unknown field "spec.replcas"\n')
    cluster.note = json.dumps({"data": {"applied": json.dumps({"a.yaml": "other"})}})
    cluster.refusals.insert(0, "Unable to connect to the server: EOF")
    with pytest.raises(LabProblem) as caught:
        apply(cluster, a=JOB)
    assert caught.value.message.splitlines() == [
        "the API refused a.yaml:",
        'Error from server: error when creating a.yaml: unknown field "spec.replcas"',
        "applied from this file:",
        "namespace/other serverside-applied",
    ]
    assert caught.value.hint == "change a.yaml, then run `halab up` again: it goes on with this file"
    assert cluster.applied == []


def test_a_refusal_has_the_line_of_the_object() -> None:
    cluster = Cluster(
        "failed to create typed patch object (shop/fill; batch/v1, Kind=Job): .spec.a: not declared"
    )
    with pytest.raises(LabProblem, match=r"(?m)^a\.yaml:5: failed to create typed patch object \(shop/fill"):
        apply(cluster, a=f"{NAMESPACE}---\n{JOB}")


def test_a_refused_entry_is_applied_again_at_the_next_up() -> None:
    cluster = Cluster()
    apply(cluster, a=NAMESPACE)
    cluster.refusals.append("no")
    with pytest.raises(LabProblem) as caught:
        apply(cluster, a=NAMESPACE, b=JOB)
    assert "applied before: a.yaml" in (caught.value.hint or "")
    assert apply(cluster, a=NAMESPACE, b=JOB) == 1
    assert cluster.applied == ["shop", "fill"]


def test_an_api_that_is_busy_is_asked_again() -> None:
    cluster = Cluster("Error: etcdserver: leader changed", "dial tcp: connect: connection refused")
    assert apply(cluster, a=NAMESPACE) == 1


def test_a_kind_is_waited_for_only_if_the_entry_defines_one() -> None:
    unknown = 'no matches for kind "A" in version "b/v1"\nensure CRDs are installed first'
    assert apply(Cluster(unknown), a=f"{CRD}---\n{NAMESPACE}") == 1
    with pytest.raises(LabProblem, match="no matches for kind"):
        apply(Cluster(unknown), a=NAMESPACE)


def test_what_does_not_become_ready_is_reported_with_the_warnings_of_its_namespace() -> None:
    cluster = Cluster(status={})
    with pytest.raises(LabProblem) as caught:
        apply(cluster, a=JOB)
    assert "a.yaml was applied, but is not ready: waited 240 s" in caught.value.message
    assert "Job shop/fill: 0 of 1 completed\nfill-x Failed to pull image" in caught.value.message
    cluster.status = COMPLETE
    assert apply(cluster, a=JOB) == 1


def test_a_failed_job_is_reported_at_once() -> None:
    cluster = Cluster(status={"conditions": [{"type": "Failed", "status": "True", "reason": "Deadline"}]})
    with pytest.raises(LabProblem, match="is not ready: failed: Deadline"):
        apply(cluster, a=JOB)
