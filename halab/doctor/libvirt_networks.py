"""Checks of the networks of virtual machines: libvirt's networks, dnsmasq, the host's firewall."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from halab.config.lab import ProviderKind
from halab.doctor import fix
from halab.doctor.check import LIBVIRT_ONLY, Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.host import Host
from halab.doctor.libvirt import address, facts
from halab.errors import HalabError

_LIST_RULES = "sudo iptables -S; sudo nft list ruleset"
_FILTERED_BRIDGES = "/proc/sys/net/bridge/bridge-nf-call-iptables"
# The bridges of labs: hl… of the lab's own network, hm… of the one for SSH.
_LAB_BRIDGE = re.compile(r"\bh[lm](\+|\*|[0-9a-f]{8})")
_LIBVIRT_CHAINS = {"FORWARD": "LIBVIRT_FW", "INPUT": "LIBVIRT_INP"}
# A UDP socket on port 53 of every address: libvirt's dnsmasq then cannot use that port.
_DNS_ON_EVERY_ADDRESS = re.compile(r"^\s*\d+: 00000000:0035 ", re.MULTILINE)


def networks(host: Host, subject: Subject) -> Finding:
    """The lab's own two networks are active once they exist. The lab uses no other networks."""
    libvirt = facts(host)
    if libvirt is None:
        return skipped("no libvirt answers")
    lab_dir = subject.lab_dir
    own = [network for network in libvirt.networks if network.is_of(lab_dir.name, lab_dir.work)]
    inactive = [network.name for network in own if not network.active]
    listed = ", ".join(
        f"{network.name} ({network.forward if network.active else 'not active'})"
        for network in libvirt.networks
    )
    if inactive:
        start = " && ".join(f"virsh -c {address(host, subject)} net-start {name}" for name in inactive)
        return warning(
            f"not active; `halab up` starts the lab's networks: {', '.join(inactive)}", "halab up", start
        )
    if not own:
        return ok(f"`halab up` creates two for the lab; existing networks: {listed or 'none'}")
    return ok(listed)


def dnsmasq(host: Host, subject: Subject) -> Finding:
    program = host.tool("dnsmasq")
    if program is None:
        seen, install = "not found: dnsmasq", fix.install(host, "dnsmasq-base")
        return failed(seen, install) if subject.provider is ProviderKind.LIBVIRT else skipped(seen, install)
    if _DNS_ON_EVERY_ADDRESS.search(host.text("/proc/net/udp") or ""):
        save = fix.as_root(host, "tee /etc/dnsmasq.d/halab.conf")
        restart = fix.as_root(host, "systemctl restart dnsmasq")
        return warning(
            f"{program}; a name server on this host listens on every address, so libvirt's cannot start",
            f"echo bind-interfaces | {save} && {restart}  # if that is dnsmasq",
            fix.as_root(
                host, "ss -lunp 'sport = :53'  # shows which program; stop it, or bind it to one address"
            ),
        )
    return ok(program)


def firewall(host: Host, subject: Subject) -> Finding:
    """No chain with the policy DROP drops packets of the lab."""
    if not host.is_root:
        doctor = fix.as_root_with_environment(host, f"halab doctor -f {shlex.quote(str(subject.file))}")
        return skipped("not checked: only root can read it", doctor, _LIST_RULES, needs_root=True)
    rules = {"iptables": _listing(host, "iptables", "-S"), "nft": _listing(host, "nft", "list", "ruleset")}
    readable = [name for name, text in rules.items() if text is not None]
    if not readable:
        return skipped(
            "the rules of iptables and nft cannot be read", fix.install(host, "iptables", "nftables")
        )
    gaps = [*_gaps_in_iptables(rules["iptables"] or ""), *_gaps_in_nft(rules["nft"] or "")]
    if not gaps:
        return ok(f"nothing blocks the lab in {' and '.join(readable)}")
    filtered = (host.text(_FILTERED_BRIDGES) or "").strip() == "1"
    lost = (
        "packets between machines are lost too, because bridges are filtered"
        if filtered
        else "packets that this host forwards are lost"
    )
    seen = "; ".join(f"{gap.chain} drops by default and does not accept the lab's packets" for gap in gaps)
    commands = " && ".join(fix.as_root(host, command) for gap in gaps for command in gap.commands)
    return warning(f"{seen}: {lost}", commands)


@dataclass(frozen=True)
class _Gap:
    """A chain that drops packets of labs, and the commands that let them pass."""

    chain: str
    commands: tuple[str, ...]


def _gaps_in_iptables(listing: str) -> Iterator[_Gap]:
    """Parse `iptables -S`. libvirt's own chains accept its networks, if the chain jumps to them."""
    lines = listing.splitlines()
    for chain, libvirt_chain in _LIBVIRT_CHAINS.items():
        chains = (chain, "DOCKER-USER") if chain == "FORWARD" else (chain,)
        rules = [line for line in lines if line.startswith(tuple(f"-A {name} " for name in chains))]
        accepts_labs = any(
            f"-j {libvirt_chain}" in line or (_LAB_BRIDGE.search(line) and "-j ACCEPT" in line)
            for line in rules
        )
        if f"-P {chain} DROP" in lines and not accepts_labs:
            yield _Gap(f"the iptables chain {chain}", _IPTABLES[chain])


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
                    tuple(f"nft insert rule {path} {rule}" for rule in _NFT[hook[1]]),
                )


_IPTABLES = {
    "FORWARD": tuple(f"iptables -I FORWARD {match} -j ACCEPT" for match in ("-i hl+ -o hl+", "-i hm+", "-o hm+")),
    "INPUT": tuple(f"iptables -I INPUT {match} -j ACCEPT" for match in ("-i hm+ -p udp --dport 67", "-i hl+")),
}  # fmt: skip
_NFT = {
    "forward": ("iifname 'hl*' oifname 'hl*' accept", "iifname 'hm*' accept", "oifname 'hm*' accept"),
    "input": ("iifname 'hm*' udp dport 67 accept", "iifname 'hl*' accept"),
}


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
    Check("libvirt networks", "machines use one of the lab's networks, halab reaches them over the other", networks,
          LIBVIRT_ONLY, Pace.QUICK, boot_reason="a network that is not active gives machines no address"),
    Check("dnsmasq", "libvirt uses it to give the machines their addresses for SSH", dnsmasq, LIBVIRT_ONLY, Pace.QUICK,
          about_machines_host=True, boot_reason="without it machines get no address for SSH"),
    Check("firewall", "a packet that a firewall drops looks like a fault that nobody injected", firewall, LIBVIRT_ONLY,
          runs_at_up=True, warns_at_up=True, about_machines_host=True,
          boot_reason="a firewall that drops the lab's packets blocks DHCP and SSH"),
)  # fmt: skip
