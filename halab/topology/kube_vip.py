"""kube-vip's static pod on a control plane."""

from __future__ import annotations

from typing import Any

from halab import templates
from halab.config.kubernetes import API_PORT
from halab.config.load_balancer import Balancer
from halab.templates import Rendered
from halab.topology.keepalived import NIC
from halab.topology.lab import Lab

# The name of its process and of its manifest.
NAME = "kube-vip"
FOLDER = "/etc/kubernetes/manifests"
PATH = f"{FOLDER}/{NAME}.yaml"
# The lease of the holder of the address, in kube-system.
LEASE = "plndr-cp-lock"
_ADMIN = "/etc/kubernetes/admin.conf"
# Since Kubernetes 1.29, admin.conf has its permissions only after kubeadm has bound its group to a role, through the
# API. kube-vip must hold the address before that: https://github.com/kube-vip/kube-vip/issues/684
_SUPER_ADMIN = "/etc/kubernetes/super-admin.conf"


def runs_in(lab: Lab) -> bool:
    """Whether the control planes of a lab run kube-vip."""
    return lab.load_balancer.kind is Balancer.KUBE_VIP


def manifest(lab: Lab) -> Rendered:
    """The manifest with which it runs on every control plane. @nic@ is the NIC on the lab's network."""
    return _manifest(lab, _ADMIN)


def first_manifest(lab: Lab) -> Rendered:
    """The manifest on the first control plane while `kubeadm init` runs."""
    return _manifest(lab, _SUPER_ADMIN)


def script_values(lab: Lab) -> dict[str, Any]:
    """What the scripts of a control plane need to write the manifest."""
    return {
        "folder": FOLDER,
        "path": PATH,
        "nic": NIC,
        "lease": LEASE,
        "manifest": manifest(lab),
        "first_manifest": first_manifest(lab),
    }


def _manifest(lab: Lab, kubeconfig: str) -> Rendered:
    settings = lab.load_balancer.kube_vip
    return templates.text(
        "provision/kube-vip.yaml.j2",
        lab=lab,
        settings=settings,
        times=settings.times(is_emulated=lab.is_emulated),
        kubeconfig=kubeconfig,
        lease=LEASE,
        nic=NIC,
        port=API_PORT,
    )
