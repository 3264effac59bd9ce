"""The names under which kubeadm looks for a release's images."""

from __future__ import annotations

from halab.config.kubernetes import Release

REGISTRY = "registry.k8s.io"
KUBERNETES_IMAGES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")


def image_names(release: Release) -> dict[str, str]:
    """Component → the full name of its image."""
    return {
        **{name: f"{REGISTRY}/{name}:v{release.kubernetes}" for name in KUBERNETES_IMAGES},
        "etcd": f"{REGISTRY}/etcd:{release.etcd_tag}",
        "coredns": f"{REGISTRY}/coredns/coredns:{release.coredns_tag}",
        "pause": f"{REGISTRY}/pause:{release.pause}",
    }
