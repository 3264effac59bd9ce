"""Checks of what carries the packets of virtual machines: libvirt's networks, dnsmasq, the host's firewall."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from halab.config.lab import ProviderKind
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.host import Host
from halab.doctor.libvirt import address, facts
from halab.errors import HalabError

_LOOK = "sudo iptables -S; sudo nft list ruleset"
_FILTERED_BRIDGES = "/proc/sys/net/bridge/bridge-nf-call-iptables"
# The bridges of labs: hl… of the lab's own network, hm… of the one for SSH.
_OUR_BRIDGE = re.compile(r"\bh[lm](\+|\*|[0-9a-f]{8})")
_CHAINS_OF_LIBVIRT = {"FORWARD": "LIBVIRT_FW", "INPUT": "LIBVIRT_INP"}
# UDP on every address, port 53: what libvirt's dnsmasq then cannot have.
_NAMES_EVERYWHERE = re.compile(r"^\s*\d+: 00000000:0035 ", re.MULTILINE)


def networks(host: Host, subject: Subject) -> Finding:
    """The lab's own two are active once they are made; nobody else's are used."""
    told = facts(host)
    if told is None:
        return skipped("no libvirt answers")
    place = subject.place
    own = [each for each in told.networks if each.is_of(place.name, place.work)]
    resting = [each.name for each in own if not each.active]
    listed = ", ".join(
        f"{each.name} ({each.forward if each.active else 'not active'})" for each in told.networks
    )
    if resting:
        start = " && ".join(f"virsh -c {address(host, subject)} net-start {name}" for name in resting)
        return warning(
            f"not active, `halab up` starts what is the lab's: {', '.join(resting)}", "halab up", start
        )
    if not own:
        return ok(f"`halab up` makes two for the lab; there are {listed or 'none'}")
    return ok(listed)


def dnsmasq(host: Host, subject: Subject) -> Finding:
    program = host.tool("dnsmasq")
    if program is None:
        seen, install = "not found: dnsmasq", fix.install(host, "dnsmasq-base")
        return failed(seen, install) if subject.provider is ProviderKind.LIBVIRT else skipped(seen, install)
    if _NAMES_EVERYWHERE.search(host.text("/proc/net/udp") or ""):
        quiet = fix.as_root(host, "tee /etc/dnsmasq.d/halab.conf")
        restart = fix.as_root(host, "systemctl restart dnsmasq")
        return warning(
            f"{program}; a name server of this host listens on every address, so that libvirt's cannot",
            f"echo bind-interfaces | {quiet} && {restart}  # if it is dnsmasq itself",
            fix.as_root(host, "ss -lunp 'sport = :53'  # says whose it is; end it, or give it one address"),
        )
    return ok(program)


def firewall(host: Host, subject: Subject) -> Finding:
    """Whether a chain that drops what it does not know also drops packets of the lab."""
    if not host.is_root:
        doctor = fix.as_root_with_environment(host, f"halab doctor -f {shlex.quote(str(subject.file))}")
        return skipped("not looked at: only root can see it", doctor, _LOOK, needs_root=True)
    told = {"iptables": _listing(host, "iptables", "-S"), "nft": _listing(host, "nft", "list", "ruleset")}
    seen_by = [name for name, text in told.items() if text is not None]
    if not seen_by:
        return skipped("neither iptables nor nft tells", fix.install(host, "iptables", "nftables"))
    gaps = [*_gaps_in_iptables(told["iptables"] or ""), *_gaps_in_nft(told["nft"] or "")]
    if not gaps:
        return ok(f"nothing in the way of the lab, say {' and '.join(seen_by)}")
    filtered = (host.text(_FILTERED_BRIDGES) or "").strip() == "1"
    reach = (
        "between machines too, for bridges are filtered" if filtered else "on their way through this host"
    )
    seen = "; ".join(f"{each.chain} drops what it does not know, and lets no lab through" for each in gaps)
    commands = " && ".join(fix.as_root(host, command) for each in gaps for command in each.commands)
    return warning(f"{seen}: packets are lost {reach}", commands)


@dataclass(frozen=True)
class _Gap:
    """A chain that drops packets of labs, and what lets them pass."""

    chain: str
    commands: tuple[str, ...]


def _gaps_in_iptables(listing: str) -> Iterator[_Gap]:
    """`iptables -S`. libvirt's own chains let its networks through, where the chain jumps to them."""
    lines = listing.splitlines()
    for chain, of_libvirt in _CHAINS_OF_LIBVIRT.items():
        ways_out = tuple(
            f"-A {name} " for name in (chain, "DOCKER-USER") if chain == "FORWARD" or name == chain
        )
        rules = [line for line in lines if line.startswith(ways_out)]
        lets_pass = any(
            f"-j {of_libvirt}" in line or (_OUR_BRIDGE.search(line) and "-j ACCEPT" in line)
            for line in rules
        )
        if f"-P {chain} DROP" in lines and not lets_pass:
            yield _Gap(f"iptables' chain {chain}", _IPTABLES[chain])


def _gaps_in_nft(ruleset: str) -> Iterator[_Gap]:
    """`nft list ruleset`: what one table accepts, a chain of another one may still drop."""
    for family, table, body in re.findall(
        r"^table (\S+) (\S+) \{[^\n]*\n(.*?)^\}", ruleset, re.DOTALL | re.MULTILINE
    ):
        # iptables' own tables were looked at by iptables
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
            if hook and not re.search(rf"{_OUR_BRIDGE.pattern}.*accept", rules):
                where = f"{family} {table} {chain}"
                yield _Gap(
                    f"nft's chain {where}",
                    tuple(f"nft insert rule {where} {each}" for each in _NFT[hook[1]]),
                )


_IPTABLES = {
    "FORWARD": tuple(f"iptables -I FORWARD {each} -j ACCEPT" for each in ("-i hl+ -o hl+", "-i hm+", "-o hm+")),
    "INPUT": tuple(f"iptables -I INPUT {each} -j ACCEPT" for each in ("-i hm+ -p udp --dport 67", "-i hl+")),
}  # fmt: skip
_NFT = {
    "forward": ("iifname 'hl*' oifname 'hl*' accept", "iifname 'hm*' accept", "oifname 'hm*' accept"),
    "input": ("iifname 'hm*' udp dport 67 accept", "iifname 'hl*' accept"),
}


def _listing(host: Host, *argv: str) -> str | None:
    # by its path: not everybody who is root has /usr/sbin in the PATH
    program = host.tool(argv[0])
    if program is None:
        return None
    try:
        return host.output(program, *argv[1:])
    except HalabError:
        return None


_LIBVIRT = frozenset({ProviderKind.LIBVIRT})

CHECKS = (
    Check("libvirt networks", "machines reach each other by one of the lab's, and are reached by another", networks,
          _LIBVIRT, Pace.QUICK, when_silent="a network that is not active gives machines no address"),
    Check("dnsmasq", "libvirt gives machines their addresses for SSH by it", dnsmasq, _LIBVIRT, Pace.QUICK,
          of_the_machines_host=True, when_silent="without it machines get no address for SSH"),
    Check("firewall", "a packet that a firewall drops looks like a fault that nobody injected", firewall, _LIBVIRT,
          asked_at_up=True, told_at_up=True, of_the_machines_host=True,
          when_silent="a firewall that drops the lab's packets keeps DHCP and SSH from the machines"),
)  # fmt: skip
