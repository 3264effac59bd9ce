"""The state of the API servers as the load balancer sees it."""

from __future__ import annotations

import csv
import io
import shlex

from halab.config.lab import Balancer
from halab.machines.guests import Guests
from halab.topology.lab import API_PORT, STATS_PORT, Lab

_SHOW_STAT = "echo 'show stat' | socat -t 2 - unix-connect:/run/haproxy/admin.sock"


def backends(guests: Guests, lab: Lab) -> dict[str, str]:
    """Control plane → `up`, or the reason why it is not up.

    HAProxy reports its own view. A load balancer that does not show the state of its backends must run, and the request
    for /readyz is sent to each backend from lb1.
    """
    kind = lab.load_balancer.kind
    if kind is Balancer.HAPROXY:
        return parse_haproxy(guests.run(lab.balancer.name, _SHOW_STAT, timeout_seconds=8).output)
    requests = " ".join(
        f"printf '%s ' {machine.name}; curl -sk -o /dev/null -m 2 -w '%{{http_code}}\\n' "
        f"{shlex.quote(f'https://{machine.address}:{API_PORT}/readyz')} || true;"
        for machine in lab.control_planes
    )
    running = f"systemctl is-active -q {kind}.service || {{ echo '{kind} is not running' >&2; exit 1; }};"
    return parse_codes(guests.run(lab.balancer.name, running + requests, timeout_seconds=15).output)


def statistics_url(lab: Lab) -> str:
    """The read-only page of HAProxy's statistics over HTTP, in the format of `parse_haproxy`."""
    return f"http://{lab.balancer.address}:{STATS_PORT}/;csv"


def parse_haproxy(output: str) -> dict[str, str]:
    """Parse `show stat` of HAProxy's admin socket, or its statistics as CSV over HTTP (HAProxy 2.6 and later)."""
    rows = csv.DictReader(io.StringIO(output.lstrip("# ")))
    return {
        row["svname"]: "up" if row["status"].startswith("UP") else _reason(row)
        for row in rows
        if row["pxname"] == "control-planes" and row["svname"] != "BACKEND"
    }


def parse_codes(output: str) -> dict[str, str]:
    """Parse lines of `MACHINE HTTP-CODE`."""
    pairs = [line.split() for line in output.splitlines() if line.strip()]
    return {
        pair[0]: "up" if pair[-1] == "200" else f"not ready (/readyz answers {pair[-1]})" for pair in pairs
    }


def _reason(row: dict[str, str]) -> str:
    return f"{row['status'].lower()} ({row.get('check_desc') or row.get('check_status') or 'no check yet'})"
