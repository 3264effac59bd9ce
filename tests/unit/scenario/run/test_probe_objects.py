"""What probes need in the cluster: how it is made, and that nothing of it stays."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from support.fakes import FakeClock, lab_of

from halab.config.probe import ProbeName
from halab.config.probe_options import ListOptions
from halab.errors import LabProblem, TimedOut, Unreachable
from halab.progress import Quiet
from halab.scenario.run import probe_objects
from halab.scenario.sampler.probes import Objects

LAB = lab_of()


@dataclass
class Api:
    """Accepts everything; the pods of the Deployment become ready one after another."""

    tunnel: str | None = None
    namespaces: tuple[str, ...] = ()
    refuse: str = "nothing"
    most_ready: int = 2
    asked: list[tuple[str, str, Mapping[str, Any] | None]] = field(default_factory=list)
    _ready: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        with self._lock:
            self.asked.append((method, path, body))
        if self.refuse in path:
            return httpx.Response(403, text="quota")
        made = {"spec": {"clusterIP": "10.96.0.77"}, "status": {"token": "signed"}}
        return httpx.Response(200 if method == "DELETE" else 201, json=made)

    def get(self, path: str) -> dict[str, Any]:
        if "labelSelector" in path:
            return {"items": [{"metadata": {"name": name}} for name in self.namespaces]}
        if path.endswith("deployments/probed"):
            self._ready = min(self.most_ready, self._ready + 1)
            return {"status": {"readyReplicas": self._ready}}
        if self.refuse in path:
            raise Unreachable("answers 404")
        return {}

    @property
    def created(self) -> Counter[str]:
        return Counter(path.rpartition("/")[2] for method, path, _ in self.asked if method == "POST")


def make(api: Api, *names: str, listed: ListOptions | None = None) -> Objects:
    probes = probe_objects.needed(names)
    return probe_objects.make(
        api,  # type: ignore[arg-type]  # a fake
        LAB, "space", probes, listed or ListOptions(), clock=FakeClock(), progress=Quiet(),
    )  # fmt: skip


def test_most_probes_need_no_objects() -> None:
    assert probe_objects.needed(["write-via-lb", "watch-resuming", "serializable-read"]) == []
    assert probe_objects.needed(["service", "write-via-lb"]) == [ProbeName.SERVICE]


def test_a_namespace_is_filled_with_as_many_objects_as_the_probe_counts() -> None:
    api = Api()
    objects = make(api, "list-via-lb", listed=ListOptions(objects=30, object_bytes=5))
    assert (objects.namespace, objects.listed) == ("space", 30)
    assert api.created == {"namespaces": 1, "configmaps": 30}
    bodies = [body for _, path, body in api.asked if path.endswith("configmaps")]
    assert {body["metadata"]["name"] for body in bodies if body} == {
        f"listed-{number}" for number in range(30)
    }
    assert {body["data"]["filled"] for body in bodies if body} == {"xxxxx"}


def test_a_service_is_known_when_all_its_pods_are_ready() -> None:
    api = Api()
    objects = make(api, "service")
    assert objects.service == "10.96.0.77"
    assert api.created == {"namespaces": 1, "configmaps": 1, "deployments": 1, "services": 1}


def test_the_images_are_those_that_every_node_has() -> None:
    (container,) = probe_objects.deployment("coredns:1")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("coredns:1", "Never")
    assert make(Api(), "pod-starts").image.endswith(f"/pause:{LAB.release.pause}")


def test_pods_that_do_not_become_ready_are_named_with_the_command_that_shows_them() -> None:
    with pytest.raises(TimedOut, match="1 of 2 are ready") as raised:
        make(Api(most_ready=1), "service")
    assert raised.value.hint == "see `halab kubectl -- -n space get pods,events`"


def test_the_service_account_of_pods_is_waited_for() -> None:
    with pytest.raises(TimedOut, match="the service account of pods.*answers 404"):
        make(Api(refuse="serviceaccounts"), "pod-starts")


def test_a_token_is_that_of_the_service_account_in_the_namespace() -> None:
    api = Api()
    assert make(api, "token-via-lb", "token-direct").token == "signed"
    assert api.created == {"namespaces": 1, "token": 1}
    assert ("POST", "/api/v1/namespaces/space/serviceaccounts/default/token", {"spec": {}}) in api.asked
    assert make(Api(), "pod-starts").token == ""


def test_an_object_that_is_refused_ends_the_filling() -> None:
    api = Api(refuse="configmaps")
    with pytest.raises(LabProblem, match="the API answered 403: quota"):
        make(api, "list-via-lb", listed=ListOptions(objects=5000))
    assert len(api.asked) < 1000


def test_what_killed_runs_left_is_removed_and_a_watch_keeps_its_own() -> None:
    api = Api(namespaces=("halab-1", "halab-1-probes", "halab-watch-2"))
    assert probe_objects.remove_leftovers(api) == ["halab-1", "halab-1-probes"]  # type: ignore[arg-type]  # a fake
    assert [(method, path) for method, path, _ in api.asked] == [
        ("DELETE", "/api/v1/namespaces/halab-1"),
        ("DELETE", "/api/v1/namespaces/halab-1-probes"),
    ]


def test_namespaces_can_be_recognized_later() -> None:
    api = Api()
    make(api, "pod-starts")
    body = json.dumps(api.asked[0][2])
    assert '"labels": {"halab": "probes"}' in body
