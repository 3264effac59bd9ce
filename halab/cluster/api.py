"""The Kubernetes API as seen from outside the cluster: the only module with an HTTP client for the lab's API servers.

Every request opens a new connection and has a short time limit. A reused connection to a dead API server would hang,
and halab measures what a new client sees.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpcore
import httpx
import yaml

from halab.cluster import names, socks
from halab.config.kubernetes import API_PORT
from halab.errors import LabProblem, Unreachable
from halab.files import replace
from halab.topology.lab import Lab, Machine

_TIMEOUT_SECONDS = 5
# An observation of a lab sends four requests at once, each with a TLS handshake. After a fault, a healthy API server on
# an emulated processor did not complete them within 5 s for two minutes.
_EMULATED_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Credentials:
    """Files with a CA certificate, a client certificate and its key, for the Kubernetes API or for etcd."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Credentials:
        return cls(folder / "cluster-ca.crt", folder / "admin.crt", folder / "admin.key")

    @property
    def folder(self) -> Path:
        return self.ca.parent

    @property
    def of_etcd(self) -> Credentials:
        """The credentials for etcd clients, in the same folder."""
        return Credentials(
            self.folder / "etcd-ca.crt", self.folder / "etcd-client.crt", self.folder / "etcd-client.key"
        )

    def save(self, kubeconfig: str) -> None:
        """Extract the credentials from a kubeconfig that kubeadm wrote, and write them to the files."""
        parsed = yaml.safe_load(kubeconfig)
        cluster, user = parsed["clusters"][0]["cluster"], parsed["users"][0]["user"]
        encoded = (
            cluster["certificate-authority-data"],
            user["client-certificate-data"],
            user["client-key-data"],
        )
        self.write(*(b64decode(data).decode() for data in encoded))

    def write(self, ca: str, certificate: str, key: str) -> None:
        replace(self.ca, ca)
        replace(self.certificate, certificate)
        replace(self.key, key)

    def context(self) -> ssl.SSLContext:
        """A TLS context with these credentials. Raises LabProblem if they are missing or invalid."""
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise LabProblem(
                f"no usable credentials in {self.ca.parent}: {error}", hint="run `halab up`"
            ) from error
        return context


def url(machine: Machine) -> str:
    """Where the API server of a control plane is."""
    return f"https://{machine.address}:{API_PORT}"


class Api:
    """A client for one address of the API: the load balancer's or a control plane's. Several threads may share it.

    `tunnel` is the socket of a SOCKS5 proxy that reaches the address; None if this host reaches it directly. With
    `order`, the host of the URL is a name that this host need not know: it says which addresses a connection tries.
    """

    def __init__(
        self,
        base_url: str,
        context: ssl.SSLContext,
        *,
        timeout_seconds: float,
        tunnel: str | None = None,
        order: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        self.tunnel = tunnel
        backend = names.Backend(order, tunnel) if order else socks.backend(tunnel)
        self._client = httpx.Client(
            base_url=base_url,
            verify=context,
            timeout=timeout_seconds,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"Connection": "close", "User-Agent": "halab"},
            # ignore proxies of the environment: they cannot reach the lab, which is local or behind our own tunnel
            trust_env=False,
            transport=_Connecting(context, backend) if order or tunnel else None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Send one request. Raises httpx.HTTPError if there is no answer."""
        return self._client.request(method, path, json=body)

    def get(self, path: str) -> dict[str, Any]:
        """Get an object or a list. Raises Unreachable if there is no answer or its status is not 200."""
        try:
            response = self.ask("GET", path)
        except httpx.HTTPError as error:
            raise Unreachable(f"no answer from {self._client.base_url}: {reason(error)}") from error
        if response.status_code != 200:
            raise Unreachable(f"{self._client.base_url}{path} answers {response.status_code}")
        content: dict[str, Any] = response.json()
        return content


class _Connecting(httpx.HTTPTransport):
    """Connects through a SOCKS5 proxy, or to the addresses of a name that only the lab knows.

    The time limit of the request applies to the proxy's answer, too. httpx's own SOCKS support has no limit for that
    answer. ssh, our proxy, answers only after the target has answered, so that a request to a machine without power
    would hang for minutes.
    """

    def __init__(self, context: ssl.SSLContext, backend: httpcore.SyncBackend) -> None:
        super().__init__(verify=context)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_keepalive_connections=0, network_backend=backend
        )


def connect(lab: Lab, credentials: Credentials, *, tunnel: str | None = None) -> Api:
    """A client for the API through the load balancer; `tunnel` is the socket of a SOCKS5 proxy that reaches it."""
    limit = _EMULATED_TIMEOUT_SECONDS if lab.is_emulated else _TIMEOUT_SECONDS
    return Api(
        f"https://{lab.api_host}:{lab.load_balancer.port}",
        credentials.context(),
        timeout_seconds=limit,
        tunnel=tunnel,
        order=names.order(lab, tunnel),
    )


def reason(error: Exception) -> str:
    """Why there was no answer, in a few words: `timed out`, `connection refused`, `no route to host` …"""
    if isinstance(error, httpx.TimeoutException):
        return "timed out"
    for cause in _causes(error):
        # an SSLError is an OSError too, but its errno is not a number of the system
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno is not None:
            return os.strerror(cause.errno).lower()
    if isinstance(error, httpx.RemoteProtocolError):
        return "disconnected"
    return str(error).lower() or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes. The HTTP client wraps an error of the system several times."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for member in error.exceptions:
                yield from _causes(member)
        error = error.__cause__ or error.__context__
