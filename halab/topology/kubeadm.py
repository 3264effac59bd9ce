"""The documents and patches that kubeadm gets on a machine: halab's own, with the user's merged in.

Pure. A document without settings of the user is the text of its template, with the comments.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from halab import templates
from halab.config import yaml_source, yaml_text
from halab.config.component_versions import ETCD
from halab.config.kubernetes import API_PORT
from halab.config.lab import ProviderKind
from halab.templates import Rendered
from halab.topology.lab import (
    ETCD_PEER_PORT,
    ETCD_PORT,
    KUBEADM_LIVENESS_FAILURES,
    Lab,
    Machine,
)

# The user's setting for each kind of document.
SETTINGS = {
    "ClusterConfiguration": "cluster",
    "InitConfiguration": "init",
    "JoinConfiguration": "join",
    "KubeletConfiguration": "kubelet",
    "KubeProxyConfiguration": "kube_proxy",
}
# Where kubeadm finds the patches on a machine.
PATCH_FOLDER = "/etc/kubernetes/halab-patches"

_SEPARATOR = "---\n"
_FLAGS = ("extraArgs", "kubeletExtraArgs")
_NAMES = "certSANs"
# Since 1.32, the kubelet probes the readiness of these two every second (kubernetes#126945). Each probe is a TLS
# handshake, which takes up to half a second on an emulated processor.
_OFTEN_PROBED = ("kube-apiserver", "kube-scheduler")
# How long kubeadm lets a static pod start, by default.
_STARTUP_SECONDS = 240
# kubeadm applies patches in the order of the files' names, and `!` is before all characters of usual names: the user's
# patches are applied after halab's.
_OWN_PATCH = "{pod}!halab.yaml"


def init_documents(lab: Lab, patches: Mapping[str, Rendered]) -> Rendered:
    """The documents of `kubeadm init` on the first control plane."""
    return _documents("provision/kubeadm-init.yaml.j2", lab, lab.control_planes[0], patches)


def etcd_documents(lab: Lab, machine: Machine, patches: Mapping[str, Rendered]) -> Rendered:
    """The documents of the phases that make a member on a machine of etcd's own. The script replaces @state@.

    The user's settings of the cluster hold here too, such as how long certificates are valid. Those of `init` are for
    the first control plane.
    """
    return _documents("provision/kubeadm-etcd.yaml.j2", lab, machine, patches, but="init")


def join_document(lab: Lab, machine: Machine, patches: Mapping[str, Rendered]) -> Rendered:
    """The document of `kubeadm join`. The script that has it replaces @token@, @hash@ and @key@."""
    return _documents("provision/kubeadm-join.yaml.j2", lab, machine, patches)


def patch_files(lab: Lab, machine: Machine, written: Mapping[str, str]) -> dict[str, Rendered]:
    """File name → content: halab's own patches of a machine's static pods, and the user's.

    On machines of its own, etcd has the patches of etcd, and the nodes have all others.
    """
    own, is_slow = {}, lab.liveness_failures > KUBEADM_LIVENESS_FAILURES
    # a question of the kubelet costs an emulated processor too much to ask every second
    limit = lab.kubeadm.startup_seconds(_STARTUP_SECONDS * lab.patience)
    startup_seconds = 0 if lab.is_emulated else math.ceil(limit)
    for pod in lab.static_pods(machine):
        # the tag of etcd is in kubeadm's documents
        is_own = pod in lab.own_versions or pod in lab.sources
        image = lab.image(pod) if is_own and pod != ETCD else ""
        if is_slow or image or startup_seconds:
            own[_OWN_PATCH.format(pod=pod)] = templates.text(
                "provision/static-pod-patch.yaml.j2",
                pod=pod,
                image=image,
                liveness_failures=lab.liveness_failures if is_slow else 0,
                has_rare_readiness=lab.is_emulated and pod in _OFTEN_PROBED,
                startup_seconds=startup_seconds,
            )
    return {
        name: Rendered(text if text.endswith("\n") else f"{text}\n")
        for name, text in {**own, **written}.items()
        if not lab.has_external_etcd or name.startswith("etcd") is (machine in lab.members)
    }


def merge(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7396): mappings are merged, null removes, all else replaces.

    Two kinds of lists are merged too, because halab has entries of its own in them: flags by their names, and the names
    in a certificate.
    """
    merged = dict(document)
    for name, value in changes.items():
        own = merged.get(name)
        if value is None:
            merged.pop(name, None)
        elif name in _FLAGS:
            merged[name] = _merge_flags(own or [], value)
        elif name == _NAMES:
            merged[name] = list(dict.fromkeys([*(own or []), *value]))
        elif isinstance(value, dict):
            merged[name] = merge(own if isinstance(own, dict) else {}, value)
        else:
            merged[name] = value
    return merged


def _merge_flags(own: Sequence[Mapping[str, Any]], written: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The user's flags after those of halab that have other names. A flag can be there twice; null removes it."""
    names = {flag["name"] for flag in written}
    return [flag for flag in own if flag["name"] not in names] + [
        flag for flag in written if flag["value"] is not None
    ]


def _documents(
    template: str, lab: Lab, machine: Machine, patches: Mapping[str, Rendered], *, but: str = ""
) -> Rendered:
    """The documents of a template, with the user's settings except those named `but`."""
    text = templates.text(
        template,
        lab=lab,
        machine=machine,
        port=API_PORT,
        etcd_port=ETCD_PORT,
        peer_port=ETCD_PEER_PORT,
        in_container=lab.provider is ProviderKind.DOCKER,
        control_plane=machine in lab.control_planes,
        patch_folder=PATCH_FOLDER if patches else None,
    )
    written = {name: part for name, part in lab.kubeadm.documents.items() if name != but}
    parts = []
    for part in text.split(_SEPARATOR):
        document = yaml_source.parse(part, template).value
        changes = written.get(SETTINGS[document["kind"]])
        parts.append(yaml_text.dump(merge(document, changes)) if changes else part)
    return Rendered(_SEPARATOR.join(parts))
