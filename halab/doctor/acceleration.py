"""Checks of what runs the instructions of virtual machines: KVM, nested or not, or qemu alone."""

from __future__ import annotations

import re
from pathlib import Path

from halab.config.lab import Acceleration, ProviderKind
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.host import Host
from halab.doctor.kvm_guest import Boot, guest_for

_DEVICE = Path("/dev/kvm")
_CONTAINERS = "provider: docker  # in the lab file: it needs no KVM"
_EMULATED = "accel: tcg  # in the lab file, with `patience: 10`: complete, 10 to 20 times slower"
# Under tcg a control plane that idles takes more than one core. Of three on two cores the third did not join.
_EMULATED_CORES_PER_NODE = 1.3


def kvm(host: Host, subject: Subject) -> Finding:
    """KVM is usable where it boots a guest: the device and the processor's flags do not tell."""
    if subject.written.accel is Acceleration.TCG:
        return skipped("the lab file says accel: tcg")
    if not host.is_there(_DEVICE):
        return failed(f"no such device: {_DEVICE}", *_bring_device(host))
    if not host.may_use(_DEVICE):
        return failed(f"{host.user} may not use {_DEVICE}", fix.join_group(host, "kvm"))
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


def nested(host: Host, subject: Subject) -> Finding:
    """Whether this host is a virtual machine itself, and its hypervisor lets it have machines of its own."""
    if subject.written.accel is Acceleration.TCG:
        return skipped("the lab file says accel: tcg")
    flags = _flags(host)
    if not flags:
        return skipped("/proc/cpuinfo does not say whether this host is a virtual machine")
    if "hypervisor" not in flags:
        return ok("this host is no virtual machine")
    passed = flags & {"vmx", "svm"}
    if passed:
        return ok(
            f"this host is a virtual machine, and its processor has {', '.join(passed)}: KVM is nested"
        )
    return warning(
        "this host is a virtual machine, and its processor has neither vmx nor svm: "
        "the hypervisor below does not pass them on",
        "echo 'options kvm_intel nested=1' | sudo tee /etc/modprobe.d/kvm-nested.conf"
        "  # on the machine below (kvm_amd with AMD), then restart it, and give this host its processor as it is",
        _CONTAINERS,
        _EMULATED,
    )


def processors(host: Host, subject: Subject) -> Finding:
    """Only where they are emulated is there a measured bound."""
    seen = f"{host.cores} for {subject.nodes} nodes"
    if subject.written.accel is not Acceleration.TCG or subject.provider is not ProviderKind.LIBVIRT:
        return ok(seen)
    needed = round(_EMULATED_CORES_PER_NODE * subject.nodes)
    if host.cores >= needed:
        return ok(f"{seen}, emulated")
    return warning(
        f"{seen}, emulated: they want about {needed}, or else etcd loses its leader and nodes do not join",
        f"control_planes: 1  # in {subject.file}",
        _CONTAINERS,
    )


def _stopped(boot: Boot) -> str:
    if not boot.passed:
        return f"{_DEVICE} opens, and a tiny guest does not start: {boot.complaint}"
    return (
        f"{_DEVICE} opens, and a tiny guest comes as far as {boot.passed[-1]}, "
        f"not to the end of {boot.stopped_before}: {boot.complaint}"
    )


def _bring_device(host: Host) -> list[str]:
    flags = _flags(host)
    module = "kvm_amd" if "svm" in flags else "kvm_intel" if "vmx" in flags else None
    if module:
        return [fix.as_root(host, f"modprobe {module}"), _CONTAINERS, _EMULATED]
    return [
        "turn on virtualization in the firmware, or nested virtualization in the hypervisor",
        _CONTAINERS,
        _EMULATED,
    ]


def _flags(host: Host) -> set[str]:
    """Of the first processor; arm64 has none of these."""
    found = re.search(r"^flags\s*:(.*)$", host.text("/proc/cpuinfo") or "", re.MULTILINE)
    return set(found[1].split()) if found else set()


_LIBVIRT = frozenset({ProviderKind.LIBVIRT})

CHECKS = (
    Check("kvm", "virtual machines run at full speed with it, 10 to 20 times slower without", kvm, _LIBVIRT,
          Pace.LONG, of_the_machines_host=True),
    Check("nested kvm", "a virtual machine inside another one needs the help of the one below", nested,
          _LIBVIRT, of_the_machines_host=True),
    Check("processors", "control planes that wait for a processor look like control planes that failed", processors,
          _LIBVIRT, Pace.QUICK, of_the_machines_host=True, when_silent="with too few processors machines boot slowly"),
)  # fmt: skip
