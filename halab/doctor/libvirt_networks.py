"""Checks of the networks of virtual machines: libvirt's networks and dnsmasq."""

from __future__ import annotations

import re

from halab.config.lab import ProviderKind
from halab.doctor import fix
from halab.doctor.check import LIBVIRT_ONLY, Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.host import Host
from halab.doctor.libvirt import address, facts

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


CHECKS = (
    Check("libvirt networks", "machines use one of the lab's networks, halab reaches them over the other", networks,
          LIBVIRT_ONLY, Pace.QUICK, boot_reason="a network that is not active gives machines no address"),
    Check("dnsmasq", "libvirt uses it to give the machines their addresses for SSH", dnsmasq, LIBVIRT_ONLY, Pace.QUICK,
          about_machines_host=True, boot_reason="without it machines get no address for SSH"),
)  # fmt: skip
