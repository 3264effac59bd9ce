"""What kubeadm gets: halab's documents with the user's parts merged in, and the patches of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from support.fakes import lab_of

from halab.config.kubeadm_fields import STATIC_PODS
from halab.config.lab import ProviderKind
from halab.topology import kubeadm
from halab.topology.lab import Lab


def documents(lab: Lab) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all(kubeadm.init_documents(lab, {}))}


def join(lab: Lab, machine: str) -> dict[str, Any]:
    return dict(yaml.safe_load(kubeadm.join_document(lab, lab.machine(machine), {})))


# the examples of RFC 7386, appendix A, that concern mappings
@pytest.mark.parametrize(
    ("document", "changes", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_documents_are_merged_as_the_standard_says(document: Any, changes: Any, merged: Any) -> None:
    assert kubeadm.merge(document, changes) == merged


def test_chosen_versions_are_in_kubeadms_documents_and_patches() -> None:
    settings = {
        "version": "1.36",
        "etcd": "3.6.8",
        "coredns": "1.12.1",
        "components": {"kube-controller-manager": "1.35.8"},
    }
    lab = lab_of(kubernetes=settings)
    cluster = documents(lab)["ClusterConfiguration"]
    assert cluster["kubernetesVersion"] == "v1.36.5"
    assert cluster["etcd"]["local"]["imageTag"] == "3.6.8-0"
    assert cluster["dns"]["imageTag"] == "v1.12.1"
    images = {
        spec["name"]: spec["image"]
        for text in kubeadm.patch_files(lab, lab.machine("cp2"), {}).values()
        for spec in yaml.safe_load(text)["spec"]["containers"]
        if "image" in spec
    }
    assert images == {"kube-controller-manager": "registry.k8s.io/kube-controller-manager:v1.35.8"}


def test_members_on_machines_of_their_own_have_the_chosen_version_too() -> None:
    lab = lab_of(kubernetes={"version": "1.36", "etcd": "3.6.8"}, etcd={"topology": "external"})
    text = kubeadm.etcd_documents(lab, lab.machine("etcd1"), {})
    assert "imageTag: 3.6.8-0" in text


def flags(*pairs: tuple[str, str | None]) -> list[dict[str, str | None]]:
    return [{"name": name, "value": value} for name, value in pairs]


def test_components_from_a_checkout_have_tags_of_their_own() -> None:
    """The bundle may have the same version, and its image is on the machines, too."""
    lab = lab_of(
        kubernetes={"version": "1.36", "etcd": "3.6.8"},
        source={"etcd": "./etcd", "coredns": "./coredns", "kube-apiserver": "./kubernetes"},
    )
    cluster = documents(lab)["ClusterConfiguration"]
    assert cluster["etcd"]["local"]["imageTag"] == "3.6.8-source"
    assert cluster["dns"]["imageTag"] == "v1.14.2-source"
    images = {
        spec["name"]: spec["image"]
        for text in kubeadm.patch_files(lab, lab.machine("cp1"), {}).values()
        for spec in yaml.safe_load(text)["spec"]["containers"]
        if "image" in spec
    }
    # the tag of etcd is in the document
    assert images == {"kube-apiserver": "registry.k8s.io/kube-apiserver:v1.36.5-source"}


def test_flags_are_merged_by_name() -> None:
    own = {"extraArgs": flags(("a", "1"), ("b", "2"), ("c", "3"))}
    changes = {"extraArgs": flags(("b", "x"), ("b", "y"), ("c", None), ("d", "z"))}
    assert kubeadm.merge(own, changes) == {
        "extraArgs": flags(("a", "1"), ("b", "x"), ("b", "y"), ("d", "z"))
    }
    assert kubeadm.merge(own, {"extraArgs": None}) == {}


def test_the_users_flags_are_beside_those_of_halab() -> None:
    settings = {
        "cluster": {"scheduler": {"extraArgs": {"v": "4", "leader-elect-lease-duration": "90s"}}},
        "join": {"nodeRegistration": {"kubeletExtraArgs": {"v": "2"}}},
    }
    lab = lab_of(provider=ProviderKind.LIBVIRT, accel="tcg", kubeadm=settings)
    scheduler = documents(lab)["ClusterConfiguration"]["scheduler"]["extraArgs"]
    assert [flag["name"] for flag in scheduler] == [
        "leader-elect-renew-deadline",
        "leader-elect-retry-period",
        "v",
        "leader-elect-lease-duration",
    ]
    assert join(lab, "cp2")["nodeRegistration"]["kubeletExtraArgs"] == flags(
        ("node-ip", str(lab.machine("cp2").address)), ("v", "2")
    )


def test_names_in_the_certificate_are_added() -> None:
    lab = lab_of(kubeadm={"cluster": {"apiServer": {"certSANs": ["api.example", "localhost"]}}})
    assert documents(lab)["ClusterConfiguration"]["apiServer"]["certSANs"] == [
        "lb1",
        "localhost",
        "127.0.0.1",
        "api.example",
    ]


def test_the_user_wins_over_halab() -> None:
    settings = {
        "kubelet": {"failSwapOn": True, "evictionHard": None, "featureGates": {"A": False}},
        "kube_proxy": {"mode": "iptables"},
        "init": {"nodeRegistration": {"taints": None}},
    }
    after = documents(lab_of(kubeadm=settings))
    kubelet = after["KubeletConfiguration"]
    assert (kubelet["failSwapOn"], "evictionHard" in kubelet) == (True, False)
    assert kubelet["featureGates"] == {"KubeletInUserNamespace": True, "A": False}
    assert after["KubeProxyConfiguration"]["mode"] == "iptables"
    assert "taints" not in after["InitConfiguration"]["nodeRegistration"]


def test_documents_without_settings_keep_the_text_of_the_template() -> None:
    before = kubeadm.init_documents(lab_of(), {}).split("---\n")
    after = kubeadm.init_documents(lab_of(kubeadm={"kubelet": {"maxPods": 50}}), {}).split("---\n")
    assert [number for number, text in enumerate(after) if text != before[number]] == [1]


def test_workers_and_control_planes_join_with_the_same_settings() -> None:
    lab = lab_of(workers=1, kubeadm={"join": {"timeouts": {"discovery": "10m"}}})
    for machine in ("cp2", "w1"):
        assert join(lab, machine)["timeouts"] == {"discovery": "10m"}
    assert "timeouts" not in documents(lab)["InitConfiguration"]


def patches(lab: Lab, machine: str, **written: str) -> Mapping[str, str]:
    return kubeadm.patch_files(lab, lab.machine(machine), written)


def probes(lab: Lab, kind: str) -> dict[str, dict[str, int]]:
    return {
        spec["name"]: spec[kind]
        for text in patches(lab, "cp1").values()
        for spec in yaml.safe_load(text)["spec"]["containers"]
        if kind in spec
    }


def liveness(lab: Lab) -> dict[str, int]:
    return {pod: probe["failureThreshold"] for pod, probe in probes(lab, "livenessProbe").items()}


def test_the_kubelet_sees_within_a_second_that_a_static_pod_has_started() -> None:
    expected = {"initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 240}
    assert probes(lab_of(), "startupProbe") == dict.fromkeys(STATIC_PODS, expected)
    patient = probes(lab_of(patience=2.5), "startupProbe")
    assert {probe["failureThreshold"] for probe in patient.values()} == {600}
    # each of its questions costs an emulated processor too much
    assert probes(lab_of(provider=ProviderKind.LIBVIRT, accel="tcg"), "startupProbe") == {}
    assert probes(lab_of(provider=ProviderKind.LIBVIRT, accel="kvm"), "startupProbe") != {}


@pytest.mark.parametrize(
    ("init", "join", "expected"),
    [("15m", None, 900), ("15m", "20m", 1200), ("60s", "90s", 90), ("60s", None, 240), ("0", "0", 240)],
)
def test_a_static_pod_may_start_as_long_as_the_users_documents_say(
    init: str, join: str | None, expected: int
) -> None:
    written = {"init": init, "join": join} if join else {"init": init}
    documents = {
        name: {"timeouts": {"controlPlaneComponentHealthCheck": limit}} for name, limit in written.items()
    }
    found = probes(lab_of(kubeadm=documents), "startupProbe")
    assert {probe["failureThreshold"] for probe in found.values()} == {expected}


def test_slow_labs_give_static_pods_more_time_to_answer() -> None:
    assert liveness(lab_of()) == {}
    assert liveness(lab_of(patience=2.6)) == dict.fromkeys(STATIC_PODS, 21)
    emulated = lab_of(provider=ProviderKind.LIBVIRT, accel="tcg")
    assert liveness(emulated) == dict.fromkeys(STATIC_PODS, 24)
    slower = lab_of(provider=ProviderKind.LIBVIRT, accel="tcg", patience=10)
    assert liveness(slower) == dict.fromkeys(STATIC_PODS, 80)


def test_only_control_planes_have_patches_of_halab() -> None:
    lab = lab_of(patience=3, workers=1)
    assert patches(lab, "w1") == {}
    assert "patches" not in join(lab, "w1")


@pytest.mark.parametrize(
    "name", ["etcd.yaml", "etcd+json.yaml", "etcd0+merge.yaml", "etcd-own.yaml", "etcd_a.yaml"]
)
def test_kubeadm_applies_the_users_patches_after_those_of_halab(name: str) -> None:
    """It reads the files in the order of their names."""
    names = sorted(patches(lab_of(patience=3), "cp1", **{name: "spec: {}"}))
    own = next(known for known in names if known.startswith("etcd") and known != name)
    assert names.index(own) < names.index(name)


def lease(**components: Any) -> int:
    cluster = {
        name: {"extraArgs": {"leader-elect-lease-duration": value}} for name, value in components.items()
    }
    return lab_of(kubeadm={"cluster": cluster}).lease_seconds


def test_the_longest_lease_counts() -> None:
    """A restored virtual machine continues with its old lease."""
    assert lab_of().lease_seconds == 15
    assert lease(scheduler="1m30.5s", controllerManager="40s") == 91
    assert lease(scheduler="5s", controllerManager=None) == 15
    assert lease(scheduler="a while") == 15
