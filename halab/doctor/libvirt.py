"""Checks of libvirt: access, the Python library, qemu and Vagrant's plugin."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from halab import process
from halab.config.lab import ProviderKind
from halab.doctor import fix
from halab.doctor.check import (
    LIBVIRT_ONLY,
    Check,
    Finding,
    HostCheckState,
    Pace,
    Subject,
    failed,
    ok,
    remote,
    skipped,
    warning,
)
from halab.doctor.host import Host
from halab.doctor.kvm_guest import guest_for
from halab.doctor.tools import dotted, numbers
from halab.errors import HalabError
from halab.machines.libvirt.facts import LibvirtFacts

SYSTEM = "qemu:///system"
# The socket of one daemon for everything, or of the daemon for qemu only.
_SOCKETS = (Path("/var/run/libvirt/libvirt-sock"), Path("/var/run/libvirt/virtqemud-sock"))
_DAEMONS = ("libvirtd", "virtqemud")
_GROUP = "libvirt"
_BARE_HOST = "scripts/bare-host virt halab up  # in a checkout: starts a libvirt of its own"
_UNSET = "unset LIBVIRT_DEFAULT_URI"
_BY_SSH = "export LIBVIRT_DEFAULT_URI=qemu+ssh://USER@HOST/system"


def address(host: Host, subject: Subject) -> str:
    return subject.written.provider_uri or host.variable("LIBVIRT_DEFAULT_URI") or SYSTEM


def local_socket(host: Host) -> Path | None:
    """The socket of this host's libvirt; None if it does not run."""
    return next(filter(host.exists, _SOCKETS), None)


def facts(host: Host) -> LibvirtFacts | None:
    """What libvirt reports about itself; None if it does not answer, which other checks explain."""
    try:
        return host.libvirt()
    except HalabError:
        return None


def access(host: Host, subject: Subject) -> Finding:
    """The socket exists, and this user may use it."""
    uri = address(host, subject)
    if uri != SYSTEM:
        origin = "provider_uri: " if subject.written.provider_uri else "LIBVIRT_DEFAULT_URI="
        return ok(f"not a local socket: {origin}{uri}")
    socket = local_socket(host)
    if socket is None:
        if not any(map(host.tool, _DAEMONS)):
            packages = ("libvirt-daemon-system", guest_for(host.architecture).package)
            return lacking(subject, "not installed: libvirt", fix.install(host, *packages))
        return lacking(subject, f"no such socket: {_SOCKETS[0]}", *_start_fixes(host))
    if not host.may_use(socket):
        return failed(f"{host.user} has no permission to use {socket}", fix.join_group(host, _GROUP))
    how = (
        "as root"
        if host.is_root
        else f"through the group {_GROUP}"
        if _GROUP in host.groups
        else "open to everyone"
    )
    return ok(f"{host.user} may use {socket}, {how}")


def library(host: Host, subject: Subject) -> Finding:
    version = host.package("libvirt-python")
    if version is None:
        # pip downloads its source and builds it
        then = fix.install_python("libvirt-python>=9.0")
        build = fix.install(host, "libvirt-dev", "pkg-config", "gcc", "python3-dev", then=then)
        return lacking(subject, "not installed: libvirt-python", build)
    problem = host.import_problem("libvirt")
    if problem:
        again = "--force-reinstall --no-cache-dir libvirt-python>=9.0"
        return lacking(
            subject, f"{version} is installed but cannot be imported: {problem}", fix.install_python(again)
        )
    return ok(version)


def answer(host: Host, subject: Subject) -> Finding:
    if access(host, subject).state is not HostCheckState.OK:
        return skipped("not checked: no access to the socket")
    if library(host, subject).state is not HostCheckState.OK:
        return skipped("not checked: libvirt-python is missing")
    uri = address(host, subject)
    try:
        facts = host.libvirt()
    except HalabError as error:
        return failed(error.message, *_access_fixes(host, subject))
    seen = f"{facts.version} at {uri}"
    if facts.driver != "QEMU":
        return failed(f"{seen}: its driver is {facts.driver}, not QEMU", _UNSET)
    if uri.endswith("/session"):
        return failed(f"{seen}: a user session cannot create networks", _UNSET)
    if remote(host, subject):
        return ok(f"{seen}, on another host, over SSH")
    if urlsplit(uri).netloc:
        return warning(
            f"{seen}, on another host, whose networks cannot be reached from here", _BY_SSH, _UNSET
        )
    return ok(seen)


def qemu(host: Host, subject: Subject) -> Finding:
    guest = guest_for(host.architecture)
    packages = {guest.qemu: guest.package, "qemu-img": "qemu-utils"}
    missing = [name for name in packages if host.tool(name) is None]
    if missing:
        install = fix.install(host, *(packages[name] for name in missing))
        return lacking(subject, f"not found: {', '.join(missing)}", install)
    version = numbers(host.output(guest.qemu, "--version"))
    return ok(f"{dotted(version)}, {host.tool(guest.qemu)}" if version else str(host.tool(guest.qemu)))


def lacking(subject: Subject, seen: str, *fixes: str) -> Finding:
    """A failure only for labs of virtual machines: a lab of containers does not need it."""
    return failed(seen, *fixes) if subject.provider is ProviderKind.LIBVIRT else skipped(seen, *fixes)


def _start_fixes(host: Host) -> list[str]:
    if not host.exists(Path("/run/systemd/system")):
        return [_BARE_HOST]
    daemon = next(filter(host.tool, _DAEMONS), _DAEMONS[0])
    return [fix.as_root(host, f"systemctl enable --now {daemon}")]


def _access_fixes(host: Host, subject: Subject) -> list[str]:
    """The group comes first: without it a user may open the socket, but polkit refuses the connection."""
    if machines_host := remote(host, subject):
        return [
            process.pasteable([*machines_host.ssh(), "virsh", "-c", SYSTEM, "uri"])
            + "  # must work without a prompt"
        ]
    fixes = _start_fixes(host)
    if address(host, subject) != SYSTEM:
        fixes = [f"{_UNSET}  # it is {address(host, subject)}", *fixes]
    return fixes if host.is_root or _GROUP in host.groups else [fix.join_group(host, _GROUP), *fixes]


CHECKS = (
    Check("libvirt access", "halab and Vagrant need libvirt, which runs the virtual machines", access, LIBVIRT_ONLY,
          Pace.QUICK),
    Check("libvirt-python", "halab uses this library to talk to libvirt", library, LIBVIRT_ONLY, Pace.QUICK),
    Check("libvirt", "halab creates and breaks virtual machines through it", answer, LIBVIRT_ONLY, Pace.QUICK),
    Check("qemu", "it runs the virtual machines, with KVM or without", qemu, LIBVIRT_ONLY, Pace.QUICK,
          about_machines_host=True),
)  # fmt: skip
