"""The facts of a libvirt: its version, its storage pools, its networks. This module only reads."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from xml.etree import ElementTree

from halab.machines.host.neighbours import NetworkKind, Subnet
from halab.machines.libvirt.handles import Handle, Network, StoragePool
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
    """`driver` is what runs the machines, in libvirt's word: a lab needs QEMU."""

    version: str
    driver: str
    pools: tuple[Pool, ...]
    networks: tuple[Subnet, ...]

    def pool(self, name: str) -> Pool | None:
        return next((pool for pool in self.pools if pool.name == name), None)


def read(handle: Handle) -> LibvirtFacts:
    number = handle.getLibVersion()
    return LibvirtFacts(
        version=f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}",
        driver=str(handle.getType()),
        pools=tuple(sorted(map(_pool, handle.listAllStoragePools()), key=lambda pool: pool.name)),
        networks=tuple(sorted(map(_subnet, handle.listAllNetworks()), key=lambda network: network.name)),
    )


def has_kvm(handle: Handle) -> bool:
    """True if libvirt can run machines under KVM. It uses the device as root, and this user may not be able to."""
    import libvirt

    try:
        handle.getDomainCapabilities(None, None, None, "kvm", 0)
    except libvirt.libvirtError as error:
        # libvirt 9.0: the accel 'kvm' is not supported by '/usr/bin/qemu-system-x86_64' on this host
        if error.get_error_code() in (libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_CONFIG_UNSUPPORTED):
            return False
        raise
    return True


def _pool(pool: StoragePool) -> Pool:
    active = bool(pool.isActive())
    path = ElementTree.fromstring(pool.XMLDesc()).findtext("./target/path") or ""
    available = int(pool.info()[3]) if active else None
    return Pool(pool.name(), active, bool(pool.autostart()), Path(path), available)


def subnets_in(xml: str) -> list[IPv4Network]:
    """The IPv4 networks in libvirt's description of a network."""
    subnets = []
    for element in ElementTree.fromstring(xml).findall("./ip"):
        address = element.get("address", "")
        mask = element.get("netmask") or element.get("prefix")
        if element.get("family", "ipv4") == "ipv4" and address and mask:
            subnets.append(IPv4Network(f"{address}/{mask}", strict=False))
    return subnets


def _subnet(network: Network) -> Subnet:
    xml = network.XMLDesc()
    tree, owner = ElementTree.fromstring(xml), domain.network_owner(xml)
    bridge, forward = tree.find("./bridge"), tree.find("./forward")
    return Subnet(
        kind=NetworkKind.LIBVIRT,
        name=network.name(),
        networks=tuple(subnets_in(xml)),
        device="" if bridge is None else bridge.get("name", ""),
        active=bool(network.isActive()),
        lab=owner.lab if owner else "",
        work=owner.work if owner else "",
        autostart=bool(network.autostart()),
        forward="none" if forward is None else forward.get("mode", "nat"),
    )
