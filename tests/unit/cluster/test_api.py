"""The API client: short reasons for failures, and private files for credentials."""

from __future__ import annotations

import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
import yaml
from support.fakes import lab_of

from halab.cluster import api
from halab.cluster.api import Api, Credentials
from halab.errors import LabProblem, TimedOut, Unreachable


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/nodes" else 503)
        self.end_headers()
        self.wfile.write(json.dumps({"connection": self.headers["Connection"]}).encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def client() -> Iterator[Api]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    with Api(
        f"http://127.0.0.1:{server.server_port}", ssl.create_default_context(), timeout_seconds=30
    ) as client:
        yield client
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_request_opens_a_new_connection(client: Api) -> None:
    assert client.get("/nodes") == {"connection": "close"}


def test_a_status_other_than_200_is_unreachable(client: Api) -> None:
    with pytest.raises(Unreachable, match="/pods answers 503"):
        client.get("/pods")
    assert client.ask("GET", "/pods").status_code == 503


def test_a_closed_port_is_unreachable() -> None:
    # no process listens on port 1 of the loopback, and the kernel refuses at once
    with (
        Api("http://127.0.0.1:1", ssl.create_default_context(), timeout_seconds=30) as closed_port,
        pytest.raises(Unreachable, match=r"no answer from http://127.0.0.1:1/?: connection refused"),
    ):
        closed_port.get("/nodes")


def test_the_client_is_closed_after_an_error(client: Api) -> None:
    with pytest.raises(TimedOut), client:
        raise TimedOut("waited 5 s")
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/nodes")


def after(cause: OSError) -> httpx.ConnectError:
    """The error that the client raises for an error of the system."""
    try:
        raise httpx.ConnectError("all attempts failed") from cause
    except httpx.ConnectError as error:
        return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ConnectTimeout("x"), "timed out"),
        (after(ConnectionRefusedError(111, "x")), "connection refused"),
        (after(ConnectionResetError(104, "x")), "connection reset by peer"),
        (after(OSError(113, "x")), "no route to host"),
        (after(ssl.SSLEOFError(8, "EOF occurred")), "all attempts failed"),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), "disconnected"),
        (httpx.ReadError(""), "ReadError"),
    ],
)
def test_a_failure_is_a_few_words(error: Exception, words: str) -> None:
    assert api.reason(error) == words


def test_the_address_of_a_machine_is_that_of_its_api_server() -> None:
    assert api.url(lab_of(load_balancer={"port": 7443}).control_planes[0]) == "https://10.213.7.11:6443"


def test_a_client_of_the_lab_asks_the_load_balancer_at_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Credentials, "context", lambda self: ssl.create_default_context())
    with api.connect(lab_of(load_balancer={"port": 7443}), Credentials.in_folder(tmp_path)) as client:
        assert client._client.base_url == "https://10.213.7.10:7443"


def kubeconfig() -> str:
    def encoded(text: str) -> str:
        return b64encode(text.encode()).decode()

    return yaml.safe_dump(
        {
            "clusters": [{"cluster": {"certificate-authority-data": encoded("ca")}}],
            "users": [
                {"user": {"client-certificate-data": encoded("crt"), "client-key-data": encoded("key")}}
            ],
        }
    )


def test_credentials_are_extracted_from_a_kubeconfig_into_private_files(tmp_path: Path) -> None:
    credentials = Credentials.in_folder(tmp_path)
    credentials.save(kubeconfig())
    assert credentials.ca.read_text() == "ca"
    assert credentials.certificate.read_text() == "crt"
    assert credentials.key.read_text() == "key"
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_credentials_for_etcd_are_private_files_in_the_same_folder(tmp_path: Path) -> None:
    of_etcd = Credentials.in_folder(tmp_path).of_etcd
    of_etcd.write("ca", "crt", "key")
    assert of_etcd.folder == tmp_path
    assert (of_etcd.ca.read_text(), of_etcd.certificate.read_text(), of_etcd.key.read_text()) == (
        "ca",
        "crt",
        "key",
    )
    assert {path.name for path in tmp_path.iterdir()} == {
        "etcd-ca.crt",
        "etcd-client.crt",
        "etcd-client.key",
    }
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_unusable_credentials_are_an_error_with_a_hint(tmp_path: Path) -> None:
    credentials = Credentials.in_folder(tmp_path)
    for saved in (False, True):
        if saved:
            credentials.save(kubeconfig())
        with pytest.raises(LabProblem, match="no usable credentials") as caught:
            credentials.context()
        assert caught.value.hint == "run `halab up`"
