"""Checks of KVM, nested KVM and the processors, which decide how fast virtual machines run."""

from __future__ import annotations

import re
from pathlib import Path

from halab.config.lab import Acceleration, ProviderKind
from halab.doctor import fix
from halab.doctor.check import LIBVIRT_ONLY, Check, Finding, Pace, Subject, failed, ok, skipped, warning
from halab.doctor.host import Files, Host
from halab.doctor.kvm_guest import Boot, guest_for
from halab.errors import HalabError
from halab.printable import counted

_DEVICE = Path("/dev/kvm")
_GROUP = "kvm"
# scripts/bare-host sets it for the commands that it runs.
_BARE_HOST_KVM = "HALAB_BARE_HOST_KVM"
_CONTAINERS = "provider: docker  # in the lab file; needs no KVM"
_EMULATED = "accel: tcg  # in the lab file, with `patience: 10`; everything works, 10 to 20 times slower"
# The rule of GitHub for its runners:
# https://github.blog/changelog/2023-02-23-hardware-accelerated-android-virtualization-on-actions-windows-and-linux-larger-hosted-runners/
_UDEV_RULE = (
    """sh -c 'echo "KERNEL==\\"kvm\\", GROUP=\\"kvm\\", MODE=\\"0666\\", OPTIONS+=\\"static_node=kvm\\"" """
    """>/etc/udev/rules.d/99-kvm4all.rules && udevadm control --reload-rules && udevadm trigger --name-match=kvm'"""
)
_OPEN_DEVICE = f"sh -c 'chgrp {_GROUP} {_DEVICE} && chmod 660 {_DEVICE}'"
# Under tcg an idle control plane uses more than one core. Of three on two cores the third did not join.
_EMULATED_CORES_PER_NODE = 1.3


def kvm(host: Host, subject: Subject) -> Finding:
    """Boot a guest: neither the device nor the processor's flags show that KVM works."""
    if subject.written.accel is Acceleration.TCG:
        return skipped("the lab file says accel: tcg")
    if not host.exists(_DEVICE):
        return failed(f"no such device: {_DEVICE}", *_device_fixes(host))
    if host.variable(_BARE_HOST_KVM) == "no":
        # the libvirt of a bare host has its own view of the device
        return failed(
            f"scripts/bare-host hides {_DEVICE} from its libvirt: no guest booted, or {_BARE_HOST_KVM}=no",
            _CONTAINERS,
            _EMULATED,
            f"scripts/bare-host stop && {_BARE_HOST_KVM}=yes scripts/bare-host virt halab doctor",
        )
    if not host.may_use(_DEVICE):
        return _without_permission(host)
    guest = guest_for(host.architecture)
    program = host.tool(guest.qemu)
    if program is None:
        return skipped(f"not tested: {guest.qemu} is not installed", fix.install(host, guest.package))
    boot = host.boot_guest(guest, program)
    if boot.is_complete:
        return _booted(host)
    return failed(
        _how_it_stopped(boot),
        _CONTAINERS,
        _EMULATED,
        "use a host whose KVM runs guests on the processor and does not emulate them",
    )


def _without_permission(host: Host) -> Finding:
    """This user cannot boot the test guest. Machines can still get KVM: libvirt's qemu opens the device."""
    seen = f"{host.user} has no permission to use {_DEVICE}"
    rule = fix.as_root(host, _UDEV_RULE)
    fixes = (fix.join_group(host, _GROUP), f"{rule}  # in CI, where nobody can log in again")
    if _GROUP in host.groups:
        # a container or WSL may have a device of root alone
        seen = f"{seen}, although in the group {_GROUP}: the device is not open to that group"
        fixes = (rule, f"{fix.as_root(host, _OPEN_DEVICE)}  # without udev; until the next boot")
    try:
        if host.libvirt_has_kvm():
            return warning(f"{seen}, so it was not tested; libvirt says that it can use KVM", *fixes)
    except HalabError:
        return failed(f"{seen}, and libvirt does not say whether it can use KVM", *fixes)
    return failed(f"{seen}, and libvirt cannot use KVM either", *fixes)


def _booted(host: Host) -> Finding:
    """The guest was booted by this user, here. libvirt may be elsewhere: in a namespace without the device."""
    try:
        if not host.libvirt_has_kvm():
            return failed(
                f"a guest booted, but libvirt cannot use {_DEVICE}",
                fix.as_root(host, "systemctl restart libvirtd") + "  # libvirt started before KVM worked",
                _CONTAINERS,
                _EMULATED,
            )
    except HalabError:
        return ok("a guest booted")
    return ok("a guest booted, and libvirt can use KVM")


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
        "  # on the hypervisor (kvm_amd for AMD); then restart the hypervisor, and give this virtual machine"
        " the processor model of the hypervisor (host-passthrough)",
        _CONTAINERS,
        _EMULATED,
    )


def processors(host: Host, subject: Subject) -> Finding:
    """There is a measured minimum only for emulated machines."""
    seen = f"{counted(host.cores, 'core')} for {counted(subject.nodes, 'node')}"
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
        f"{_DEVICE} opens, but a tiny guest stops: it completes {boot.passed[-1]}, but not {boot.stopped_before} "
        f"({boot.complaint})"
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
