"""A connection to a docker engine. Errors of the docker library become errors of halab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import docker.errors
import requests

from halab.errors import HostProblem
from halab.machines.host import remote_env, tunnel

_HINT = "start docker, or on a host without an init system: scripts/bare-host run halab …"


def address() -> str | None:
    """The engine's address at this end of a tunnel; None if DOCKER_HOST names no host that SSH reaches."""
    remote = remote_env.by_docker()
    return f"unix://{tunnel.TUNNELS.to(remote, engine=True).engine}" if remote else None


def connect(*, timeout_seconds: int) -> docker.DockerClient:
    """Connect to the engine that DOCKER_HOST names, or else to the local one. Raises HostProblem if none answers.

    An engine on another host is reached by the user's own ssh: the library has a second implementation of SSH.
    """
    base_url = address()
    with translated():
        if base_url:
            return docker.DockerClient(base_url=base_url, timeout=timeout_seconds)
        return docker.from_env(timeout=timeout_seconds)


@contextmanager
def translated() -> Iterator[None]:
    """Raise HostProblem for what the docker library raises in this block."""
    try:
        yield
    except docker.errors.APIError as error:
        raise HostProblem(f"the docker engine refused: {error.explanation or error}") from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise HostProblem(f"no docker engine answers: {_reason(error)}", hint=_HINT) from error


def _reason(error: BaseException) -> str:
    """What the operating system said, without the Python around it; the text of the error if it said nothing."""
    inner: object = error
    while isinstance(inner, BaseException):
        if isinstance(inner, OSError) and inner.strerror:
            return inner.strerror.lower()
        nested = (part for part in reversed(inner.args) if isinstance(part, BaseException))
        inner = inner.__cause__ or inner.__context__ or next(nested, None)
    return str(error)
