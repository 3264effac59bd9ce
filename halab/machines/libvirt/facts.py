"""What a libvirt says of itself: its version, its storage pools, its networks. Nothing is changed.

The questions are put to a connection that `Hypervisor` holds, so that the library has one home.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from halab.machines.host.neighbours import NetworkKind, Subnet
from halab.topology import domain


@dataclass(frozen=True)
class Pool:
    """A place for disks; `available_bytes` is None while it is not active."""

    name: str
    active: bool
    autostart: bool
    path: Path
    available_bytes: int | None


@dataclass(frozen=True)
class LibvirtFacts:
    """`driver` is what runs the machines, in libvirt's word: QEMU, or else none that a lab can use."""

    version: str
    driver: str
    pools: tuple[Pool, ...]
    networks: tuple[Subnet, ...]

    def pool(self, name: str) -> Pool | None:
        return next((each for each in self.pools if each.name == name), None)


def read(connection: Any) -> LibvirtFacts:
    number = connection.getLibVersion()
    return LibvirtFacts(
        version=f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}",
        driver=str(connection.getType()),
        pools=tuple(sorted(map(_pool, connection.listAllStoragePools()), key=lambda each: each.name)),
        networks=tuple(sorted(map(_subnet, connection.listAllNetworks()), key=lambda each: each.name)),
    )


def subnets_in(tree: ElementTree.Element) -> list[IPv4Network]:
    """The IPv4 networks in libvirt's description of a network."""
    found = []
    for each in tree.findall("./ip"):
        written = each.get("address", "")
        mask = each.get("netmask") or each.get("prefix")
        if each.get("family", "ipv4") == "ipv4" and written and mask:
            found.append(IPv4Network(f"{written}/{mask}", strict=False))
    return found


def _pool(pool: Any) -> Pool:
    active = bool(pool.isActive())
    path = ElementTree.fromstring(pool.XMLDesc()).findtext("./target/path") or ""
    # state, capacity, allocation, available
    available = int(pool.info()[3]) if active else None
    return Pool(pool.name(), active, bool(pool.autostart()), Path(path), available)


def _subnet(network: Any) -> Subnet:
    tree = ElementTree.fromstring(network.XMLDesc())
    bridge, forward = tree.find("./bridge"), tree.find("./forward")
    label = tree.find(f"./metadata/{{{domain.NAMESPACE}}}lab")
    return Subnet(
        kind=NetworkKind.LIBVIRT,
        name=network.name(),
        networks=tuple(subnets_in(tree)),
        device="" if bridge is None else bridge.get("name", ""),
        active=bool(network.isActive()),
        lab="" if label is None else label.get("name", ""),
        work="" if label is None else label.get("work", ""),
        autostart=bool(network.autostart()),
        forward="none" if forward is None else forward.get("mode", "nat"),
    )
