"""kubeadm's own record of the cluster, the ConfigMap kubeadm-config: an upgrade reads from it what to run."""

from __future__ import annotations

import json
from typing import Any

from halab.cluster.kube import KUBECTL
from halab.config import yaml_source, yaml_text
from halab.config.component_versions import COREDNS, ETCD
from halab.errors import LabProblem
from halab.machines.guests import Guests
from halab.topology.lab import Lab

_DOCUMENT = "ClusterConfiguration"
_GET = f"{KUBECTL} -n kube-system get configmap kubeadm-config -o json"
_REPLACE = f"{KUBECTL} replace -f -"
_SECONDS = 30


def set_images(guests: Guests, machine: str, lab: Lab) -> None:
    """Let the next upgrade run etcd and CoreDNS in the versions of a lab.

    `kubeadm upgrade` keeps the tags that `kubeadm init` was given.
    """
    output = guests.run(machine, _GET, timeout_seconds=_SECONDS).output
    try:
        record: dict[str, Any] = json.loads(output)
        document = yaml_source.parse(record["data"][_DOCUMENT], "kubeadm-config").value
        parts = {lab.tag(ETCD): document["etcd"]["local"], lab.tag(COREDNS): document["dns"]}
        if all(part.get("imageTag") == tag for tag, part in parts.items()):
            return
        for tag, part in parts.items():
            part["imageTag"] = tag
    except (ValueError, LookupError, TypeError) as error:
        raise LabProblem(f"kubeadm-config has no valid {_DOCUMENT}: {output[:200]!r}") from error
    record["data"][_DOCUMENT] = yaml_text.dump(document)
    guests.run(machine, _REPLACE, input=json.dumps(record), timeout_seconds=_SECONDS)
