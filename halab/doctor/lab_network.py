"""The check that no other network on this host overlaps with the lab's."""

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

# The names of VPN devices.
_VPN = re.compile(r"(tun|tap|wg|ppp|vpn|tailscale|zt|nordlynx|proton|cscotun|ipsec|gpd)")
# The bridges of labs.
_LAB_BRIDGE = re.compile(r"h[lm][0-9a-f]{8}")
_DOCKER_BRIDGE = re.compile(r"br-([0-9a-f]{12})")


def free_network(host: Host, subject: Subject) -> Finding:
    """Nothing else uses the lab's networks, not even something that appeared after the lab got them."""
    allocated = host.allocation(subject.lab_dir)
    written = subject.written.network
    wanted = allocated.networks if allocated else [] if written == "auto" else [IPv4Network(written)]
    others: Sequence[Neighbour] = host.neighbours(subject.lab_dir) if wanted else []
    clashes = [(mine, other) for mine in wanted for other in others if _clash(mine, other)]
    if not clashes:
        try:
            return ok(
                ", ".join(map(str, allocated.networks)) if allocated else str(host.network(subject.lab_dir))
            )
        except HalabError as error:
            return failed(error.message, *([error.hint] if error.hint else []))
    is_allocated = allocated is not None
    lab_route_wins = all(_lab_route_wins(mine, other, others) for mine, other in clashes)
    seen = "; ".join(_in_words(mine, other, is_allocated=is_allocated) for mine, other in clashes)
    fixes = [_move_lab(subject, is_allocated=is_allocated)]
    fixes += dict.fromkeys(_remove_other(host, subject, other) for _, other in clashes)
    if lab_route_wins:
        return warning(
            f"{seen}; the lab's route is narrower and hides this part of the other network", *fixes
        )
    return failed(seen, *fixes)


def _clash(mine: IPv4Network, other: Neighbour) -> bool:
    return not other.own and other.network.overlaps(mine)


def _lab_route_wins(mine: IPv4Network, other: Neighbour, neighbours: Sequence[Neighbour]) -> bool:
    """Packets take the narrowest route, so a lab that is up keeps working beside a wider route of a VPN."""
    is_up = any(neighbour.own and neighbour.active and neighbour.network == mine for neighbour in neighbours)
    return is_up and other.kind is NetworkKind.ROUTE and other.network.prefixlen < mine.prefixlen


def _in_words(mine: IPv4Network, other: Neighbour, *, is_allocated: bool) -> str:
    if is_allocated:
        return f"{mine} belongs to this lab, but something else uses it too: {other.network}, {_what(other)}"
    return f"the network {mine} is in use on this host: {other.network}, {_what(other)}"


def _what(other: Neighbour) -> str:
    if other.kind is not NetworkKind.ROUTE:
        return f"the {other.kind} network {other.name}" + ("" if other.active else ", not active")
    if _VPN.match(other.name):
        return f"a VPN route over {other.name}"
    if other.name == "docker0" or _DOCKER_BRIDGE.fullmatch(other.name):
        return f"the route of a docker network over {other.name}"
    if _LAB_BRIDGE.fullmatch(other.name):
        return f"the route of a lab's network over {other.name}"
    if other.name.startswith("virbr"):
        return f"the route of a libvirt network over {other.name}"
    return f"a route over {other.name}" if other.name else "a route"


def _move_lab(subject: Subject, *, is_allocated: bool) -> str:
    """The fix that gives the lab another network: `auto` takes the first free /24."""
    file = subject.file
    option = "" if file == Path("lab.yml") else f" -f {file}"
    if not is_allocated:
        return f"network: auto  # in {file}, or a /24 that is free"
    if subject.written.network == "auto":
        return f"halab down{option} && halab up{option}  # the lab gets another network"
    return f"halab down{option}  # then write `network: auto` in {file}, and run `halab up{option}`"


def _remove_other(host: Host, subject: Subject, other: Neighbour) -> str:
    """The fix that removes the other network, on the host where it is."""
    bridge = _DOCKER_BRIDGE.fullmatch(other.name)
    if other.kind is NetworkKind.DOCKER or bridge:
        name = bridge[1] if bridge else other.name
        return f"docker network rm {name}  # if nothing needs it"
    if other.kind is NetworkKind.LIBVIRT:
        virsh = f"virsh -c {shlex.quote(address(host, subject))}"
        end = f"{virsh} net-destroy {other.name} && " if other.active else ""
        return f"{end}{virsh} net-undefine {other.name}  # if nothing needs it"
    device = f" dev {other.name}" if other.name else ""
    command, comment = f"ip route del {other.network}{device}", "  # if nothing needs it"
    if other.name.startswith("wg"):
        command, comment = f"wg-quick down {other.name}", ""
    machines_host = remote(host, subject)
    if machines_host:
        return process.pasteable([*machines_host.ssh(), f"sudo {command}"]) + comment
    return fix.as_root(host, command) + comment


CHECKS = (
    Check("network", "a lab needs a /24 that nothing else on this host uses", free_network, pace=Pace.QUICK,
          warns_at_up=True, boot_reason="SSH takes the overlapping route and does not reach the lab"),
)  # fmt: skip
