"""The networks that this host has already, and their owners: a lab's network must not overlap with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network

from halab.machines.host.routes import Route
from halab.machines.work import Work


class NetworkKind(StrEnum):
    ROUTE = "route"
    DOCKER = "docker"
    LIBVIRT = "libvirt"


@dataclass(frozen=True)
class Subnet:
    """A network of docker or libvirt. `device` is its interface here; only networks of labs have `lab` and `work`."""

    kind: NetworkKind
    name: str
    networks: tuple[IPv4Network, ...]
    device: str
    active: bool = True
    lab: str = ""
    work: str = ""
    autostart: bool = True
    forward: str = ""

    def is_of(self, lab: str, work: Work) -> bool:
        return (self.lab, self.work) == (lab, str(work))


@dataclass(frozen=True)
class Neighbour:
    """One network in use. `name` is a network's name, or the device of a route. `own` networks are the lab's own."""

    network: IPv4Network
    kind: NetworkKind
    name: str
    own: bool = False
    active: bool = True


def neighbours(
    routes: Iterable[Route], subnets: Iterable[Subnet], *, lab: str, work: Work
) -> list[Neighbour]:
    """The networks of docker or libvirt, then the other routes."""
    known = list(subnets)
    of_subnets = [
        Neighbour(network, subnet.kind, subnet.name, subnet.is_of(lab, work), subnet.active)
        for subnet in known
        for network in subnet.networks
    ]
    # the route of a known subnet is left out; another route through the same device is not
    explained = {(network, subnet.device) for subnet in known for network in subnet.networks}
    others = {(route.network, route.device) for route in routes} - explained
    of_routes = [Neighbour(network, NetworkKind.ROUTE, device) for network, device in sorted(others)]
    return of_subnets + of_routes
