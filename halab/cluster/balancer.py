"""The state of the API servers as the load balancer sees it."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Collection, Mapping
from typing import NamedTuple

from halab.config.kubernetes import API_PORT
from halab.errors import HalabError
from halab.machines.guests import Guests
from halab.topology import balancer
from halab.topology.lab import Lab

# Only a configuration of the user's own has its statistics at this address. halab knows no socket there.
_SHOW_STAT = (
    "curl -sf -m 2 'http://127.0.0.1:{port}/;csv' || "
    "echo 'show stat' | socat -t 2 - unix-connect:/run/haproxy/admin.sock"
)
UP = "up"
# HAProxy's word for a server that it does not check: it is used, whatever happens to it.
UNCHECKED = "no check"
# What halab's own configuration calls the API servers.
_PROXY = "control-planes"


class BackendStates(NamedTuple):
    """Control plane → `up`, or the reason why it is not up. `unchecked` are those that halab asked itself."""

    states: dict[str, str]
    unchecked: tuple[str, ...] = ()


def backends(guests: Guests, lab: Lab, name: str) -> BackendStates:
    """The states of the API servers behind a load balancer, by the name of its machine.

    HAProxy reports its own view. If the load balancer does not know a state, it must run, and the request for /readyz
    is sent to that backend from its machine.
    """
    states = _reported(guests, lab, name)
    silent = [
        machine.name
        for machine in lab.control_planes
        if states.get(machine.name, _if_missing(lab)) == UNCHECKED
    ]
    return BackendStates(states | (asked(guests, lab, name, silent) if silent else {}), tuple(silent))


def reports_all(guests: Guests, lab: Lab) -> bool:
    """True if the load balancer reports the state of every API server, or if it does not answer now.

    If there are two, it asks the first: both have the same configuration. kube-vip reports none, and load balancers
    on every node may differ.
    """
    if not lab.balancers:
        return False
    try:
        states = _reported(guests, lab, lab.balancers[0].name)
    except HalabError:
        return True
    return all(states.get(machine.name, UNCHECKED) != UNCHECKED for machine in lab.control_planes)


def statistics_url(lab: Lab) -> str:
    """The read-only page of HAProxy's statistics over HTTP, in the format of `parse_haproxy`.

    If there are two load balancers, the one that clients reach answers.
    """
    return f"http://{lab.api_address}:{balancer.statistics_port(lab)}/;csv"


def parse_haproxy(output: str, addresses: Mapping[str, str]) -> dict[str, str]:
    """Parse `show stat` of HAProxy's admin socket, or its statistics as CSV over HTTP (HAProxy 2.6 and later).

    `addresses` are the addresses of the control planes: a configuration of the user's own may give them other names. A
    server that is down in one of several proxies counts as down.
    """
    machines = {f"{address}:{API_PORT}": name for name, address in addresses.items()}
    states: dict[str, str] = {}
    for row in csv.DictReader(io.StringIO(output.lstrip("# "))):
        machine = machines.get(row.get("addr") or "")
        if machine is None and row["pxname"] == _PROXY and row["svname"] in addresses:
            machine = row["svname"]
        if machine is not None and states.get(machine, UNCHECKED) in (UP, UNCHECKED):
            state = _state(row)
            states[machine] = states.get(machine, state) if state == UNCHECKED else state
    return states


def parse_codes(output: str) -> dict[str, str]:
    """Parse lines of `MACHINE HTTP-CODE`."""
    pairs = [line.split() for line in output.splitlines() if line.strip()]
    return {name: UP if code == "200" else f"not ready ({answer(code)})" for name, *_, code in pairs}


def answer(code: str, request: str = "/readyz") -> str:
    """What a request was answered, in words. curl prints the code 000 if there was no answer."""
    return f"no answer to {request}" if code == "000" else f"{request} answers {code}"


def _reported(guests: Guests, lab: Lab, name: str) -> dict[str, str]:
    """What the load balancer reports; nothing from one that shows no states."""
    if not lab.load_balancer.kind.checks_backends:
        return {}
    command = _SHOW_STAT.format(port=balancer.statistics_port(lab))
    addresses = {machine.name: str(machine.address) for machine in lab.control_planes}
    return parse_haproxy(guests.run(name, command, timeout_seconds=8).output, addresses)


def _if_missing(lab: Lab) -> str:
    """The state of an API server that is not in the statistics: halab's own configuration has all of them."""
    return UNCHECKED if lab.balancer_file or not lab.load_balancer.kind.checks_backends else "missing"


def asked(guests: Guests, lab: Lab, name: str, silent: Collection[str]) -> dict[str, str]:
    """Control plane → what its API server answers to the machine of the load balancer, or of the DNS server."""
    service = lab.load_balancer.kind.service
    requests = " ".join(
        f"printf '%s ' {machine.name}; curl -sk -o /dev/null -m 2 -w '%{{http_code}}\\n' "
        f"{shlex.quote(f'https://{machine.address}:{API_PORT}/readyz')} || true;"
        for machine in lab.control_planes
        if machine.name in silent
    )
    running = (
        f"systemctl is-active -q {service}.service || {{ echo '{service} is not running' >&2; exit 1; }};"
    )
    return parse_codes(guests.run(name, running + requests, timeout_seconds=15).output)


def _state(row: Mapping[str, str]) -> str:
    if row["status"] == UNCHECKED:
        return UNCHECKED
    return UP if row["status"].startswith("UP") else _reason(row)


def _reason(row: Mapping[str, str]) -> str:
    return f"{row['status'].lower()} ({row.get('check_desc') or row.get('check_status') or 'no check yet'})"
