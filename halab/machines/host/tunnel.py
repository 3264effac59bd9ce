"""A tunnel to the host that a lab's machines live on: one `ssh` of a command of halab, and it ends with that command.

Addresses of the lab's network are not routed from here: they are reached through a SOCKS5 proxy of that ssh. A docker
engine there is reached by its socket, which the same ssh forwards. Both are Unix sockets in a folder of this user's: a
port of loopback would be open to all users of this host. The folder is a temporary one, because the path of a socket
has 107 bytes at most, and that of a work folder may have more.
"""

from __future__ import annotations

import atexit
import socket
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halab import process
from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.config.remote import Remote
from halab.errors import HostProblem, TimedOut

LOOPBACK = "127.0.0.1"
_START_SECONDS = 30
_SSH_FAILED = 255
# Of the engine that the other host's own docker command asks. It may be another than the usual one.
_ENGINE = "docker context inspect --format '{{.Endpoints.docker.Host}}'"


@dataclass(frozen=True)
class Tunnel:
    """`socket` is that of the SOCKS5 proxy; `engine` is that of the engine, where one was asked for."""

    socket: str
    engine: Path | None = None


_held = ExitStack()
atexit.register(_held.close)
_open: dict[tuple[Remote, bool], Tunnel] = {}
# Questions are asked from several threads, and the first of each opens the tunnel for all.
_opening = threading.Lock()


def to(remote: Remote, *, engine: bool = False) -> Tunnel:
    """The tunnel of this command to that host. HostProblem says why there is none."""
    with _opening:
        wanted = (remote, engine)
        if wanted not in _open:
            _open[wanted] = _start(remote, _engine_socket(remote) if engine else None)
        return _open[wanted]


def port_to(remote: Remote, host: str, port: int) -> int:
    """A port of loopback that leads to one port there while this command runs: for programs that know no sockets."""
    local = _free_port()
    address = (LOOPBACK, local)
    _forward(folder(), remote, ["-L", f"{LOOPBACK}:{local}:{host}:{port}"], [(socket.AF_INET, address)])
    return local


def ask(remote: Remote, command: str, *, timeout_seconds: float = _START_SECONDS) -> process.Completed:
    """Run a command on that host. HostProblem where it is not reached."""
    ssh = process.find("ssh", hint="sudo apt-get install openssh-client")
    try:
        done = process.run(
            [ssh, *remote.ssh("-T")[1:], "--", command], timeout_seconds=timeout_seconds, check=False
        )
    except TimedOut as error:
        raise HostProblem(f"{remote} does not answer over SSH", hint=_hint(remote)) from error
    if done.code == _SSH_FAILED:
        raise _refused(remote, done.errors)
    return done


def command(remote: Remote, port: int) -> str:
    """What a person types for a tunnel of their own."""
    return process.pasteable(remote.ssh("-N", "-D", f"{LOOPBACK}:{port}"))


def _engine_socket(remote: Remote) -> str:
    done = ask(remote, _ENGINE)
    where = done.output.strip()
    if done.code != 0:
        raise HostProblem(
            f"no docker on {remote}: {_last_line(done.errors)}", hint=f"install docker.io on {remote.host}"
        )
    if not where.startswith("unix://"):
        raise HostProblem(
            f"docker on {remote} asks an engine elsewhere: {where}", hint="name that host itself"
        )
    return where.removeprefix("unix://")


def _start(remote: Remote, engine: str | None) -> Tunnel:
    own = folder()
    # that -D takes a path is in OpenSSH since it knows Unix sockets (6.7), and not in its manual
    tunnel = Tunnel(str(own / "socks"), own / "docker.sock" if engine else None)
    options, sockets = ["-D", tunnel.socket], [tunnel.socket]
    if engine:
        options += ["-L", f"{tunnel.engine}:{engine}"]
        sockets.append(str(tunnel.engine))
    _forward(own, remote, options, [(socket.AF_UNIX, each) for each in sockets])
    return tunnel


def folder() -> Path:
    """A new folder that nobody else may enter; it goes when this command ends."""
    return Path(_held.enter_context(tempfile.TemporaryDirectory(prefix="halab-tunnel-")))


def _forward(own: Path, remote: Remote, options: list[str], listening: list[tuple[int, Any]]) -> None:
    """An ssh that forwards until this command ends; it listens at these addresses when this returns."""
    ssh, log = process.find("ssh", hint="sudo apt-get install openssh-client"), own / "log"
    # `cat` ends when our end of its input does: a halab that is killed leaves no ssh behind
    argv = [ssh, *remote.ssh("-T", "-o", "ExitOnForwardFailure=yes", *options)[1:], "--", "cat"]
    child = _held.enter_context(process.background(argv, log=log, with_input=True))

    def listens() -> None:
        if child.poll() is not None:
            raise _refused(remote, log.read_text(errors="replace"))
        for family, address in listening:
            with socket.socket(family) as trial:
                trial.settimeout(1)
                # ssh listens once it was let in
                if trial.connect_ex(address) != 0:
                    raise NotYet("ssh is not there yet")

    wait_for(
        f"the tunnel to {remote}", listens, Deadline.after(RealClock(), _START_SECONDS), every_seconds=0.05
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])


def _refused(remote: Remote, said: str) -> HostProblem:
    return HostProblem(f"no way to {remote} over SSH: {_last_line(said)}", hint=_hint(remote))


def _hint(remote: Remote) -> str:
    words = [*(["-p", str(remote.port)] if remote.port else []), *(["-i", remote.key] if remote.key else [])]
    shown = process.pasteable(["ssh", *words, remote.destination, "true"])
    return f"this must work without a question: {shown}"


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
