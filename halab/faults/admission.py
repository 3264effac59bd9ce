"""Faults of admission: the API servers ask a webhook that refuses connections."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from halab.clock import NotYet, wait_for
from halab.cluster import etcd
from halab.cluster.kube import KUBECTL
from halab.config.kubernetes import API_PORT
from halab.faults import scratch
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry
from halab.faults.site import Site

_EFFECT_SECONDS = 60
# The discard port: no machine of a lab listens on it, so a connection is refused at once.
_CLOSED_PORT = 9
_REFUSED = "failed calling webhook"
_KUBECTL = f"{KUBECTL} --request-timeout=5s"
RESOURCES = Option(
    "the resources that cannot be created, separated by commas",
    r"[a-z]+(/[a-z]+)?(,[a-z]+(/[a-z]+)?)*",
    "configmaps",
)


def _deny(site: Site, entry: Entry) -> str:
    address = str(site.lab.machine(entry.machine).address)
    written = json.dumps(configuration(entry, f"https://{address}:{_CLOSED_PORT}/"))
    site.guests.run(entry.machine, scratch.locked(f"{_KUBECTL} create -f -"), input=written)

    def denied() -> str:
        said = _try_to_create(site, entry)
        servers = [name for name, answer in said.items() if _REFUSED in answer]
        allowing = [name for name, answer in said.items() if answer.startswith("{")]
        if allowing or not servers:
            raise NotYet("; ".join(f"{name}: {answer[:120]}" for name, answer in said.items()))
        return f"refused by the API servers of {', '.join(servers)}: {said[servers[0]]}"

    deadline = site.deadline(_EFFECT_SECONDS)
    return wait_for(f"the webhook of {entry.machine} to be asked", denied, deadline, every_seconds=0.2)


def configuration(entry: Entry, url: str) -> Mapping[str, Any]:
    """The webhook, and a second one for a label that nothing has: it shows whether an API server knows both."""
    asked = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "scope": "*"}
    common = {
        "admissionReviewVersions": ["v1"],
        "clientConfig": {"url": url},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "timeoutSeconds": 1,
    }
    resources = entry.options["resources"].split(",")
    seen = {"objectSelector": {"matchLabels": {"halab": entry.id}}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": _name(entry)},
        "webhooks": [
            {"name": "deny.halab.test", "rules": [{**asked, "resources": resources}], **common},
            {"name": "seen.halab.test", "rules": [{**asked, "resources": ["configmaps"]}], **seen, **common},
        ],
    }


def _try_to_create(site: Site, entry: Entry) -> dict[str, str]:
    """The answer of each API server to a dry run that creates an object with the label."""
    labelled = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _name(entry), "labels": {"halab": entry.id}},
    }
    create = "create --raw '/api/v1/namespaces/default/configmaps?dryRun=All' -f -"
    servers = " ".join(f"{machine.name}={machine.address}" for machine in site.lab.control_planes)
    said = site.guests.run(
        entry.machine,
        f'for server in {servers}; do echo "${{server%=*}} $({_KUBECTL} --server="https://${{server#*=}}:{API_PORT}" '
        f'{create} 2>&1 <<<{shlex.quote(json.dumps(labelled))} | tail -n 1)"; done',
        timeout_seconds=10 * len(site.lab.control_planes),
    ).output
    return {name: answer for name, _, answer in (line.partition(" ") for line in said.splitlines())}


def _allow(site: Site, entry: Entry) -> None:
    key = f"/registry/validatingwebhookconfigurations/{_name(entry)}"
    # its creation may still be running
    site.guests.run(entry.machine, scratch.locked("true"))
    etcd.through_any(site.guests, site.lab, entry.machine, f"del {key}")


def _name(entry: Entry) -> str:
    return f"halab-{entry.id}"


FAULTS = (
    Fault(
        "deny-by-webhook",
        "Require a webhook that refuses connections, so that some resources cannot be created, until it is healed.",
        _deny,
        _allow,
        {"resources": RESOURCES},
    ),
)
