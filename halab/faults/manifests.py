"""Faults of static pods: what the kubelet finds in its folder of manifests."""

from __future__ import annotations

from halab.clock import NotYet, wait_for
from halab.faults import processes
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

MANIFESTS = "/etc/kubernetes/manifests"
# Beside, and never inside: kubelet reads every file in there that has no leading dot (kubernetes#129364).
HELD = "/etc/kubernetes/halab-held"
_EFFECT_SECONDS = 60
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
POD = Option("a static pod of kubeadm", "|".join(STATIC_PODS), "etcd")


def hold(site: Site, machine: str, pod: str) -> str:
    """Take a static pod's manifest away and wait until its process has ended."""
    manifest, held = f"{MANIFESTS}/{pod}.yaml", f"{HELD}/{pod}.yaml"
    site.guests.run(
        machine,
        f"mkdir -p {HELD} && if [ -e {manifest} ]; then mv -f {manifest} {held}; fi && test -e {held}",
    )

    def stopped() -> str:
        if processes.started(site.guests, machine, pod) is not None:
            raise NotYet(f"{pod} still runs")
        return f"{pod} is stopped"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"{pod} on {machine} to stop", stopped, deadline, every_seconds=0.2)


def let_go(site: Site, machine: str, pod: str) -> None:
    """Put the manifest back; nothing is held where it was only about to be."""
    manifest, held = f"{MANIFESTS}/{pod}.yaml", f"{HELD}/{pod}.yaml"
    site.guests.run(
        machine, f"if [ -e {held} ]; then mv -f {held} {manifest}; fi; rmdir {HELD} 2>/dev/null || true"
    )


def _hold(site: Site, entry: Entry) -> str:
    return hold(site, entry.machine, entry.options["pod"])


def _let_go(site: Site, entry: Entry) -> None:
    let_go(site, entry.machine, entry.options["pod"])


FAULTS = (
    Fault(
        "hold-static-pod",
        "Take a static pod's manifest away, so that the kubelet stops the pod until it is healed.",
        _hold,
        _let_go,
        {"pod": POD},
    ),
)
