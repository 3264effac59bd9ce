"""The Kubernetes API as seen from outside the cluster: the one home of its HTTP client for the lab's API servers.

A new connection for every question, and a short time limit: kept connections to a dead API server would hang, and
what is measured is what a new client sees.
"""

from __future__ import annotations

import os
import ssl
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpcore
import httpx
import yaml

from halab.cluster import socks
from halab.errors import LabProblem, Unreachable
from halab.files import replace
from halab.topology.lab import API_PORT, Lab, Machine

_TIMEOUT_SECONDS = 5
# A look at a lab asks four things at once, with a TLS handshake each: after a fault, an emulated API server that was
# well did not get to the end of them in 5 s for two minutes.
_EMULATED_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Credentials:
    """Files with a CA and a client's certificate and key: an administrator's, or those of a client of etcd."""

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
        """Those that its members take from a client, in the same folder."""
        return Credentials(
            self.folder / "etcd-ca.crt", self.folder / "etcd-client.crt", self.folder / "etcd-client.key"
        )

    def save(self, kubeconfig: str) -> None:
        """Take the three out of a kubeconfig of kubeadm."""
        parsed = yaml.safe_load(kubeconfig)
        cluster, user = parsed["clusters"][0]["cluster"], parsed["users"][0]["user"]
        encoded = (
            cluster["certificate-authority-data"],
            user["client-certificate-data"],
            user["client-key-data"],
        )
        self.write(*(b64decode(each).decode() for each in encoded))

    def write(self, ca: str, certificate: str, key: str) -> None:
        replace(self.ca, ca)
        replace(self.certificate, certificate)
        replace(self.key, key)

    def context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise LabProblem(
                f"no usable credentials in {self.ca.parent}: {error}", hint="run `halab up`"
            ) from error
        return context


def url(machine: Machine) -> str:
    return f"https://{machine.address}:{API_PORT}"


class Api:
    """One address of the API: the load balancer's or a control plane's own. May be used from several threads.

    `tunnel` is the socket of the SOCKS5 proxy by which it is reached, None on this host.
    """

    def __init__(
        self, base_url: str, context: ssl.SSLContext, *, timeout_seconds: float, tunnel: str | None = None
    ) -> None:
        self.tunnel = tunnel
        self._client = httpx.Client(
            base_url=base_url,
            verify=context,
            timeout=timeout_seconds,
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"Connection": "close", "User-Agent": "halab"},
            # the lab is on this host, or behind our own tunnel: a proxy of the environment cannot reach it
            trust_env=False,
            transport=_Tunnelled(context, tunnel) if tunnel else None,
        )

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """One request; raises httpx.HTTPError where there is no answer."""
        return self._client.request(method, path, json=body)

    def get(self, path: str) -> dict[str, Any]:
        """An object or a list; raises Unreachable where the API does not give it."""
        try:
            response = self.ask("GET", path)
        except httpx.HTTPError as error:
            raise Unreachable(f"no answer from {self._client.base_url}: {reason(error)}") from error
        if response.status_code != 200:
            raise Unreachable(f"{self._client.base_url}{path} says {response.status_code}")
        found: dict[str, Any] = response.json()
        return found

    def close(self) -> None:
        self._client.close()


class _Tunnelled(httpx.HTTPTransport):
    """Connections by way of a SOCKS5 proxy, with the time limit of the question.

    The client's own support has no limit for the proxy's answer, and that of ssh comes when the machine behind it has
    answered: one whose power was cut would hold a question for minutes.
    """

    def __init__(self, context: ssl.SSLContext, tunnel: str) -> None:
        super().__init__(verify=context)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, max_keepalive_connections=0, network_backend=socks.Backend(tunnel)
        )


def connect(lab: Lab, credentials: Credentials, *, tunnel: str | None = None) -> Api:
    """The API through the load balancer; `tunnel` is the socket of a SOCKS5 proxy that reaches it."""
    limit = _EMULATED_TIMEOUT_SECONDS if lab.is_emulated else _TIMEOUT_SECONDS
    return Api(url(lab.balancer), credentials.context(), timeout_seconds=limit, tunnel=tunnel)


def reason(error: Exception) -> str:
    """Why there was no answer, in a few words: `timed out`, `connection refused`, `no route to host` …"""
    if isinstance(error, httpx.TimeoutException):
        return "timed out"
    for cause in _causes(error):
        # an error of TLS counts as one of the system, with numbers of its own
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno is not None:
            return os.strerror(cause.errno).lower()
    if isinstance(error, httpx.RemoteProtocolError):
        return "disconnected"
    return str(error).lower() or type(error).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it; the HTTP client wraps what the system said several times."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error = error.__cause__ or error.__context__
