"""Checks of libvirt: the way to it, its library, qemu, and Vagrant's plugin."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from halab import process
from halab.config.lab import ProviderKind
from halab.doctor import fix
from halab.doctor.check import (
    Check,
    CheckState,
    Finding,
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
# One daemon for everything, or one for qemu's machines alone.
_SOCKETS = (Path("/var/run/libvirt/libvirt-sock"), Path("/var/run/libvirt/virtqemud-sock"))
_DAEMONS = ("libvirtd", "virtqemud")
_GROUP = "libvirt"
_BARE_HOST = "scripts/bare-host virt halab up  # in a checkout: with a libvirt of its own"
_HERE = "unset LIBVIRT_DEFAULT_URI"
_BY_SSH = "export LIBVIRT_DEFAULT_URI=qemu+ssh://USER@HOST/system"

# The oldest plugin that brought up a lab; Debian 12 has it, with Vagrant 2.3.4.
_PLUGIN = (0, 11, 2)
_LAST_VAGRANT_BEFORE_RUBY_3 = (2, 3, 4)
# Vagrant came with another Ruby after 2.3.4. The first pair that is known to fit again:
# https://github.com/vagrant-libvirt/vagrant-libvirt/issues/1749
_NEWER_VAGRANT, _NEWER_PLUGIN = (2, 4, 1), (0, 12, 2)
_UPDATE = "vagrant plugin install vagrant-libvirt --plugin-version 0.12.2"
_VAGRANT_PAGE = "get Vagrant 2.4.1 or newer from https://developer.hashicorp.com/vagrant/install"


def address(host: Host, subject: Subject) -> str:
    return subject.written.provider_uri or host.variable("LIBVIRT_DEFAULT_URI") or SYSTEM


def facts(host: Host) -> LibvirtFacts | None:
    """What libvirt says; None where the checks of the way to it tell why it does not."""
    try:
        return host.libvirt()
    except HalabError:
        return None


def access(host: Host, subject: Subject) -> Finding:
    """Whether there is a socket, and this user may use it."""
    uri = address(host, subject)
    if uri != SYSTEM:
        named = "provider_uri: " if subject.written.provider_uri else "LIBVIRT_DEFAULT_URI="
        return ok(f"not by a socket of this host's libvirt: {named}{uri}")
    socket = next((each for each in _SOCKETS if host.is_there(each)), None)
    if socket is None:
        if not any(map(host.tool, _DAEMONS)):
            packages = ("libvirt-daemon-system", guest_for(host.architecture).package)
            return _absent(subject, "not installed: libvirt", fix.install(host, *packages))
        return _absent(subject, f"no such socket: {_SOCKETS[0]}", *_start(host))
    if not host.may_use(socket):
        return failed(f"{host.user} may not use {socket}", fix.join_group(host, _GROUP))
    how = "as root" if host.is_root else f"by the group {_GROUP}" if _GROUP in host.groups else "open to all"
    return ok(f"{host.user} may use {socket}, {how}")


def library(host: Host, subject: Subject) -> Finding:
    version = host.package("libvirt-python")
    if version is None:
        # it comes as source, and is built here
        build = fix.install(host, "libvirt-dev", "pkg-config", "gcc", "python3-dev")
        return _absent(
            subject,
            "not installed: libvirt-python",
            f"{build} && {fix.install_python('libvirt-python>=9.0')}",
        )
    problem = host.import_problem("libvirt")
    if problem:
        again = "--force-reinstall --no-cache-dir libvirt-python>=9.0"
        return _absent(
            subject, f"{version} is installed and cannot be imported: {problem}", fix.install_python(again)
        )
    return ok(version)


def answer(host: Host, subject: Subject) -> Finding:
    if access(host, subject).state is not CheckState.OK:
        return skipped("not asked, for want of access")
    if library(host, subject).state is not CheckState.OK:
        return skipped("not asked, for want of libvirt-python")
    uri = address(host, subject)
    try:
        told = host.libvirt()
    except HalabError as error:
        return failed(error.message, *_reach(host, subject))
    seen = f"{told.version} at {uri}"
    if told.driver != "QEMU":
        return failed(f"{seen}: it runs machines by {told.driver}, not by qemu", _HERE)
    if uri.endswith("/session"):
        return failed(f"{seen}: a session of one user makes no networks", _HERE)
    if remote(host, subject):
        return ok(f"{seen}: on another host, by ssh")
    if urlsplit(uri).netloc:
        return warning(f"{seen}: on another host, whose networks are not reached from here", _BY_SSH, _HERE)
    return ok(seen)


def qemu(host: Host, subject: Subject) -> Finding:
    guest = guest_for(host.architecture)
    packages = {guest.qemu: guest.package, "qemu-img": "qemu-utils"}
    missing = [name for name in packages if host.tool(name) is None]
    if missing:
        install = fix.install(host, *(packages[name] for name in missing))
        return _absent(subject, f"not found: {', '.join(missing)}", install)
    told = numbers(host.output(guest.qemu, "--version"))
    return ok(f"{dotted(told)}, {host.tool(guest.qemu)}" if told else str(host.tool(guest.qemu)))


def plugin(host: Host, subject: Subject) -> Finding:
    """Whether it is there, and fits the Vagrant that is there."""
    if host.tool("vagrant") is None:
        return skipped("not asked, for want of vagrant")
    found = re.search(r"^vagrant-libvirt \(([\d.]+)", host.output("vagrant", "plugin", "list"), re.MULTILINE)
    # Debian's own package fits Debian's Vagrant; the other builds against libvirt's headers
    install = (fix.install(host, "vagrant-libvirt"), "vagrant plugin install vagrant-libvirt")
    if found is None:
        return _absent(subject, "not installed: vagrant-libvirt", *install)
    version = numbers(found[1])
    vagrant = numbers(host.output("vagrant", "--version"))
    seen = f"{found[1]} with Vagrant {dotted(vagrant) or 'of an unknown version'}"
    if version < _PLUGIN:
        return _absent(subject, f"{found[1]}, older than {dotted(_PLUGIN)}", *install)
    if vagrant <= _LAST_VAGRANT_BEFORE_RUBY_3:
        return ok(seen)
    if vagrant >= _NEWER_VAGRANT and version < _NEWER_PLUGIN:
        return _absent(subject, f"{seen}, which wants {dotted(_NEWER_PLUGIN)}", _UPDATE)
    if vagrant < _NEWER_VAGRANT:
        return warning(f"{seen}: between 2.3.4 and 2.4.1 they are known not to fit", _VAGRANT_PAGE, _UPDATE)
    return ok(seen)


def _absent(subject: Subject, seen: str, *fixes: str) -> Finding:
    """What a lab of containers does without is no failure there."""
    return failed(seen, *fixes) if subject.provider is ProviderKind.LIBVIRT else skipped(seen, *fixes)


def _start(host: Host) -> list[str]:
    if not host.is_there(Path("/run/systemd/system")):
        return [_BARE_HOST]
    daemon = next((each for each in _DAEMONS if host.tool(each)), _DAEMONS[0])
    return [fix.as_root(host, f"systemctl enable --now {daemon}")]


def _reach(host: Host, subject: Subject) -> list[str]:
    """The group first: a user without it may open the socket, and is then refused by polkit."""
    if there := remote(host, subject):
        return [
            process.pasteable([*there.ssh(), "virsh", "-c", SYSTEM, "uri"])
            + "  # must work without a question"
        ]
    ways = _start(host)
    if address(host, subject) != SYSTEM:
        ways = [f"{_HERE}  # it is {address(host, subject)}", *ways]
    return ways if host.is_root or _GROUP in host.groups else [fix.join_group(host, _GROUP), *ways]


_LIBVIRT = frozenset({ProviderKind.LIBVIRT})

CHECKS = (
    Check("libvirt access", "machines are virtual: halab and Vagrant ask libvirt for them", access, _LIBVIRT,
          Pace.QUICK),
    Check("libvirt-python", "halab talks to libvirt through it", library, _LIBVIRT, Pace.QUICK),
    Check("libvirt", "virtual machines are made and broken through it", answer, _LIBVIRT, Pace.QUICK),
    Check("qemu", "it is what runs a virtual machine, with KVM or without", qemu, _LIBVIRT, Pace.QUICK,
          of_the_machines_host=True),
    Check("vagrant-libvirt", "Vagrant makes virtual machines through this plugin", plugin, _LIBVIRT,
          asked_at_up=True),
)  # fmt: skip
