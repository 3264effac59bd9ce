"""Checks of the docker engine."""

from __future__ import annotations

import json
from pathlib import Path

from halab.doctor import fix
from halab.doctor.check import (
    DOCKER_ONLY,
    Check,
    Finding,
    Pace,
    Subject,
    failed,
    ok,
    remote,
    skipped,
    warning,
)
from halab.doctor.host import Host, System
from halab.errors import HalabError

_LOCAL = Path("/var/run/docker.sock")
_UNIX = "unix://"
_BARE_HOST = "scripts/bare-host run halab up  # in a checkout: starts an engine of its own"


def access(host: Host, subject: Subject) -> Finding:
    """The socket exists, and this user may use it."""
    socket = local_socket(host)
    if socket is None:
        return ok(f"not a local socket: DOCKER_HOST={host.variable('DOCKER_HOST')}")
    if not host.exists(socket):
        return failed(f"no such socket: {socket}", *_start_fixes(host))
    if not host.may_use(socket):
        return failed(
            f"{host.user} has no permission to use {socket}",
            f"sudo usermod -aG docker {host.user}  # then log in again",
        )
    return ok(f"{host.user} may use {socket}")


def answer(host: Host, subject: Subject) -> Finding:
    socket = local_socket(host)
    if socket and not (host.exists(socket) and host.may_use(socket)):
        return skipped("not checked: no access to the socket")
    try:
        facts = host.docker()
    except HalabError as error:
        if remote(host, subject):
            return failed(error.message, *([error.hint] if error.hint else []))
        return failed(error.message, *_start_fixes(host))
    seen = f"{facts.version}, cgroup v{facts.cgroup_version}{_from_environment(host)}"
    if facts.is_rootless:
        return failed(
            f"{seen}, rootless", "unset DOCKER_HOST; docker context use default", *_start_fixes(host)
        )
    return ok(seen)


def same_engine(host: Host, subject: Subject) -> Finding:
    """Vagrant runs the docker command, which follows docker's contexts; halab's docker library does not."""
    program = host.tool("docker")
    if program is None:
        # Debian 13 has it in a package of its own, which docker.io only recommends
        return failed(
            "not found: docker", fix.install(host, "docker-cli" if host.tool("dockerd") else "docker.io")
        )
    context = host.variable("DOCKER_CONTEXT") or _configured_context(host)
    if context in (None, "default") or host.variable("DOCKER_HOST"):
        return ok(program)
    return failed(
        f"the docker command uses the context {context}, but halab uses the engine of this host",
        "unset DOCKER_CONTEXT; docker context use default",
    )


def reach(host: Host, subject: Subject) -> Finding:
    """halab connects to the machines' own addresses: on this host, or through SSH to the engine's host."""
    address = host.variable("DOCKER_HOST")
    if address is None or address.startswith(_UNIX):
        return ok("on this host")
    if engine_host := remote(host, subject):
        return ok(f"on {engine_host}, over SSH")
    return warning(f"on another host: {address}", "export DOCKER_HOST=ssh://USER@HOST", "unset DOCKER_HOST")


def local_socket(system: System) -> Path | None:
    """The socket of the engine; None if DOCKER_HOST names something else than a socket."""
    address = system.variable("DOCKER_HOST")
    if address is None:
        return _LOCAL
    return Path(address.removeprefix(_UNIX)) if address.startswith(_UNIX) else None


def _from_environment(system: System) -> str:
    address = system.variable("DOCKER_HOST")
    return f", from DOCKER_HOST={address}" if address else ""


def _start_fixes(host: Host) -> list[str]:
    """Fixes that give access to an engine."""
    address = host.variable("DOCKER_HOST")
    fixes = [f"unset DOCKER_HOST  # it is {address}"] if address else []
    if not host.exists(Path("/run/systemd/system")):
        fixes.append(_BARE_HOST)
    elif host.tool("dockerd") is None:
        fixes.append(fix.install(host, "docker.io"))
    else:
        fixes.append(fix.as_root(host, "systemctl enable --now docker"))
    return fixes


def _configured_context(host: Host) -> str | None:
    folder = host.variable("DOCKER_CONFIG") or f"{host.variable('HOME') or ''}/.docker"
    try:
        settings = json.loads(host.text(f"{folder}/config.json") or "{}")
    except ValueError:
        return None
    return settings.get("currentContext") if isinstance(settings, dict) else None


CHECKS = (
    Check("docker command", "Vagrant's docker provider runs it", same_engine, DOCKER_ONLY, pace=Pace.QUICK),
    Check("docker access", "halab and Vagrant need the engine, which runs the machines as containers", access,
          DOCKER_ONLY, pace=Pace.QUICK),
    Check("docker engine", "machines are containers that run systemd with almost all capabilities", answer,
          DOCKER_ONLY, pace=Pace.QUICK),
    Check("docker host", "halab and the clients of a run connect to machines at addresses on the engine's host", reach,
          DOCKER_ONLY),
)  # fmt: skip
