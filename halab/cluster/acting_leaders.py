"""Which scheduler and controller-manager act as leader, according to their own metrics. A lease does not show that.

A component that could not renew its lease (it was frozen or had no network) retries for a whole renew deadline (10 s)
and keeps acting as leader beside the new holder. Then it exits, and its machine lacks the component until it restarts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from halab.config.leader_roles import LEASED_ROLES
from halab.machines.guests import Guests, on_all
from halab.topology.lab import Lab

_PORTS = {role.lease: role.metrics_port for role in reversed(LEASED_ROLES)}
_SECONDS = 5
# An emulated processor takes half a second for a TLS handshake, and longer for the whole page of metrics.
_EMULATED_SECONDS = 20
# Only an administrator may read the metrics (with kubeadm 1.37, apiserver-kubelet-client may read only nodes).
_DATA = "data() { awk -v field=\"$1:\" '$1 == field { print $2 }' /etc/kubernetes/admin.conf | base64 -d; }"
_METRIC = re.compile(r'^leader_election_master_status\{name="([^"]+)"\} ([01])$', re.MULTILINE)


def acting(guests: Guests, lab: Lab) -> dict[str, dict[str, bool]]:
    """Control plane → component → True if it acts as the leader. Components that do not answer are left out.

    Raises a HalabError if a machine does not answer.
    """
    limit = _EMULATED_SECONDS if lab.is_emulated else _SECONDS
    command = f"{_DATA}; " + "; ".join(_metrics_command(port, limit) for port in _PORTS.values())
    pages = on_all(
        [machine.name for machine in lab.control_planes],
        lambda name: guests.run(name, command, timeout_seconds=len(_PORTS) * limit).output,
    )
    return {machine: parse_metrics(page) for machine, page in pages.items()}


def _metrics_command(port: int, limit: int) -> str:
    # -k: the component has a self-signed certificate, and the request does not leave its machine
    return (
        f"curl -sk --max-time {limit} --cert <(data client-certificate-data) --key <(data client-key-data) "
        f"https://127.0.0.1:{port}/metrics | awk '/^leader_election_master_status/'"
    )


def parse_metrics(page: str) -> dict[str, bool]:
    """Component → True if it acts as the leader, from a page of metrics (Prometheus' text format)."""
    return {name: value == "1" for name, value in _METRIC.findall(page)}


def missing_leaders(
    holders: Mapping[str, str | None], answers: Mapping[str, Mapping[str, bool]]
) -> list[str]:
    """One line for every lease whose holder is not the only acting leader.

    A process that has ended holds its lease until the lease expires, even if its machine is gone.
    """
    missing = []
    for lease in _PORTS:
        holder = holders[lease]
        for machine, components in answers.items():
            leads = components.get(lease)
            if leads is None:
                missing.append(f"{lease} on {machine} does not report whether it leads")
            elif leads and machine != holder:
                missing.append(
                    f"{lease} on {machine} still acts as leader, although {holder} holds the lease"
                )
        at_holder = answers.get(holder or "")
        if at_holder is None or at_holder.get(lease) is False:
            missing.append(f"{lease} on {holder} holds the lease but does not act as leader")
    return missing
