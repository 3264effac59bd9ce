"""Checks of programs and libraries."""

from __future__ import annotations

import re

from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, warning
from halab.doctor.host import Host

_PYTHON = (3, 11)
# The oldest version that worked with halab; Debian 12 has it.
_VAGRANT = (2, 3, 4)
_VAGRANT_PAGE = "get it from https://developer.hashicorp.com/vagrant/install"
_PYTHON_VAGRANT = "python-vagrant>=1.0,<1.1"


def python(host: Host, subject: Subject) -> Finding:
    seen = dotted(host.python)
    if host.python >= _PYTHON:
        return ok(seen)
    return failed(
        f"{seen}, older than {dotted(_PYTHON)}",
        f"{fix.install(host, 'python3.11', 'python3.11-venv')}  # then install halab with it",
    )


def vagrant(host: Host, subject: Subject) -> Finding:
    if host.tool("vagrant") is None:
        return failed("not found: vagrant", fix.install(host, "vagrant"), _VAGRANT_PAGE)
    output = host.output("vagrant", "--version").strip()
    version = numbers(output)
    if not version:
        return warning(f"unknown version: {output or 'no output'}", "vagrant --version")
    seen = dotted(version)
    if version >= _VAGRANT:
        return ok(seen)
    return failed(f"{seen}, older than {dotted(_VAGRANT)}", fix.install(host, "vagrant"), _VAGRANT_PAGE)


def python_vagrant(host: Host, subject: Subject) -> Finding:
    version = host.package("python-vagrant")
    if version is None:
        return failed("not installed: python-vagrant", fix.install_python(_PYTHON_VAGRANT))
    if numbers(version)[:2] != (1, 0):
        return failed(f"{version}, but halab needs 1.0", fix.install_python(_PYTHON_VAGRANT))
    problem = host.import_problem("vagrant")
    if problem:
        again = f"--force-reinstall {_PYTHON_VAGRANT}"
        return failed(f"{version} is installed but cannot be imported: {problem}", fix.install_python(again))
    return ok(version)


def ssh(host: Host, subject: Subject) -> Finding:
    return _tools(host, {"ssh": "openssh-client", "ssh-keygen": "openssh-client"})


def iproute(host: Host, subject: Subject) -> Finding:
    return _tools(host, {"ip": "iproute2"})


def _tools(host: Host, packages: dict[str, str]) -> Finding:
    """All of these commands are installed. `packages` gives the package of every command."""
    paths = {name: host.tool(name) for name in packages}
    missing = [name for name, path in paths.items() if path is None]
    if missing:
        needed = sorted({packages[name] for name in missing})
        return failed(f"not found: {', '.join(missing)}", fix.install(host, *needed))
    return ok(", ".join(str(path) for path in paths.values()))


def numbers(text: str) -> tuple[int, ...]:
    """The first version in a text; empty if there is none."""
    version = re.search(r"\d+(\.\d+)+", text)
    return tuple(map(int, version[0].split("."))) if version else ()


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


CHECKS = (
    Check("python", "halab needs Python 3.11 or newer", python, pace=Pace.QUICK),
    Check("vagrant", "Vagrant creates and removes the machines", vagrant, pace=Pace.QUICK),
    Check(
        "python-vagrant",
        "halab talks to Vagrant through it; later versions hide Vagrant's failures",
        python_vagrant,
        pace=Pace.QUICK,
    ),
    Check(
        "ssh",
        "halab sets up and watches the machines over SSH, with a key per lab",
        ssh,
        pace=Pace.QUICK,
    ),
    Check(
        "iproute2",
        "halab reads the host's routes with `ip`, to find a free network",
        iproute,
        pace=Pace.QUICK,
    ),
)
