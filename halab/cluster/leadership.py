"""Who acts as the leader of scheduler and controller-manager: their own word, which a lease does not tell.

Who gets no chance to renew its lease, because it was frozen or had no network, tries for a whole renew deadline (10 s)
after that before it gives up, leads on meanwhile beside the new holder, and then ends itself. Until it is back, its
machine lacks that component.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from halab.config.leader_roles import LEASED_ROLES
from halab.machines.guests import Guests, on_all
from halab.topology.lab import Lab

_PORTS = {role.lease: role.metrics_port for role in reversed(LEASED_ROLES)}
_SECONDS = 5
# An emulated processor takes half a second for a TLS handshake, and longer for all that the page says.
_EMULATED_SECONDS = 20
# Only an administrator may see them (kubeadm 1.37 lets apiserver-kubelet-client see no more than nodes).
_DATA = "data() { awk -v field=\"$1:\" '$1 == field { print $2 }' /etc/kubernetes/admin.conf | base64 -d; }"
_METRIC = re.compile(r'^leader_election_master_status\{name="([^"]+)"\} ([01])$', re.MULTILINE)


def acting(guests: Guests, lab: Lab) -> dict[str, dict[str, bool]]:
    """Control plane → component → whether it acts as the leader; without components that did not answer.

    Raises a HalabError for a machine that does not answer.
    """
    limit = _EMULATED_SECONDS if lab.is_emulated else _SECONDS
    ask = f"{_DATA}; " + "; ".join(_ask(port, limit) for port in _PORTS.values())
    found = on_all(
        [machine.name for machine in lab.control_planes],
        lambda name: guests.run(name, ask, timeout_seconds=len(_PORTS) * limit).output,
    )
    return {machine: said(page) for machine, page in found.items()}


def _ask(port: int, limit: int) -> str:
    # it is asked on its own machine, and its certificate is of its own making: there is none to compare it with
    return (
        f"curl -sk --max-time {limit} --cert <(data client-certificate-data) --key <(data client-key-data) "
        f"https://127.0.0.1:{port}/metrics | awk '/^leader_election_master_status/'"
    )


def said(page: str) -> dict[str, bool]:
    """Component → whether it acts as the leader, of a page of metrics (Prometheus' text format)."""
    return {name: value == "1" for name, value in _METRIC.findall(page)}


def missing_leaders(
    holders: Mapping[str, str | None], answers: Mapping[str, Mapping[str, bool]]
) -> list[str]:
    """What is missing for the holder of each lease, and nobody else, to lead; a line each.

    A process that has ended holds its lease until that runs out, on a machine that may be gone as well.
    """
    missing = []
    for lease in _PORTS:
        holder = holders[lease]
        for machine, components in answers.items():
            leads = components.get(lease)
            if leads is None:
                missing.append(f"{lease} on {machine} does not say whether it leads")
            elif leads and machine != holder:
                missing.append(f"{lease} on {machine} still leads, though the lease went to {holder}")
        at_holder = answers.get(holder or "")
        if at_holder is None or at_holder.get(lease) is False:
            missing.append(f"{lease} on {holder} has the lease, but does not lead")
    return missing
