"""Checks of KVM, nested KVM and the processors, which decide how fast virtual machines run."""

from __future__ import annotations

import re
from pathlib import Path

from halab.config.lab import Acceleration, ProviderKind
from halab.doctor import fix
from halab.doctor.check import LIBVIRT_ONLY, Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.host import Files, Host
from halab.doctor.kvm_guest import Boot, guest_for

_DEVICE = Path("/dev/kvm")
_CONTAINERS = "provider: docker  # in the lab file; needs no KVM"
_EMULATED = "accel: tcg  # in the lab file, with `patience: 10`; everything works, 10 to 20 times slower"
# Under tcg an idle control plane uses more than one core. Of three on two cores the third did not join.
_EMULATED_CORES_PER_NODE = 1.3


def kvm(host: Host, subject: Subject) -> Finding:
    """Boot a guest: neither the device nor the processor's flags show that KVM works."""
    if subject.written.accel is Acceleration.TCG:
        return skipped("the lab file says accel: tcg")
    if not host.exists(_DEVICE):
        return failed(f"no such device: {_DEVICE}", *_device_fixes(host))
    if not host.may_use(_DEVICE):
        return failed(f"{host.user} has no permission to use {_DEVICE}", fix.join_group(host, "kvm"))
    guest = guest_for(host.architecture)
    program = host.tool(guest.qemu)
    if program is None:
        return skipped(f"not tested: {guest.qemu} is not installed", fix.install(host, guest.package))
    boot = host.boot_guest(guest, program)
    if boot.is_complete:
        return ok("a guest booted")
    return failed(
        _how_it_stopped(boot),
        _CONTAINERS,
        _EMULATED,
        "use a host that runs guests on its processor, not one that emulates them",
    )


def nested(host: Host, subject: Subject) -> Finding:
    """Nested KVM, if this host is itself a virtual machine."""
    if subject.written.accel is Acceleration.TCG:
        return skipped("the lab file says accel: tcg")
    flags = _flags(host)
    if not flags:
        return skipped("/proc/cpuinfo does not say whether this host is a virtual machine")
    if "hypervisor" not in flags:
        return ok("this host is not a virtual machine")
    nesting = flags & {"vmx", "svm"}
    if nesting:
        return ok(f"this host is a virtual machine with nested KVM: its processor has {', '.join(nesting)}")
    return warning(
        "this host is a virtual machine without nested KVM: its processor has neither vmx nor svm",
        "echo 'options kvm_intel nested=1' | sudo tee /etc/modprobe.d/kvm-nested.conf"
        "  # on the hypervisor (kvm_amd for AMD); then restart it and give this machine its own processor model",
        _CONTAINERS,
        _EMULATED,
    )


def processors(host: Host, subject: Subject) -> Finding:
    """There is a measured minimum only for emulated machines."""
    seen = f"{host.cores} cores for {subject.nodes} nodes"
    if subject.written.accel is not Acceleration.TCG or subject.provider is not ProviderKind.LIBVIRT:
        return ok(seen)
    needed = round(_EMULATED_CORES_PER_NODE * subject.nodes)
    if host.cores >= needed:
        return ok(f"{seen}, emulated")
    return warning(
        f"{seen}, emulated: about {needed} are needed, or etcd loses its leader and nodes do not join",
        f"control_planes: 1  # in {subject.file}",
        _CONTAINERS,
    )


def _how_it_stopped(boot: Boot) -> str:
    if not boot.passed:
        return f"{_DEVICE} opens, but a tiny guest does not start: {boot.complaint}"
    return (
        f"{_DEVICE} opens, but a tiny guest stops after {boot.passed[-1]} "
        f"and does not complete {boot.stopped_before}: {boot.complaint}"
    )


def _device_fixes(host: Host) -> list[str]:
    flags = _flags(host)
    module = "kvm_amd" if "svm" in flags else "kvm_intel" if "vmx" in flags else None
    if module:
        return [fix.as_root(host, f"modprobe {module}"), _CONTAINERS, _EMULATED]
    return [
        "turn on virtualization in the firmware, or nested virtualization in the hypervisor",
        _CONTAINERS,
        _EMULATED,
    ]


def _flags(files: Files) -> set[str]:
    """The flags of the first processor; arm64 has none."""
    line = re.search(r"^flags\s*:(.*)$", files.text("/proc/cpuinfo") or "", re.MULTILINE)
    return set(line[1].split()) if line else set()


CHECKS = (
    Check("kvm", "with KVM virtual machines run at full speed, without it 10 to 20 times slower", kvm, LIBVIRT_ONLY,
          Pace.LONG, about_machines_host=True),
    Check("nested kvm", "a virtual machine inside another one needs nested KVM", nested,
          LIBVIRT_ONLY, about_machines_host=True),
    Check("processors", "a control plane that waits for a processor looks like one that failed", processors,
          LIBVIRT_ONLY, Pace.QUICK, about_machines_host=True,
          boot_reason="with too few processors machines boot slowly"),
)  # fmt: skip
