"""Certificates for the connections to hosts."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from halab.errors import BadUsage
from halab.matrix.hosts import certificates


def test_each_role_has_a_certificate_of_the_ca(tmp_path: Path) -> None:
    made = certificates.make(tmp_path / "tls")
    made.require_client()
    assert {path.name: path.stat().st_mode & 0o777 for path in made.folder.iterdir()} == dict.fromkeys(
        ("ca.pem", "ca-key.pem", "scheduler.pem", "worker.pem", "client.pem"), 0o600
    )
    context = ssl.create_default_context(cafile=str(made.ca))
    for role in ("scheduler", "worker", "client"):
        # raises if the key is not that of the certificate
        context.load_cert_chain(made.of(role))


@pytest.mark.parametrize("role", ["scheduler", "worker", "client"])
def test_a_certificate_is_accepted_by_strict_rules(role: str, tmp_path: Path) -> None:
    """As Python 3.13 and later do it: with plain TLS on both ends, in memory."""
    made = certificates.make(tmp_path / "tls")
    ends = []
    for purpose in (ssl.Purpose.SERVER_AUTH, ssl.Purpose.CLIENT_AUTH):
        context = ssl.create_default_context(purpose, cafile=str(made.ca))
        context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_cert_chain(made.of(role))
        ends.append(context)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ends[0].wrap_bio(back, there)
    server = ends[1].wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    for end in (client, server):
        assert role.encode() in (end.getpeercert(binary_form=True) or b"")


def test_files_that_exist_stay(tmp_path: Path) -> None:
    (tmp_path / "worker.pem").write_text("mine")
    with pytest.raises(BadUsage, match="the file exists"):
        certificates.make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["worker.pem"]


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="no such file: .*ca.pem"):
        certificates.Certificates(tmp_path).require_client()
