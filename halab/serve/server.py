"""Run the pages of some labs: a socket on the loopback address, the server in a thread, and a thread for each lab."""

from __future__ import annotations

import errno
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn

from halab import process
from halab.errors import BadUsage, HalabError, HostProblem
from halab.serve import app
from halab.serve.app import Site
from halab.serve.served_lab import REAL_DEPS, ServeDeps, ServedLab

ADDRESS = "127.0.0.1"
_POLL_SECONDS = 0.5
# Streams end by themselves at the end, within a fraction of a second.
_END_SECONDS = 2


class Serving:
    """A server that runs. `origin` is the beginning of all its addresses."""

    def __init__(self, site: Site, origin: str, server: uvicorn.Server, thread: threading.Thread) -> None:
        self.site = site
        self.origin = origin
        self._server = server
        self._thread = thread

    def wait(self) -> None:
        """Return only by an interrupt. Raises HalabError if the server has ended by itself."""
        while self._thread.is_alive():
            self._thread.join(_POLL_SECONDS)
        raise HalabError("the server of the pages ended unexpectedly", hint="start `halab serve` again")


@contextmanager
def serving(
    files: Sequence[Path],
    port: int,
    say: Callable[[str], None],
    *,
    with_trainer: bool = False,
    deps: ServeDeps = REAL_DEPS,
) -> Iterator[Serving]:
    """Serve the labs of these files during the block. With port 0, the host chooses a port.

    Raises BadUsage if two labs have the same name, and HostProblem if the port is taken. At the end, everything that
    was started has ended: the server, the samplers, and commands that a page started.
    """
    with ExitStack() as undo:
        listening = undo.enter_context(_bound(port))
        labs = [ServedLab(file, say, deps) for file in files]
        _require_unique(labs)
        site = Site.of(labs, say, with_trainer=with_trainer)
        # the application reports what goes wrong; uvicorn would print a traceback
        logging.getLogger("uvicorn").addHandler(logging.NullHandler())
        logging.getLogger("uvicorn").propagate = False
        server = uvicorn.Server(
            uvicorn.Config(
                app.make(site),
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=_END_SECONDS,
            )  # fmt: skip
        )
        # in another thread, uvicorn leaves the signals to halab
        thread = threading.Thread(target=server.run, args=([listening],), name="server", daemon=True)

        def end() -> None:
            site.is_closing.set()
            server.should_exit = True
            thread.join()

        undo.callback(_stop_all, labs)
        undo.callback(end)
        undo.enter_context(process.ended_at_interrupt())
        for lab in labs:
            lab.start()
        thread.start()
        yield Serving(site, f"http://{ADDRESS}:{listening.getsockname()[1]}", server, thread)


def _stop_all(labs: Sequence[ServedLab]) -> None:
    """Stop the labs at the same time: each may wait for a command that heals."""
    threads = [threading.Thread(target=lab.stop) for lab in labs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def _bound(port: int) -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((ADDRESS, port))
            listening.listen()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise HostProblem(
                    f"port {port} is taken: another program listens on it",
                    hint="choose another one with --port; with --port 0, the host chooses",
                ) from error
            raise HostProblem(
                f"cannot listen on port {port}: {error.strerror}", hint="choose another one with --port"
            ) from error
        yield listening


def _require_unique(labs: Sequence[ServedLab]) -> None:
    names = [lab.name for lab in labs]
    for name in names:
        if names.count(name) > 1:
            raise BadUsage(
                f"two labs have the name {name}",
                hint="give each lab another `name` in its file, and give each file only once",
            )
