"""Nodes, pods and leaders as reported by the Kubernetes API."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from halab.cluster.api import Api
from halab.config.leader_roles import LEASED_ROLES
from halab.topology.host_names import names_by_hostname
from halab.topology.lab import Lab

# The administrator's kubectl on a control plane.
KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
_CORE = "/api/v1"
LEASES_PATH = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"

# No boot of a node is known.
NO_BOOTS: Mapping[str, datetime] = MappingProxyType({})

# In the order in which people see the leaders.
LEASES = tuple(role.lease for role in reversed(LEASED_ROLES))


def nodes_not_ready(api: Api, expected: set[str]) -> list[str]:
    """One line for every expected node that is missing or not Ready."""
    return missing_nodes(api.get(f"{_CORE}/nodes"), expected)


def missing_nodes(nodes: Mapping[str, Any], expected: set[str]) -> list[str]:
    ready = {}
    for node in nodes["items"]:
        conditions = {entry["type"]: entry["status"] for entry in node["status"].get("conditions", [])}
        ready[node["metadata"]["name"]] = conditions.get("Ready") == "True"
    missing = [f"no node {name}" for name in sorted(expected - ready.keys())]
    return missing + [
        f"node {name} is not Ready" for name, is_ready in sorted(ready.items()) if not is_ready
    ]


def pods_not_running(api: Api, lab: Lab, booted: Mapping[str, datetime] = NO_BOOTS) -> list[str]:
    """One line for every pod of kube-system that is missing or not running.

    `booted` says of nodes, by their host names, when they booted. A pod whose containers the API reports as started
    earlier is missing: the API still has what the kubelet reported before the boot.
    """
    pods = api.get(f"{_CORE}/namespaces/kube-system/pods")
    return missing_pods(pods, expected_pods(lab), booted, has_dns=lab.kubeadm.has_dns)


def missing_pods(
    pods: Mapping[str, Any],
    expected: set[str],
    booted: Mapping[str, datetime] = NO_BOOTS,
    *,
    has_dns: bool = True,
) -> list[str]:
    """`expected` are names of static pods. With `has_dns`, there must be a pod of CoreDNS."""
    missing = []
    names = set()
    for pod in pods["items"]:
        name, status = pod["metadata"]["name"], pod["status"]
        names.add(name)
        waiting = _waiting(status)
        if waiting:
            missing.append(f"pod {name}: {waiting}")
        elif status.get("phase") == "Succeeded":
            continue  # of a Job
        elif status.get("phase") != "Running":
            missing.append(f"pod {name} is {status.get('phase', 'unknown')}")
        elif not all(container.get("ready") for container in status.get("containerStatuses", [])):
            missing.append(f"pod {name} is not ready")
        elif _is_from_before(pod, booted):
            missing.append(f"pod {name} was not reported since its node booted")
    if has_dns and not any(name.startswith("coredns-") for name in names):
        missing.append("no CoreDNS pod")
    return missing + [f"no pod {name}" for name in sorted(expected - names)]


def _waiting(status: Mapping[str, Any]) -> str | None:
    """Why a container waits (CrashLoopBackOff …), or None. A restart in back-off would slow the next scenario."""
    for container in status.get("containerStatuses", []):
        if "waiting" in container.get("state", {}):
            return str(container["state"]["waiting"].get("reason", "waiting"))
    return None


def _is_from_before(pod: Mapping[str, Any], booted: Mapping[str, datetime]) -> bool:
    """Whether the API has the pod's containers as they were before its node booted."""
    boot = booted.get(pod["spec"].get("nodeName", ""))
    if boot is None:
        return False
    states = [container.get("state", {}) for container in pod["status"].get("containerStatuses", [])]
    return any(
        datetime.fromisoformat(state["running"]["startedAt"]) < boot
        for state in states
        if "running" in state
    )


def leaders(api: Api, lab: Lab) -> dict[str, str | None]:
    """Lease → the machine that holds it; None if no machine holds it."""
    return {
        lease: holder and machine_of(holder, names_by_hostname(lab))
        for lease, holder in holders(api.get(LEASES_PATH)["items"]).items()
    }


def holders(leases: list[Mapping[str, Any]]) -> dict[str, str | None]:
    """Lease → the identity of its holder, `HOSTNAME_UUID` (new for every process); None if it was released."""
    identities: dict[str, str | None] = dict.fromkeys(LEASES)
    for lease in leases:
        name = lease["metadata"]["name"]
        if name in identities:
            # a released lease has an empty string
            identities[name] = lease["spec"].get("holderIdentity") or None
    return identities


def machine_of(holder: str, names: Mapping[str, str]) -> str:
    """The name of the machine of a holder; its host name if it is no machine of the lab."""
    hostname = holder.split("_", 1)[0]
    return names.get(hostname, hostname)


def expected_pods(lab: Lab) -> set[str]:
    """The static pods of nodes. The API does not know the static pods of machines that are no nodes."""
    return {
        f"{component}-{machine.hostname}"
        for machine in lab.control_planes
        for component in lab.manifests(machine)
    }
