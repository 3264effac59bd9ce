"""Checks of what virtual machines need: KVM, libvirt, Vagrant's plugin."""

from __future__ import annotations

import re
from pathlib import Path

from halab.config.lab import Acceleration, Provider
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, skipped
from halab.doctor.host import Host
from halab.doctor.kvm_guest import Boot, guest_for
from halab.errors import HalabError

_DEVICE = Path("/dev/kvm")
_SYSTEM = "qemu:///system"
_EMULATED = "accel: tcg and patience: 10  # in the lab file: it works everywhere, 10 to 20 times slower"
_CONTAINERS = "provider: docker  # in the lab file: it needs no KVM"


def kvm(host: Host, subject: Subject) -> Finding:
    """KVM is usable where it boots a guest: the device and the processor's flags do not tell."""
    if subject.written.accel is Acceleration.TCG:
        return skipped("the lab file says accel: tcg")
    if not host.is_there(_DEVICE):
        return failed(f"no such device: {_DEVICE}", *_bring_device(host))
    if not host.may_use(_DEVICE):
        return failed(
            f"{host.user} may not use {_DEVICE}",
            f"sudo usermod -aG kvm {host.user}  # then log in again",
        )
    guest = guest_for(host.architecture)
    program = host.tool(guest.qemu)
    if program is None:
        return skipped(f"not tried, for want of {guest.qemu}", fix.install(host, guest.package))
    boot = host.boot(guest, program)
    if boot.is_complete:
        return ok("a guest booted")
    return failed(
        _stopped(boot),
        _CONTAINERS,
        _EMULATED,
        "use a host whose processor runs guests, not one that emulates them",
    )


def libvirt(host: Host, subject: Subject) -> Finding:
    uri = host.variable("LIBVIRT_DEFAULT_URI") or _SYSTEM
    missing = _missing_libvirt(host, uri)
    if missing:
        seen = "not installed: " + ", ".join(missing)
        fixes = " && ".join(missing.values())
        return failed(seen, fixes) if subject.provider is Provider.LIBVIRT else skipped(seen, fixes)
    try:
        return ok(f"{host.libvirt(uri)} at {uri}")
    except HalabError as error:
        return failed(error.message, *_reach_libvirt(host))


def plugin(host: Host, subject: Subject) -> Finding:
    if host.tool("vagrant") is None:
        return skipped("not asked, for want of vagrant")
    found = re.search(r"^vagrant-libvirt \(([\d.]+)", host.output("vagrant", "plugin", "list"), re.MULTILINE)
    if found:
        return ok(found[1])
    # Debian's own package fits Debian's Vagrant; the other builds against libvirt's headers
    fixes = (fix.install(host, "vagrant-libvirt"), "vagrant plugin install vagrant-libvirt")
    seen = "not installed: vagrant-libvirt"
    return failed(seen, *fixes) if subject.provider is Provider.LIBVIRT else skipped(seen, *fixes)


def _stopped(boot: Boot) -> str:
    if not boot.passed:
        return f"{_DEVICE} opens, and a tiny guest does not start: {boot.complaint}"
    return (
        f"{_DEVICE} opens, and a tiny guest comes as far as {boot.passed[-1]}, "
        f"not to the end of {boot.stopped_before}: {boot.complaint}"
    )


def _bring_device(host: Host) -> list[str]:
    flags = host.text("/proc/cpuinfo") or ""
    module = (
        "kvm_amd" if re.search(r"\bsvm\b", flags) else "kvm_intel" if re.search(r"\bvmx\b", flags) else None
    )
    if module:
        return [fix.as_root(host, f"modprobe {module}")]
    return [
        "turn on virtualization in the firmware, or nested virtualization in the hypervisor",
        _CONTAINERS,
        _EMULATED,
    ]


def _missing_libvirt(host: Host, uri: str) -> dict[str, str]:
    """What is not there, and how it comes there."""
    missing = {}
    if uri == _SYSTEM and host.tool("libvirtd") is None and host.tool("virtqemud") is None:
        missing["libvirt"] = fix.install(host, "libvirt-daemon-system", guest_for(host.architecture).package)
    if host.package("libvirt-python") is None:
        # it comes as source, and is built here
        build = fix.install(host, "libvirt-dev", "pkg-config", "gcc", "python3-dev")
        missing["libvirt-python"] = f"{build} && {fix.install_python('libvirt-python>=9.0')}"
    return missing


def _reach_libvirt(host: Host) -> list[str]:
    start = fix.as_root(host, "systemctl enable --now libvirtd")
    join = f"sudo usermod -aG libvirt {host.user}  # then log in again"
    return [start] if host.is_root else [start, join]


_LIBVIRT = frozenset({Provider.LIBVIRT})

CHECKS = (
    Check(
        "kvm",
        "virtual machines run at full speed with it, 10 to 20 times slower without",
        kvm,
        _LIBVIRT,
        Pace.LONG,
    ),
    Check("libvirt", "virtual machines are made and broken through it", libvirt, _LIBVIRT, Pace.QUICK),
    Check("vagrant-libvirt", "Vagrant makes virtual machines through this plugin", plugin, _LIBVIRT),
)
