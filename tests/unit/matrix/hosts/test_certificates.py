"""Certificates for the connections to hosts."""

from __future__ import annotations

import ssl
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


def test_files_that_exist_stay(tmp_path: Path) -> None:
    (tmp_path / "worker.pem").write_text("mine")
    with pytest.raises(BadUsage, match="the file exists"):
        certificates.make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["worker.pem"]


def test_missing_certificates_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match="no such file: .*ca.pem"):
        certificates.Certificates(tmp_path).require_client()
