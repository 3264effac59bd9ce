"""The user's parts of kubeadm's documents: what is read, and what is refused with a reason and a line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from halab.config import schema
from halab.config.kubeadm_fields import FREE_DOCUMENTS, REFUSED
from halab.config.lab import LabFile
from halab.config.loading import loads
from halab.errors import BadFile


def documents(text: str) -> dict[str, dict[str, Any]]:
    return loads(f"kubeadm:\n  {text}\n", "lab.yml", LabFile).kubeadm.documents


def problem(text: str) -> str:
    with pytest.raises(BadFile) as caught:
        documents(text)
    (problem,) = map(str, caught.value.problems)
    return problem


def test_a_lab_file_without_settings_has_no_documents() -> None:
    assert LabFile().kubeadm.documents == {}
    assert documents("patches: own") == {}


def test_only_what_is_written_is_in_a_document() -> None:
    assert documents("init: {timeouts: {discovery: 10m}}") == {"init": {"timeouts": {"discovery": "10m"}}}


@pytest.mark.parametrize(
    "written",
    [
        '{v: "4", profiling: "false", audit-log-path: null}',
        '[{name: v, value: "4"}, {name: profiling, value: "false"}, {name: audit-log-path, value: null}]',
    ],
)
def test_flags_are_a_mapping_or_a_list(written: str) -> None:
    assert documents(f"cluster: {{apiServer: {{extraArgs: {written}}}}}") == {
        "cluster": {
            "apiServer": {
                "extraArgs": [
                    {"name": "v", "value": "4"},
                    {"name": "profiling", "value": "false"},
                    {"name": "audit-log-path", "value": None},
                ]
            }
        }
    }


def test_null_is_a_value_in_a_document_and_nowhere_else() -> None:
    assert documents("cluster: {encryptionAlgorithm: null, apiServer: null}") == {
        "cluster": {"encryptionAlgorithm": None, "apiServer": None}
    }
    assert (
        problem("cluster:") == "lab.yml:2: kubeadm.cluster: has no value: write one, or leave the line out"
    )


def test_documents_may_name_their_version_and_kind() -> None:
    kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "maxPods": 50}
    assert documents(f"kubelet: {json.dumps(kubelet)}") == {"kubelet": kubelet}
    assert documents("join: {apiVersion: kubeadm.k8s.io/v1beta4, kind: JoinConfiguration}")["join"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("cluster: {apiVersion: kubeadm.k8s.io/v1beta3}", "cluster.apiVersion: should be kubeadm.k8s.io/v1beta4, "),
        ("kubelet: {kind: Kubelet}", "kubelet.kind: should be KubeletConfiguration"),
        ("cluster: {apiserver: {}}", "cluster.apiserver: is not known; did you mean apiServer?"),
        ("cluster: {apiServer: {certSans: []}}", "cluster.apiServer.certSans: is not known; did you mean certSANs?"),
        ("kubelet: {maxPod: 50}", "kubelet.maxPod: is not known; did you mean maxPods?"),
        ("kube_proxy: {modes: ipvs}", "kube_proxy.modes: is not known; did you mean mode?"),
        ("kube-proxy: {}", "kube-proxy: is not known; did you mean kube_proxy?"),
        (
            "cluster: {scheduler: {extraArgs: {v: 4}}}",
            'cluster.scheduler.extraArgs.v: should be text: write "4", with the quotes',
        ),
        (
            "cluster: {scheduler: {extraArgs: [{name: v, value: 4}]}}",
            'cluster.scheduler.extraArgs[1].value: should be text: write "4", with the quotes',
        ),
        ("cluster: {scheduler: {extraArgs: [{name: v}]}}", "cluster.scheduler.extraArgs[1].value: is missing"),
        (
            'cluster: {scheduler: {extraArgs: {--v: "4"}}}',
            "cluster.scheduler.extraArgs.--v: is not the name of a flag: write it without the dashes in front",
        ),
        (
            "cluster: {scheduler: {extraArgs: --v=4}}",
            'cluster.scheduler.extraArgs: should be a mapping such as {v: "4"}, or a list of {name: …, value: …}',
        ),
        ("init: {skipPhases: [addon/kube-proxi, adon]}", "init.skipPhases[2]: no such phase of kubeadm: adon; did you"),
        ("join: {skipPhases: [addon]}", "join.skipPhases[1]: no such phase of kubeadm: addon; "),
        ("cluster: {featureGates: {X: 'true'}}", 'cluster.featureGates.X: should be true or false, not "true"'),
        ("cluster: {certificateValidityPeriod: 2d}", "cluster.certificateValidityPeriod: should be a duration"),
        ("init: {nodeRegistration: {imagePullSerial: 1}}", "init.nodeRegistration.imagePullSerial: should be true or"),
        ("kubelet: [maxPods]", "kubelet: should be a mapping (name: value)"),
        ('patches: "a\\0b"', "patches: should be text that matches"),
    ],
)  # fmt: skip
def test_what_kubeadm_does_not_know_is_refused_with_its_line(written: str, said: str) -> None:
    assert problem(written).startswith(f"lab.yml:2: kubeadm.{said}")


@pytest.mark.parametrize(
    ("written", "has_dns", "has_proxy"),
    [
        ("cluster: {clusterName: x}", True, True),
        ("cluster: {proxy: {disabled: true}}", True, False),
        ("cluster: {proxy: {disabled: false}, dns: {disabled: true}}", False, True),
        ("init: {skipPhases: [preflight, addon/kube-proxy]}", True, False),
        ("init: {skipPhases: [addon/coredns]}", False, True),
        ("init: {skipPhases: [addon]}", False, False),
        ("init: {skipPhases: [addon/all]}", False, False),
    ],
)
def test_kubeadm_may_install_no_coredns_and_no_kube_proxy(
    written: str, has_dns: bool, has_proxy: bool
) -> None:
    kubeadm = loads(f"kubeadm:\n  {written}\n", "lab.yml", LabFile).kubeadm
    assert (kubeadm.has_dns, kubeadm.has_proxy) == (has_dns, has_proxy)


def nested(path: tuple[str, ...], value: Any) -> Any:
    for name in reversed(path):
        value = {name: value}
    return value


@pytest.mark.parametrize("path", REFUSED, ids=".".join)
def test_what_a_lab_cannot_live_without_is_refused_with_the_reason(path: tuple[str, ...]) -> None:
    written = json.dumps(nested(path[1:], "x"))
    assert problem(f"{path[0]}: {written}") == (
        f"lab.yml:2: kubeadm.{'.'.join(path)}: cannot be set: {REFUSED[path]}"
    )


def test_a_refused_flag_of_a_list_is_refused_too() -> None:
    flags = '[{name: v, value: "4"}, {name: secure-port, value: "1"}]'
    assert problem(f"cluster: {{apiServer: {{extraArgs: {flags}}}}}") == (
        "lab.yml:2: kubeadm.cluster.apiServer.extraArgs[2].name: cannot be set: "
        "the load balancer and halab expect port 6443"
    )


def test_all_problems_are_reported_at_once() -> None:
    text = (
        "kubeadm:\n  cluster:\n    certificatesDir: x\n    etcd: {external: {}}\n  kubelet:\n    maxPod: 3\n"
    )
    with pytest.raises(BadFile) as caught:
        loads(text, "lab.yml", LabFile)
    assert [problem.line for problem in caught.value.problems] == [3, 4, 6]


def test_no_field_is_both_known_and_refused() -> None:
    for name, document in FREE_DOCUMENTS.items():
        assert not {path[1] for path in REFUSED if path[0] == name} & document.fields


def test_the_schema_completes_the_fields_of_all_documents() -> None:
    definitions = json.loads(schema.lab_schema())["$defs"]
    own = definitions["Kubeadm"]["properties"]
    assert {"maxPods", "crashLoopBackOff"} <= own["kubelet"]["properties"].keys()
    assert "mode" in own["kube_proxy"]["properties"]
    assert {"apiServer", "etcd", "certificateValidityPeriod"} <= (
        definitions["ClusterConfiguration"]["properties"].keys()
    )
    assert "controlPlaneEndpoint" not in definitions["ClusterConfiguration"]["properties"]
