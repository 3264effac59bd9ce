"""The IPv4 routes of this host or another one, with their devices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Network

from halab import packages, process
from halab.config.remote import Remote
from halab.machines.host import tunnel


@dataclass(frozen=True)
class Route:
    """`device` is empty if the kernel names none."""

    network: IPv4Network
    device: str = ""


_LIST = ("-json", "-4", "route", "show", "table", "all")


def routes() -> list[Route]:
    """The routes of this host, without default routes."""
    ip = process.find("ip", hint=packages.install("iproute2"))
    return parse(process.run([ip, *_LIST], timeout_seconds=10).output)


def routes_of(remote: Remote) -> list[Route]:
    """The routes of another host; empty if it has no `ip`. Raises HostProblem if it cannot be reached."""
    done = tunnel.ask(remote, f"PATH=$PATH:/usr/sbin:/sbin ip {' '.join(_LIST)}")
    try:
        return parse(done.output) if done.code == 0 else []
    except (ValueError, LookupError, TypeError):
        return []


def parse(output: str) -> list[Route]:
    """Parse `ip -json -4 route`. A VPN may have a /1 route for each half of the internet: that is a default, too."""
    unicast = [
        Route(IPv4Network(route["dst"], strict=False), _device(route))
        for route in json.loads(output or "[]")
        if route.get("type", "unicast") == "unicast" and route["dst"] != "default"
    ]
    return [route for route in unicast if route.network.prefixlen > 1]


def _device(route: dict[str, object]) -> str:
    hops = route.get("nexthops")
    first = hops[0] if isinstance(hops, list) and hops else route
    return str(first.get("dev", ""))
