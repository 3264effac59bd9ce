"""Tunnels to another host, which runs the machines of a lab. Every tunnel is an `ssh` that ends with halab's command.

Addresses of the lab's network are not routed from here: they are reached through a SOCKS5 proxy of that ssh. A docker
engine there is reached by its socket, which the same ssh forwards. Both are Unix sockets in a folder that only this
user may enter: all users of this host could use a port of loopback. The folder is a temporary one, because the path of
a socket has 107 bytes at most, and the path of a work folder may have more.
"""

from __future__ import annotations

import atexit
import socket
import tempfile
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from halab import packages, process
from halab.clock import Deadline, NotYet, RealClock, wait_for
from halab.config.remote import Remote
from halab.errors import HostProblem, TimedOut
from halab.printable import last_line

LOOPBACK = "127.0.0.1"
_START_SECONDS = 30
_SSH_FAILED = 255
# The engine that the other host's own docker command uses. It may not be the usual one.
_ENGINE = "docker context inspect --format '{{.Endpoints.docker.Host}}'"


@dataclass(frozen=True)
class Tunnel:
    """`socket` is the socket of the SOCKS5 proxy; `engine` is the socket of the docker engine, if one was asked for."""

    socket: str
    engine: Path | None = None


class Tunnels:
    """Tunnels that are opened when they are needed, and closed together. Several threads may use them at once."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._tunnels: dict[tuple[Remote, bool], Tunnel] = {}
        self._opening = threading.Lock()

    def __enter__(self) -> Tunnels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every ssh, and remove the folders."""
        self._tunnels.clear()
        self._undo.close()

    def to(self, remote: Remote, *, engine: bool = False) -> Tunnel:
        """The tunnel to that host, opened at the first call. HostProblem says why it cannot be opened."""
        with self._opening:
            wanted = (remote, engine)
            if wanted not in self._tunnels:
                self._tunnels[wanted] = self._start(remote, _engine_socket(remote) if engine else None)
            return self._tunnels[wanted]

    def port_to(self, remote: Remote, host: str, port: int) -> int:
        """A port of loopback that leads to one port there, for programs that cannot use a Unix socket."""
        local = _free_port()
        forward = ["-L", f"{LOOPBACK}:{local}:{host}:{port}"]
        self._forward(self.folder(), remote, forward, [(socket.AF_INET, (LOOPBACK, local))])
        return local

    def folder(self) -> Path:
        """A new folder that only this user may enter; it is removed when the tunnels are closed."""
        return Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="halab-tunnel-")))

    def _start(self, remote: Remote, engine: str | None) -> Tunnel:
        own = self.folder()
        # OpenSSH takes a path for -D since it knows Unix sockets (6.7); its manual does not say so
        tunnel = Tunnel(str(own / "socks"), own / "docker.sock" if engine else None)
        options, sockets = ["-D", tunnel.socket], [tunnel.socket]
        if engine:
            options += ["-L", f"{tunnel.engine}:{engine}"]
            sockets.append(str(tunnel.engine))
        self._forward(own, remote, options, [(socket.AF_UNIX, path) for path in sockets])
        return tunnel

    def _forward(
        self, own: Path, remote: Remote, options: list[str], listening: list[tuple[int, Any]]
    ) -> None:
        """Start an ssh that forwards until the tunnels are closed, and wait until it listens at these addresses."""
        ssh, log = process.find("ssh", hint=packages.install("openssh-client")), own / "log"
        # `cat` ends when our end of its input is closed: a halab that is killed leaves no ssh behind
        argv = [ssh, *remote.ssh("-T", "-o", "ExitOnForwardFailure=yes", *options)[1:], "--", "cat"]
        child = self._undo.enter_context(process.background(argv, log=log, with_input=True))

        def require_listening() -> None:
            if child.poll() is not None:
                raise _refused(remote, log.read_text(errors="replace"))
            for family, address in listening:
                with socket.socket(family) as trial:
                    trial.settimeout(1)
                    # ssh listens once it is logged in
                    if trial.connect_ex(address) != 0:
                        raise NotYet("ssh does not listen yet")

        deadline = Deadline.after(RealClock(), _START_SECONDS)
        wait_for(f"the tunnel to {remote}", require_listening, deadline, every_seconds=0.05)


# The tunnels of this command of halab.
TUNNELS = Tunnels()
atexit.register(TUNNELS.close)


def ask(remote: Remote, command: str, *, timeout_seconds: float = _START_SECONDS) -> process.Completed:
    """Run a command on that host. Raises HostProblem if it is not reached."""
    ssh = process.find("ssh", hint=packages.install("openssh-client"))
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
    """The command line of a person's own tunnel: a SOCKS5 proxy at a port of loopback."""
    return process.pasteable(remote.ssh("-N", "-D", f"{LOOPBACK}:{port}"))


def _engine_socket(remote: Remote) -> str:
    done = ask(remote, _ENGINE)
    address = done.output.strip()
    if done.code != 0:
        raise HostProblem(
            f"no docker on {remote}: {last_line(done.errors)}",
            hint=f"install docker.io on {remote.host}, and docker-cli if docker.io has no command `docker` there",
        )
    if not address.startswith("unix://"):
        raise HostProblem(
            f"docker on {remote} uses an engine on another host: {address}",
            hint="name that host in DOCKER_HOST",
        )
    return address.removeprefix("unix://")


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind((LOOPBACK, 0))
        return int(trial.getsockname()[1])


def _refused(remote: Remote, said: str) -> HostProblem:
    return HostProblem(f"cannot reach {remote} over SSH: {last_line(said)}", hint=_hint(remote))


def _hint(remote: Remote) -> str:
    words = [*(["-p", str(remote.port)] if remote.port else []), *(["-i", remote.key] if remote.key else [])]
    shown = process.pasteable(["ssh", *words, remote.destination, "true"])
    return f"this must work without asking for anything: {shown}"
