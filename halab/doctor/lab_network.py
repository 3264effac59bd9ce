"""The check of the lab's network against every other one on this host."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from halab import process
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, remote, warning
from halab.doctor.host import Host
from halab.doctor.libvirt import address
from halab.errors import HalabError
from halab.machines.host.neighbours import Neighbour, NetworkKind

# What programs for VPNs call their devices.
_VPN = re.compile(r"(tun|tap|wg|ppp|vpn|tailscale|zt|nordlynx|proton|cscotun|ipsec|gpd)")
# The bridges of labs.
_LAB_BRIDGE = re.compile(r"h[lm][0-9a-f]{8}")
_DOCKER_BRIDGE = re.compile(r"br-([0-9a-f]{12})")


def free_network(host: Host, subject: Subject) -> Finding:
    """Whether nothing else uses the lab's networks: also nothing that came after the lab got them."""
    held = host.held(subject.place)
    written = subject.written.network
    wanted = held.networks if held else [] if written == "auto" else [IPv4Network(written)]
    others: Sequence[Neighbour] = host.neighbours(subject.place) if wanted else []
    clashes = [(mine, other) for mine in wanted for other in others if _clash(mine, other)]
    if not clashes:
        try:
            return ok(", ".join(map(str, held.networks)) if held else str(host.network(subject.place)))
        except HalabError as error:
            return failed(error.message, *([error.hint] if error.hint else []))
    is_held = held is not None
    shadowed = all(_is_narrower_here(mine, other, others) for mine, other in clashes)
    seen = "; ".join(_in_words(mine, other, is_held=is_held) for mine, other in clashes)
    fixes = [_elsewhere(subject, is_held=is_held)]
    fixes += dict.fromkeys(_remedy(host, subject, other) for _, other in clashes)
    if shadowed:
        return warning(f"{seen}; the lab's is the narrower one, and hides its part of the other", *fixes)
    return failed(seen, *fixes)


def _clash(mine: IPv4Network, other: Neighbour) -> bool:
    return not other.own and other.network.overlaps(mine)


def _is_narrower_here(mine: IPv4Network, other: Neighbour, all_there: Sequence[Neighbour]) -> bool:
    """Packets take the narrowest route: a lab that is up goes on beside a wide route of a VPN."""
    is_up = any(each.own and each.active and each.network == mine for each in all_there)
    return is_up and other.kind is NetworkKind.ROUTE and other.network.prefixlen < mine.prefixlen


def _in_words(mine: IPv4Network, other: Neighbour, *, is_held: bool) -> str:
    if is_held:
        return f"{mine} is held for this lab, and something has come since: {other.network}, {_what(other)}"
    return f"the network {mine} is in use on this host: {other.network}, {_what(other)}"


def _what(other: Neighbour) -> str:
    if other.kind is not NetworkKind.ROUTE:
        return f"{other.kind}'s network {other.name}" + ("" if other.active else ", which is not active")
    if _VPN.match(other.name):
        return f"the route of a VPN, over {other.name}"
    if other.name == "docker0" or _DOCKER_BRIDGE.fullmatch(other.name):
        return f"the route of a docker network, over {other.name}"
    if _LAB_BRIDGE.fullmatch(other.name):
        return f"the route of a lab's network, over {other.name}"
    if other.name.startswith("virbr"):
        return f"the route of a network of libvirt, over {other.name}"
    return f"a route over {other.name}" if other.name else "a route"


def _elsewhere(subject: Subject, *, is_held: bool) -> str:
    """How the lab gets out of the way: `auto` takes the first /24 that is free."""
    file = subject.file
    option = "" if file == Path("lab.yml") else f" -f {file}"
    if not is_held:
        return f"network: auto  # in {file}, or a /24 that is free"
    if subject.written.network == "auto":
        return f"halab down{option} && halab up{option}  # the lab gets another network"
    return f"halab down{option}  # then write `network: auto` in {file}, and run `halab up{option}`"


def _remedy(host: Host, subject: Subject, other: Neighbour) -> str:
    """How the other one gets out of the way, on the host that it was seen on."""
    bridge = _DOCKER_BRIDGE.fullmatch(other.name)
    if other.kind is NetworkKind.DOCKER or bridge:
        name = bridge[1] if bridge else other.name
        return f"docker network rm {name}  # if nothing needs it"
    if other.kind is NetworkKind.LIBVIRT:
        virsh = f"virsh -c {shlex.quote(address(host, subject))}"
        end = f"{virsh} net-destroy {other.name} && " if other.active else ""
        return f"{end}{virsh} net-undefine {other.name}  # if nothing needs it"
    device = f" dev {other.name}" if other.name else ""
    command, unless = f"ip route del {other.network}{device}", "  # if nothing needs it"
    if other.name.startswith("wg"):
        command, unless = f"wg-quick down {other.name}", ""
    there = remote(host, subject)
    way = process.pasteable([*there.ssh(), f"sudo {command}"]) if there else fix.as_root(host, command)
    return way + unless


CHECKS = (
    Check("network", "a lab has a /24 that nothing else on this host uses", free_network, pace=Pace.QUICK,
          told_at_up=True, when_silent="SSH takes the way of the network that overlaps, and does not reach the lab"),
)  # fmt: skip
