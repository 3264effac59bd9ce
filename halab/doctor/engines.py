"""Checks of the docker engine."""

from __future__ import annotations

import json
from pathlib import Path

from halab.config.lab import ProviderKind
from halab.doctor import fix
from halab.doctor.check import Check, Finding, Pace, Subject, failed, ok, remote, skipped, warning
from halab.doctor.host import Host
from halab.errors import HalabError

_LOCAL = Path("/var/run/docker.sock")
_UNIX = "unix://"
_BARE_HOST = "scripts/bare-host run halab up  # in a checkout: with an engine of its own"
_DOCKER = frozenset({ProviderKind.DOCKER})


def access(host: Host, subject: Subject) -> Finding:
    """Whether there is a socket, and this user may use it."""
    socket = local_socket(host)
    if socket is None:
        return ok(f"not by a socket of this host: DOCKER_HOST={host.variable('DOCKER_HOST')}")
    if not host.is_there(socket):
        return failed(f"no such socket: {socket}", *_start(host))
    if not host.may_use(socket):
        return failed(
            f"{host.user} may not use {socket}",
            f"sudo usermod -aG docker {host.user}  # then log in again",
        )
    return ok(f"{host.user} may use {socket}")


def answer(host: Host, subject: Subject) -> Finding:
    socket = local_socket(host)
    if socket and not (host.is_there(socket) and host.may_use(socket)):
        return skipped("not asked, for want of access")
    try:
        facts = host.engine()
    except HalabError as error:
        if remote(host, subject):
            return failed(error.message, *([error.hint] if error.hint else []))
        return failed(error.message, *_start(host))
    seen = f"{facts.version}, cgroup v{facts.cgroup_version}{_by_way_of(host)}"
    if facts.is_rootless:
        return failed(f"{seen}, rootless", "unset DOCKER_HOST; docker context use default", *_start(host))
    return ok(seen)


def same_engine(host: Host, subject: Subject) -> Finding:
    """Vagrant runs the docker command, which follows docker's contexts; halab's library does not."""
    program = host.tool("docker")
    if program is None:
        return failed("not found: docker", fix.install(host, "docker.io"))
    context = host.variable("DOCKER_CONTEXT") or _configured_context(host)
    if context in (None, "default") or host.variable("DOCKER_HOST"):
        return ok(program)
    return failed(
        f"the docker command uses the context {context}, and halab the engine of this host",
        "unset DOCKER_CONTEXT; docker context use default",
    )


def reach(host: Host, subject: Subject) -> Finding:
    """Machines are reached at their own addresses: on this host, or through an ssh to theirs."""
    address = host.variable("DOCKER_HOST")
    if address is None or address.startswith(_UNIX):
        return ok("on this host")
    if there := remote(host, subject):
        return ok(f"on {there}, by ssh")
    return warning(f"on another host: {address}", "export DOCKER_HOST=ssh://USER@HOST", "unset DOCKER_HOST")


def local_socket(host: Host) -> Path | None:
    """The socket by which the engine is asked; None where DOCKER_HOST names another way."""
    address = host.variable("DOCKER_HOST")
    if address is None:
        return _LOCAL
    return Path(address.removeprefix(_UNIX)) if address.startswith(_UNIX) else None


def _by_way_of(host: Host) -> str:
    address = host.variable("DOCKER_HOST")
    return f", by DOCKER_HOST={address}" if address else ""


def _start(host: Host) -> list[str]:
    """How to come to an engine that answers."""
    named = host.variable("DOCKER_HOST")
    ways = [f"unset DOCKER_HOST  # it is {named}"] if named else []
    if not host.is_there(Path("/run/systemd/system")):
        ways.append(_BARE_HOST)
    elif host.tool("dockerd") is None:
        ways.append(fix.install(host, "docker.io"))
    else:
        ways.append(fix.as_root(host, "systemctl enable --now docker"))
    return ways


def _configured_context(host: Host) -> str | None:
    folder = host.variable("DOCKER_CONFIG") or f"{host.variable('HOME') or ''}/.docker"
    try:
        settings = json.loads(host.text(f"{folder}/config.json") or "{}")
    except ValueError:
        return None
    return settings.get("currentContext") if isinstance(settings, dict) else None


CHECKS = (
    Check("docker command", "Vagrant's docker provider runs it", same_engine, _DOCKER, pace=Pace.QUICK),
    Check("docker access", "machines are containers: halab and Vagrant ask the engine for them", access, _DOCKER,
          pace=Pace.QUICK),
    Check("docker engine", "machines are containers that run systemd, with all but a few capabilities", answer,
          _DOCKER, pace=Pace.QUICK),
    Check("docker host", "halab and the load of a run reach machines at addresses of the engine's host", reach,
          _DOCKER),
)  # fmt: skip
