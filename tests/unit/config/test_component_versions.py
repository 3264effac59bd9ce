"""The versions of components that a lab file chooses: what works together, and what is refused with which rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.config.lab import LabFile
from halab.config.loading import loads
from halab.errors import BadFile
from halab.lifecycle.lab import open_file


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "lab.yml"
    path.write_text(text)
    try:
        open_file(path)
    except BadFile as error:
        return [str(problem).removeprefix(f"{folder}/") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "chosen",
    [
        "etcd: 3.6.8",
        "etcd: 3.6.16",
        "etcd: 3.6.0-rc.3",
        "coredns: 1.11.3",
        "components: {kube-apiserver: 1.36.4}",
        # one minor version behind
        "components: {kube-controller-manager: 1.35.8, kube-scheduler: 1.35.0}",
        # the policy is about minor versions
        "components: {kube-scheduler: 1.36.9}",
    ],
)
def test_supported_versions_are_accepted(tmp_path: Path, chosen: str) -> None:
    assert problems(tmp_path, f"kubernetes: {{version: '1.36', {chosen}}}\n") == []


@pytest.mark.parametrize(
    ("chosen", "field", "rule"),
    [
        ("etcd: 3.5.24", "etcd", "3.5.24: kubeadm 1.36 supports etcd 3.6, such as 3.6.16"),
        ("etcd: 3.7.3", "etcd", "3.7.3: kubeadm 1.36 supports etcd 3.6, such as 3.6.16"),
        (
            "components: {kube-apiserver: 1.35.8}",
            "components.kube-apiserver",
            "1.35.8: a kubelet must not be newer than the API server, and the kubelets of this lab are 1.36.5 "
            "(Kubernetes' version skew policy)",
        ),
        (
            "components: {kube-apiserver: 1.37.2}",
            "components.kube-apiserver",
            "1.37.2: kubeadm 1.36 installs no component of a later minor version (Kubernetes' version skew policy)",
        ),
        (
            "components: {kube-scheduler: 1.37.0}",
            "components.kube-scheduler",
            "1.37.0: kubeadm 1.36 installs no component of a later minor version (Kubernetes' version skew policy)",
        ),
        (
            "components: {kube-controller-manager: 1.34.12}",
            "components.kube-controller-manager",
            "1.34.12: kube-controller-manager may be at most one minor version older than the API server, which is "
            "1.36 here (Kubernetes' version skew policy)",
        ),
        (
            "components: {kube-scheduler: 2.0.0}",
            "components.kube-scheduler",
            "2.0.0: kubeadm 1.36 installs no component of a later minor version (Kubernetes' version skew policy)",
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_line_and_can_be_allowed(
    tmp_path: Path, chosen: str, field: str, rule: str
) -> None:
    hint = "write `allow_unsupported: true` below `kubernetes` to build it all the same"
    text = f"kubernetes:\n  version: '1.36'\n  {chosen}\n"
    assert problems(tmp_path, text) == [f"lab.yml:3: kubernetes.{field}: {rule}; {hint}"]
    assert problems(tmp_path, f"{text}  allow_unsupported: true\n") == []


def test_a_component_newer_than_an_old_api_server_breaks_two_rules(tmp_path: Path) -> None:
    chosen = "{kube-apiserver: 1.35.8, kube-scheduler: 1.36.5}"
    found = problems(tmp_path, f"kubernetes: {{version: '1.36', components: {chosen}}}\n")
    assert len(found) == 2
    assert "kube-scheduler must not be newer than the API server, which is 1.35 here" in found[1]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (
            "etcd: v3.6.8",
            "kubernetes.etcd: should be a version with three numbers, such as 3.6.8, not v3.6.8",
        ),
        ("coredns: 1.12", 'kubernetes.coredns: should be text: write "1.12", with the quotes'),
        (
            "components: {kube-proxy: 1.36.4}",
            "kubernetes.components.kube-proxy: is not known; known: kube-apiserver, kube-controller-manager, "
            "kube-scheduler",
        ),
        ("components: 1.36.4", "kubernetes.components: should be a mapping"),
        ("allow_unsupported: 3.6.8", "kubernetes.allow_unsupported: should be true or false"),
    ],
)
def test_a_wrong_version_is_reported_with_its_line(chosen: str, said: str) -> None:
    with pytest.raises(BadFile) as caught:
        loads(f"kubernetes:\n  version: '1.36'\n  {chosen}\n", "lab.yml", LabFile)
    assert f"lab.yml:3: {said}" in str(caught.value)


def test_the_lab_that_halab_init_writes_has_the_versions_of_its_release() -> None:
    assert LabFile().kubernetes.written_versions == {}
