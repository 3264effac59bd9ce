"""The API server that a node has chosen: the one to which its kubelet is connected.

A kubelet is connected to an API server itself, or to the load balancer on its node, which knows the server behind each
connection: HAProxy shows its sessions, and NGINX writes a log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

from halab.config.kubernetes import API_PORT
from halab.config.load_balancer import NODE_PORT
from halab.errors import HalabError, LabProblem
from halab.machines.guests import Guests, on_all
from halab.topology.balancer import CONNECTION_LOG
from halab.topology.lab import Lab

# Prints a word for each connection of the kubelet: the address of an API server, or HAProxy's server and the age of the
# connection, such as cp1=9s, cp1=1m9s or cp1=2h5m. Behind NGINX, it prints the address of the newest connection alone.
# In NGINX's log, the lines of a client and of the server that it got have the same number (`*7`). They stay when both
# are gone, and another client may get the same port: the last line counts.
COMMAND = (
    "{ "
    f"ss -Htnp state established '( dport = :{NODE_PORT} or dport = :{API_PORT} )'; "
    "if [ -S /run/haproxy/admin.sock ]; then "
    "echo 'show sess' | socat -t 1 - unix-connect:/run/haproxy/admin.sock; fi; "
    f"if [ -s /run/nginx.pid ]; then cat {CONNECTION_LOG}; fi; "
    "} 2>/dev/null | awk '"
    f'/"kubelet"/ {{ if ($4 ~ /:{API_PORT}$/) print $4; else mine["src=" $3] = 1 }} '
    '$3 in mine { server = age = ""; for (i = 4; i <= NF; i++) { '
    "if ($i ~ /^srv=/) server = substr($i, 5); if ($i ~ /^age=/) age = substr($i, 5) } "
    'print server "=" age } '
    '$8 == "connected" && $6 == "client" { if ("src=" $7 in mine) newest = $5; server_of[$5] = "" } '
    '$8 == "connected" && $6 == "proxy" { server_of[$5] = $10 } '
    "END { if (newest) print server_of[newest] }"
    "'"
)
_UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}


def parse(output: str, addresses: Mapping[str, str]) -> set[str]:
    """The control planes that `COMMAND` names. `addresses` has the addresses of control planes, by name.

    Of several connections, the newest counts: for 90 s after a join, a kubelet also has the idle one that it used
    before it had a certificate.
    """
    names = {f"{address}:{API_PORT}": name for name, address in addresses.items()}
    connections = [
        (server, _seconds(age)) for server, _, age in (word.partition("=") for word in output.split())
    ]
    youngest = min((age for _, age in connections), default=0)
    return {names.get(server, server) for server, age in connections if age == youngest} & addresses.keys()


def _seconds(age: str) -> int:
    """69 for `1m9s`; 0 for a connection whose age is not known."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([dhms])", age))


def all_of(guests: Guests, lab: Lab) -> dict[str, str]:
    """Node → the control plane that it has chosen; a node without one answer is left out. Empty in most labs."""

    def chosen(node: str) -> str | None:
        with suppress(HalabError):
            return of(guests, lab, node)
        return None

    nodes = [machine.name for machine in lab.nodes] if lab.load_balancer.kind.nodes_choose else []
    return {node: server for node, server in on_all(nodes, chosen).items() if server}


def of(guests: Guests, lab: Lab, node: str) -> str:
    """The control plane that a node has chosen. Raises LabProblem if there is none, or more than one."""
    addresses = {machine.name: str(machine.address) for machine in lab.control_planes}
    found = sorted(parse(guests.run(node, COMMAND).output, addresses))
    if len(found) != 1:
        raise LabProblem(
            f"the kubelet of {node} is connected to {' and '.join(found) or 'no API server'}",
            hint="one API server is needed: try again in a minute, or name a machine",
        )
    return found[0]
