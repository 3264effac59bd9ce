"""The taint of control planes: kubeadm sets it where the lab has workers, so that pods run there."""

from __future__ import annotations

from halab.cluster.kube import KUBECTL
from halab.machines.guests import Guests
from halab.topology.lab import Lab

_KEY = "node-role.kubernetes.io/control-plane"
_SECONDS = 60


def are_own(lab: Lab) -> bool:
    """Whether the user's settings for kubeadm have taints: these stay as they are."""
    documents = (lab.kubeadm.documents.get(name) or {} for name in ("init", "join"))
    return any("taints" in (document.get("nodeRegistration") or {}) for document in documents)


def apply(guests: Guests, lab: Lab, through: str) -> None:
    """Set the taint on all control planes of a lab with workers; without workers, remove it.

    kubectl runs on the control plane `through`.
    """
    names = " ".join(machine.hostname for machine in lab.control_planes)
    if lab.workers:
        command = f"{KUBECTL} taint node {names} {_KEY}:NoSchedule --overwrite"
    else:
        keys = f"{KUBECTL} get node $node -o jsonpath='{{.spec.taints[*].key}}'"
        command = (
            f"for node in {names}; do "
            f'case " $({keys}) " in *" {_KEY} "*) {KUBECTL} taint node $node {_KEY}:NoSchedule- || exit 1;; esac; done'
        )
    guests.run(through, command, timeout_seconds=_SECONDS * lab.patience)
