"""The check of this host's firewall: rules of ufw, docker or an administrator that drop packets of virtual machines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from halab.doctor import fix
from halab.doctor.check import LIBVIRT_ONLY, Check, Finding, Subject, ok, skipped, warning
from halab.doctor.host import Host
from halab.doctor.libvirt import facts
from halab.errors import HalabError

_LIST_RULES = "sudo iptables -S; sudo nft list ruleset"
_FILTERED_BRIDGES = "/proc/sys/net/bridge/bridge-nf-call-iptables"
# The bridges of labs: hl… of the lab's own network, hm… of the one for SSH.
_LAB_BRIDGE = re.compile(r"\bh[lm](\+|\*|[0-9a-f]{8})")
# libvirt's own chains accept its networks. With its nftables backend, its rules are in a table of their own, where they
# cannot accept what a chain of iptables drops; and it has no rules for INPUT at all (src/network/network_nftables.c).
_LIBVIRT_CHAINS = {"FORWARD": "LIBVIRT_FW", "INPUT": "LIBVIRT_INP"}
_LIBVIRT_TABLE = "libvirt_network"
# Since libvirt 10.4. A comment has the default: nftables where libvirt is built as released, iptables on Debian 13.
_LIBVIRT_CONFIG = "/etc/libvirt/network.conf"
_BACKEND = re.compile(
    r"""^\s*(?P<comment>#?)\s*firewall_backend\s*=\s*["'](?P<backend>\w+)["']""", re.MULTILINE
)
_MODULAR_DAEMON = Path("/var/run/libvirt/virtnetworkd-sock")
_DOCKER_BRIDGE = Path("/sys/class/net/docker0")
_UFW_CONFIG = "/etc/ufw/ufw.conf"
# The chains where people accept packets: the last two belong to docker and ufw, which leave them to the user.
_CHAINS_OF_PEOPLE = {
    "FORWARD": ("FORWARD", "DOCKER-USER", "ufw-user-forward"),
    "INPUT": ("INPUT", "ufw-user-input"),
}


def firewall(host: Host, subject: Subject) -> Finding:
    """No chain with the policy DROP drops packets of the lab."""
    if not host.is_root:
        doctor = fix.as_root_with_environment(host, f"halab doctor -f {shlex.quote(str(subject.file))}")
        visible = _visible_to_everyone(host)
        seen = "not checked: only root can read it" + (
            f"; visible without root: {', '.join(visible)}" if visible else ""
        )
        return skipped(seen, doctor, _LIST_RULES, needs_root=True)
    rules = {"iptables": _listing(host, "iptables", "-S"), "nft": _listing(host, "nft", "list", "ruleset")}
    readable = [name for name, text in rules.items() if text is not None]
    if not readable:
        return skipped(
            "the rules of iptables and nft cannot be read", fix.install(host, "iptables", "nftables")
        )
    iptables, nft = rules["iptables"] or "", rules["nft"] or ""
    gaps = [*_gaps_in_iptables(iptables), *_gaps_in_nft(nft)]
    uses_nftables = _uses_nftables(host, nft)
    if not uses_nftables and _awaits_first_network(host, iptables):
        gaps = [gap for gap in gaps if not gap.accepted_by_libvirt]
    if not gaps:
        return ok(f"nothing blocks the lab in {' and '.join(readable)}")
    seen = "; ".join(f"{gap.chain} drops by default and does not accept the lab's packets" for gap in gaps)
    commands = " && ".join(fix.as_root(host, command) for gap in gaps for command in gap.commands)
    fixes = [commands]
    if uses_nftables and any(gap.accepted_by_libvirt for gap in gaps):
        seen = (
            f"{seen}, and libvirt's own rules are in nftables, which cannot accept what another chain drops"
        )
        fixes.insert(0, _use_iptables(host))
    return warning(f"{seen}: {', '.join(_losses(host, gaps))}", *fixes)


@dataclass(frozen=True)
class _Gap:
    """A chain that drops packets of labs, and the commands that let them pass.

    `accepted_by_libvirt`: libvirt would accept them there if its backend were iptables.
    """

    chain: str
    hook: str
    commands: tuple[str, ...]
    accepted_by_libvirt: bool = False


def _gaps_in_iptables(listing: str) -> Iterator[_Gap]:
    """Parse `iptables -S`. libvirt's own chains accept its networks, if the chain jumps to them."""
    lines = listing.splitlines()
    for chain, libvirt_chain in _LIBVIRT_CHAINS.items():
        chains = tuple(f"-A {name} " for name in _CHAINS_OF_PEOPLE[chain])
        rules = [line for line in lines if line.startswith(chains)]
        accepts_labs = any(
            f"-j {libvirt_chain}" in line or (_LAB_BRIDGE.search(line) and "-j ACCEPT" in line)
            for line in rules
        )
        if f"-P {chain} DROP" in lines and not accepts_labs:
            jumps = [line for line in lines if line.startswith(f"-A {chain} ")]
            owners = [name for name, mark in _OWNERS.items() if any(f" -j {mark}" in line for line in jumps)]
            of_whom = f" of {' and '.join(owners)}" if owners else ""
            commands = (_UFW if "ufw" in owners else _IPTABLES)[chain]
            yield _Gap(
                f"the iptables chain {chain}{of_whom}", chain.lower(), commands, accepted_by_libvirt=True
            )


def _gaps_in_nft(ruleset: str) -> Iterator[_Gap]:
    """Parse `nft list ruleset`: a chain may drop what another table accepts."""
    for family, table, body in re.findall(
        r"^table (\S+) (\S+) \{[^\n]*\n(.*?)^\}", ruleset, re.DOTALL | re.MULTILINE
    ):
        # `iptables -S` lists these tables
        if (
            family not in ("ip", "inet")
            or (family, table) == ("ip", "filter")
            or table.startswith("libvirt")
        ):
            continue
        for chain, rules in re.findall(
            r"^\s*chain (\S+) \{[^\n]*\n(.*?)^\s*\}", body, re.DOTALL | re.MULTILINE
        ):
            hook = re.search(r"hook (forward|input) priority [^;]*; policy drop;", rules)
            if hook and not re.search(rf"{_LAB_BRIDGE.pattern}.*accept", rules):
                path = f"{family} {table} {chain}"
                yield _Gap(
                    f"the nft chain {path}",
                    hook[1],
                    tuple(f"nft insert rule {path} {rule}" for rule in _NFT[hook[1]]),
                )


# Whose chains these are: the beginning of their names.
_OWNERS = {"ufw": "ufw-", "docker": "DOCKER"}
_IPTABLES = {
    "FORWARD": tuple(f"iptables -I FORWARD {match} -j ACCEPT" for match in ("-i hl+ -o hl+", "-i hm+", "-o hm+")),
    "INPUT": tuple(f"iptables -I INPUT {match} -j ACCEPT" for match in ("-i hm+ -p udp --dport 67", "-i hl+")),
}  # fmt: skip
# ufw stores its rules and writes them again after a restart
_UFW = {
    "FORWARD": tuple(
        f"ufw route allow {match}" for match in ("in on hl+ out on hl+", "in on hm+", "out on hm+")
    ),
    "INPUT": ("ufw allow in on hm+ to any port 67 proto udp", "ufw allow in on hl+"),
}
_NFT = {
    "forward": ("iifname 'hl*' oifname 'hl*' accept", "iifname 'hm*' accept", "oifname 'hm*' accept"),
    "input": ("iifname 'hm*' udp dport 67 accept", "iifname 'hl*' accept"),
}


def _losses(host: Host, gaps: list[_Gap]) -> Iterator[str]:
    """What a user notices of the gaps."""
    hooks = {gap.hook for gap in gaps}
    if "input" in hooks:
        yield "machines get no address by DHCP"
    if "forward" in hooks and _are_bridges_filtered(host):
        yield "packets between machines are lost too, because bridges are filtered"
    elif "forward" in hooks:
        yield "packets that this host forwards are lost"


def _awaits_first_network(host: Host, listing: str) -> bool:
    """True if libvirt has not written its chains yet: it puts them before all others when its first network starts.

    If they are missing while a network is active, somebody removed them.
    """
    libvirt = facts(host)
    if libvirt is None or any(network.active for network in libvirt.networks):
        return False
    return re.search(r"^-N LIBVIRT_", listing, re.MULTILINE) is None


def _use_iptables(host: Host) -> str:
    """libvirt then puts its rules before those of ufw and docker, also after a restart of this host."""
    line = 'firewall_backend = "iptables"'
    change = f"echo '{line}' | {fix.as_root(host, f'tee -a {_LIBVIRT_CONFIG}')}"
    if any(not written["comment"] for written in _BACKEND.finditer(host.text(_LIBVIRT_CONFIG) or "")):
        change = fix.as_root(host, f"sed -i 's/^ *firewall_backend.*/{line}/' {_LIBVIRT_CONFIG}")
    daemon = "virtnetworkd" if host.exists(_MODULAR_DAEMON) else "libvirtd"
    return f"{change} && {fix.as_root(host, f'systemctl restart {daemon}')}"


def _visible_to_everyone(host: Host) -> list[str]:
    """What suggests that a firewall drops packets of the lab, as far as a user can see it."""
    visible = []
    has_ufw = re.search(r"^ENABLED=yes", host.text(_UFW_CONFIG) or "", re.MULTILINE)
    if has_ufw:
        visible.append("ufw is enabled")
    if host.exists(_DOCKER_BRIDGE):
        visible.append("docker has a bridge")
    if _are_bridges_filtered(host):
        visible.append("bridges are filtered")
    if visible and _uses_nftables(host):
        visible.append("libvirt's own rules are in nftables, which cannot accept what another chain drops")
    return visible


def _uses_nftables(host: Host, ruleset: str = "") -> bool:
    """Whether libvirt's own rules are in nftables: a setting says so, or its table, or the comment with the default.

    The table may be left of an earlier setting.
    """
    written = list(_BACKEND.finditer(host.text(_LIBVIRT_CONFIG) or ""))
    # of several settings, libvirt takes the first
    setting = next((line for line in written if not line["comment"]), None)
    if setting is None and _LIBVIRT_TABLE in ruleset:
        return True
    chosen = setting or next(reversed(written), None)
    return chosen is not None and chosen["backend"] == "nftables"


def _are_bridges_filtered(host: Host) -> bool:
    return (host.text(_FILTERED_BRIDGES) or "").strip() == "1"


def _listing(host: Host, *argv: str) -> str | None:
    # by its path: the PATH of root may lack /usr/sbin
    program = host.tool(argv[0])
    if program is None:
        return None
    try:
        return host.output(program, *argv[1:])
    except HalabError:
        return None


CHECKS = (
    Check("firewall", "a packet that a firewall drops looks like a fault that nobody injected", firewall, LIBVIRT_ONLY,
          runs_at_up=True, warns_at_up=True, about_machines_host=True,
          boot_reason="a firewall that drops the lab's packets blocks DHCP, SSH and packets between machines"),
)  # fmt: skip
