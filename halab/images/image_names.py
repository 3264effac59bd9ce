"""The names under which kubeadm looks for a release's images."""

from __future__ import annotations

from halab.config.component_versions import COREDNS, ETCD, REGISTRY, image
from halab.config.kubernetes import Release

KUBERNETES_IMAGES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


def image_names(release: Release) -> dict[str, str]:
    """Component → the full name of its image."""
    return {
        **{name: image(name, release.kubernetes) for name in KUBERNETES_IMAGES},
        ETCD: image(ETCD, release.etcd),
        COREDNS: image(COREDNS, release.coredns),
        "pause": f"{REGISTRY}/pause:{release.pause}",
    }
