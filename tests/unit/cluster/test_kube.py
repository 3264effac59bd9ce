"""Nodes, pods and leaders, from objects captured on a real lab."""

from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from support.fakes import FakeApi, captured, lab_of

from halab.cluster import kube
from halab.errors import Unreachable

CONTROL_PLANES = ["cp1", "cp2", "cp3"]


@pytest.fixture
def nodes() -> Any:
    return json.loads(captured("nodes.json"))


@pytest.fixture
def pods() -> Any:
    return json.loads(captured("pods.json"))


@pytest.fixture
def leases() -> Any:
    return json.loads(captured("leases.json"))


def pod(pods: Any, name: str) -> Any:
    return next(pod for pod in pods["items"] if pod["metadata"]["name"] == name)


def missing(pods: Any) -> list[str]:
    return kube.missing_pods(pods, kube.expected_pods(lab_of()))


def test_a_steady_lab_lacks_nothing(nodes: Any, pods: Any) -> None:
    assert kube.missing_nodes(nodes, set(CONTROL_PLANES)) == []
    assert missing(pods) == []


def test_an_absent_node_is_missing(nodes: Any) -> None:
    assert kube.missing_nodes(nodes, {*CONTROL_PLANES, "w1"}) == ["no node w1"]


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_node_that_is_not_ready_is_missing(nodes: Any, status: str) -> None:
    for condition in nodes["items"][1]["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = status
    assert kube.missing_nodes(nodes, set(CONTROL_PLANES)) == ["node cp2 is not Ready"]


def test_a_node_that_never_reported_is_not_ready(nodes: Any) -> None:
    del nodes["items"][0]["status"]["conditions"]
    assert kube.missing_nodes(nodes, set(CONTROL_PLANES)) == ["node cp1 is not Ready"]


def test_kubeadm_creates_four_pods_per_control_plane() -> None:
    assert len(kube.expected_pods(lab_of())) == 12
    assert "kube-controller-manager-cp2" in kube.expected_pods(lab_of())


def test_an_absent_static_pod_is_missing(pods: Any) -> None:
    pods["items"].remove(pod(pods, "etcd-cp3"))
    assert missing(pods) == ["no pod etcd-cp3"]


def test_a_pod_in_back_off_is_missing(pods: Any) -> None:
    container = pod(pods, "kube-scheduler-cp1")["status"]["containerStatuses"][0]
    container.update(ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}})
    assert missing(pods) == ["pod kube-scheduler-cp1: CrashLoopBackOff"]


def test_a_pod_that_was_reported_before_its_node_booted_is_missing(pods: Any) -> None:
    container = pod(pods, "etcd-cp1")["status"]["containerStatuses"][0]
    started = datetime.fromisoformat(container["state"]["running"]["startedAt"])
    expected = kube.expected_pods(lab_of())
    others = {each["metadata"]["name"] for each in pods["items"] if each["spec"]["nodeName"] == "cp1"} - {
        "etcd-cp1"
    }
    for name in others:
        for each in pod(pods, name)["status"]["containerStatuses"]:
            each["state"]["running"]["startedAt"] = (started + timedelta(minutes=5)).isoformat()
    later = started + timedelta(seconds=1)
    assert kube.missing_pods(pods, expected, {"cp1": later}) == [
        "pod etcd-cp1 was not reported since its node booted"
    ]
    assert kube.missing_pods(pods, expected, {"cp1": started}) == []
    # nothing is known of the boots of other nodes
    assert kube.missing_pods(pods, expected, {"w1": later + timedelta(days=1)}) == []


def test_a_pod_whose_kubelet_reported_that_it_waits_is_not_called_old(pods: Any) -> None:
    container = pod(pods, "etcd-cp1")["status"]["containerStatuses"][0]
    container.update(ready=False, state={"waiting": {"reason": "ContainerCreating"}})
    boot = datetime.fromisoformat("2100-01-01T00:00:00Z")
    found = kube.missing_pods(pods, kube.expected_pods(lab_of()), {"cp1": boot})
    assert "pod etcd-cp1: ContainerCreating" in found
    assert not any("etcd-cp1 was not reported" in line for line in found)


def test_a_pod_that_is_pending_or_not_ready_is_missing(pods: Any) -> None:
    pod(pods, "etcd-cp1")["status"]["containerStatuses"][0]["ready"] = False
    pod(pods, "etcd-cp2")["status"] = {"phase": "Pending"}
    assert missing(pods) == ["pod etcd-cp1 is not ready", "pod etcd-cp2 is Pending"]


def test_absent_coredns_is_missing(pods: Any) -> None:
    pods["items"] = [pod for pod in pods["items"] if not pod["metadata"]["name"].startswith("coredns-")]
    assert missing(pods) == ["no CoreDNS pod"]


@pytest.mark.parametrize(
    "kubeadm",
    [{"cluster": {"dns": {"disabled": True}}}, {"init": {"skipPhases": ["addon"]}}],
    ids=["disabled", "skipped"],
)
def test_coredns_may_be_absent_if_kubeadm_does_not_install_it(pods: Any, kubeadm: Any) -> None:
    pods["items"] = [pod for pod in pods["items"] if not pod["metadata"]["name"].startswith("coredns-")]
    api: Any = FakeApi({"/api/v1/namespaces/kube-system/pods": pods})
    assert kube.pods_not_running(api, lab_of(kubeadm=kubeadm)) == []
    assert kube.pods_not_running(api, lab_of()) == ["no CoreDNS pod"]


def test_leaders_are_read_from_their_leases(leases: Any) -> None:
    holders = kube.holders(leases["items"])
    assert {lease: kube.machine_of(holder or "", {}) for lease, holder in holders.items()} == {
        "kube-scheduler": "cp1",
        "kube-controller-manager": "cp1",
    }
    assert len(set(holders.values())) == 2


def test_a_lease_that_was_released_has_no_holder(leases: Any) -> None:
    released = copy.deepcopy(leases)
    for lease in released["items"]:
        lease["spec"]["holderIdentity"] = ""
    assert kube.holders(released["items"]) == {"kube-scheduler": None, "kube-controller-manager": None}
    assert kube.holders([]) == {"kube-scheduler": None, "kube-controller-manager": None}


def test_the_api_does_not_know_etcd_on_machines_of_its_own() -> None:
    expected = kube.expected_pods(lab_of(etcd={"topology": "external"}))
    assert len(expected) == 9
    assert not any("etcd" in pod for pod in expected)


def test_nodes_pods_and_leaders_are_read_from_the_api(nodes: Any, pods: Any, leases: Any) -> None:
    api: Any = FakeApi({
        "/api/v1/nodes": nodes,
        "/api/v1/namespaces/kube-system/pods": pods,
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases": leases,
    })  # fmt: skip
    assert kube.nodes_not_ready(api, set(CONTROL_PLANES)) == []
    assert kube.pods_not_running(api, lab_of()) == []
    assert kube.leaders(api, lab_of())["kube-scheduler"] == "cp1"


def test_the_cluster_knows_machines_by_their_host_names(leases: Any) -> None:
    api: Any = FakeApi({kube.LEASES_PATH: leases})
    lab = lab_of(machines={"cp2": {"hostname": "beta"}})
    assert kube.expected_pods(lab) >= {"etcd-cp1", "etcd-beta", "etcd-cp3"}
    for lease in leases["items"]:
        lease["spec"]["holderIdentity"] = "beta_8c1f"
    assert kube.leaders(api, lab) == {"kube-scheduler": "cp2", "kube-controller-manager": "cp2"}


def test_an_api_that_does_not_answer_is_unreachable() -> None:
    api: Any = FakeApi({"/api/v1/nodes": Unreachable("timed out")})
    with pytest.raises(Unreachable):
        kube.nodes_not_ready(api, set())
