"""The networks of labs at libvirt: one that only the machines and this host are on, and one for SSH."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import IPv4Address
from xml.etree import ElementTree

from halab.machines.host import identity
from halab.machines.libvirt.facts import subnets_in
from halab.machines.libvirt.handles import Handle, Network
from halab.machines.work import Work
from halab.topology import domain
from halab.topology.lab import Lab


def make(handle: Handle, lab: Lab, work: Work) -> None:
    """Make the networks of a lab and start them; replace those that have other addresses."""
    known = {network.name(): network for network in handle.listAllNetworks()}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    wanted = domain.networks(lab, work=str(work), identity=identity.of_this_host(), made=now)
    for name, xml in wanted.items():
        network = known.get(name)
        if network is not None and subnets_in(network.XMLDesc()) != subnets_in(xml):
            discard(network)
            network = None
        # persistent: it outlives a restart of libvirt, and the lab with it
        network = network or handle.networkDefineXML(xml)
        if not network.isActive():
            network.create()


def discard(network: Network) -> None:
    if network.isActive():
        network.destroy()
    network.undefine()


def ssh_addresses(handle: Handle) -> dict[str, IPv4Address]:
    """Hardware address → the address that the network of a lab gives to it, where this host reaches it over SSH."""
    addresses = {}
    for network in handle.listAllNetworks():
        xml = network.XMLDesc()
        if domain.network_owner(xml):
            for host in ElementTree.fromstring(xml).findall("./ip/dhcp/host"):
                addresses[host.get("mac", "")] = IPv4Address(host.get("ip", ""))
    return addresses
