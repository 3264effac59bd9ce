"""Checks of programs and libraries."""

from __future__ import annotations

import re

from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, warning
from halab.doctor.host import Host
from halab.packages import BUILD_ELSEWHERE, Family

_PYTHON = (3, 11)
_NO_MACHINES = "provider: docker  # in the lab file; or name a libvirt on another host with `provider_uri`"


def system(host: Host, subject: Subject) -> Finding:
    """halab was tested on Debian 12. Say at once what it does not support elsewhere."""
    here = fix.distribution(host)
    if here.family is Family.DEBIAN:
        return ok(here.name)
    if not here.is_rhel and host.tool("mmdebstrap"):
        return ok(f"{here.name}, where nobody has tested halab")
    if here.is_rhel:
        return warning(
            f"{here.name}: halab builds no boxes here and runs no virtual machines, because there is no "
            "qemu-system-x86_64",
            BUILD_ELSEWHERE,
            _NO_MACHINES,
        )
    return warning(f"{here.name}: halab builds no boxes here, and nobody has tested it", BUILD_ELSEWHERE)


def python(host: Host, subject: Subject) -> Finding:
    seen = dotted(host.python)
    if host.python >= _PYTHON:
        return ok(seen)
    return failed(
        f"{seen}, older than {dotted(_PYTHON)}",
        f"{fix.install(host, 'python3.11', 'python3.11-venv')}  # then install halab with it",
    )


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
    Check(
        "distribution",
        "halab is tested on Debian 12; packages and their names differ elsewhere",
        system,
        pace=Pace.QUICK,
    ),
    Check("python", "halab needs Python 3.11 or newer", python, pace=Pace.QUICK),
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
