"""A machine as a virtual machine: its networks, its addresses on them, and its label."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from halab.errors import LabProblem
from halab.topology.hardware_address import mac
from halab.topology.lab import Lab, Machine

# The XML namespace of our element in a network's metadata: a name, not an address.
NAMESPACE = "urn:halab:lab"
# The range of DHCP for machines without a fixed address. It is not used: every machine has one.
_UNKNOWN = (200, 220)


@dataclass(frozen=True)
class Owner:
    """The owner of a domain or a network. `machine` is empty for a network, `host` for an old label."""

    lab: str
    work: str
    machine: str = ""
    host: str = field(default="", compare=False)


def description(lab: Lab, machine: Machine, *, work: str, identity: str) -> str:
    """The label of a machine, which libvirt stores as the domain's description.

    JSON in ASCII, without characters that are special in XML: vagrant-libvirt 0.11.2 does not escape it.
    """
    label = {
        "halab.lab": lab.name,
        "halab.machine": machine.name,
        "halab.work": work,
        "halab.host": identity,
    }
    text = json.dumps(label)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def owner(text: str) -> Owner | None:
    """The owner of a domain with this description; None if it is not ours."""
    try:
        label = json.loads(text)
        return Owner(
            label["halab.lab"], label["halab.work"], label["halab.machine"], label.get("halab.host", "")
        )
    except (ValueError, LookupError, TypeError):
        return None


def network_owner(xml: str) -> Owner | None:
    """The owner of a network, from libvirt's XML; None if it is not ours."""
    label = _label(xml)
    return (
        None
        if label is None
        else Owner(label.get("name", ""), label.get("work", ""), host=label.get("host", ""))
    )


def network_made(xml: str) -> str:
    """When a network of ours was made; empty if its label does not say so yet."""
    label = _label(xml)
    return "" if label is None else label.get("made", "")


@dataclass(frozen=True)
class DomainDisk:
    """A disk of a machine beside its first one.

    `file` is its name in the storage pool. The guest sees `serial`, and mounts the disk at `folder`.
    """

    file: str
    serial: str
    size_mebibytes: int
    folder: str


def disks(machine: Machine) -> list[DomainDisk]:
    """The disks that the lab file gives a machine."""
    return [
        DomainDisk(
            file=f"{machine.host_name}-disk{number}.img",
            serial=f"halab-disk{number}",
            size_mebibytes=disk.size_mebibytes,
            folder=disk.mount,
        )
        for number, disk in enumerate(machine.disks, 1)
    ]


def interface(machine: Machine) -> str:
    """The name of the host's interface to a machine: 15 characters at most, and unique among all labs."""
    return f"hl{int(machine.address):08x}"


def management_name(lab: Lab) -> str:
    return f"{lab.label}-ssh"


def network_names(lab: Lab) -> tuple[str, str]:
    return lab.label, management_name(lab)


def management(lab: Lab) -> IPv4Network:
    if lab.management is None:
        raise LabProblem(
            f"the lab {lab.name} has no network for SSH: it was not brought up with virtual machines",
            hint="take it down first: `halab down`",
        )
    return lab.management


def management_address(lab: Lab, machine: Machine) -> IPv4Address:
    """Where this host reaches a machine over SSH: the same last byte as on the lab's own network."""
    return management(lab).network_address + (int(machine.address) & 0xFF)


def management_mac(lab: Lab, machine: Machine) -> str:
    return mac(f"{lab.name}/{machine.name}/ssh")


def networks(lab: Lab, *, work: str, identity: str, made: str) -> dict[str, str]:
    """Name → XML of the two networks of a lab; libvirt's format of networks.

    The lab's own network leads only to this host, which has its first address, and has no DHCP. The other network is
    for SSH: no fault touches it, and DHCP gives every machine a fixed address there.
    """
    label = (
        f"<halab:lab xmlns:halab='{NAMESPACE}' name={quoteattr(lab.name)} work={quoteattr(work)} "
        f"host={quoteattr(identity)} made={quoteattr(made)}/>"
    )
    own = _network(lab.label, f"hl{int(lab.network.network_address):08x}", lab.network, label, "")
    hosts = "".join(
        f"      <host mac={quoteattr(management_mac(lab, machine))} name={quoteattr(machine.name)} "
        f"ip='{management_address(lab, machine)}'/>\n"
        for machine in lab.machines
    )
    way_in = management(lab)
    first, last = (way_in.network_address + byte for byte in _UNKNOWN)
    dhcp = f"    <dhcp>\n      <range start='{first}' end='{last}'/>\n{hosts}    </dhcp>\n"
    bridge = f"hm{int(way_in.network_address):08x}"
    ssh = _network(management_name(lab), bridge, way_in, label, dhcp, forward="  <forward mode='nat'/>\n")
    return {lab.label: own, management_name(lab): ssh}


def _network(name: str, bridge: str, network: IPv4Network, label: str, dhcp: str, forward: str = "") -> str:
    return (
        "<network>\n"
        f"  <name>{name}</name>\n"
        f"  <metadata>{label}</metadata>\n"
        f"{forward}"
        f"  <bridge name='{bridge}' stp='off' delay='0'/>\n"
        f"  <ip address='{network.network_address + 1}' netmask='{network.netmask}'>\n"
        f"{dhcp}"
        "  </ip>\n"
        "</network>\n"
    )


def _label(xml: str) -> ElementTree.Element | None:
    return ElementTree.fromstring(xml).find(f"./metadata/{{{NAMESPACE}}}lab")
