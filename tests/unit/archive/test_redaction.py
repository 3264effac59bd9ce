"""Secrets are taken out of texts, and nothing else is."""

from __future__ import annotations

import pytest

from halab.archive.redaction import redacted

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n+/x==\n-----END RSA PRIVATE KEY-----"
DIGITS = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (f"a\n{KEY}\nb", "a\n[halab removed: private key]\nb"),
        ("-----BEGIN PRIVATE KEY-----\ncut off", "[halab removed: private key]"),
        (
            "    client-key-data: LS0tLS1CRUdJTiBSU0E=",
            "    client-key-data: [halab removed: key of a kubeconfig]",
        ),
        ("Bearer eyJhbGciOiJS.eyJpc3MiOiJr.c2lnbmF0dXJl x", "Bearer [halab removed: JSON web token] x"),
        ('"token": "c2VjcmV0c2VjcmV0cw=="', '"token": "[halab removed: token]"'),
        ("--token abcdef.0123456789abcdef --x", "--token [halab removed: bootstrap token] --x"),
        (f"--certificate-key {DIGITS}", "--certificate-key [halab removed: certificate key]"),
        (f"certificateKey: {DIGITS}", "certificateKey: [halab removed: certificate key]"),
        ("secret: c2VjcmV0c2VjcmV0cw==", "secret: [halab removed: encryption key]"),
        ("  auth_pass ab12", "  auth_pass [halab removed: password]"),
        ("password: 'x1'", "password: '[halab removed: password]'"),
        ("http://ada:pw@proxy:3128", "http://ada:[halab removed: password of an address]@proxy:3128"),
    ],
)
def test_a_secret_is_replaced_by_its_kind(text: str, clean: str) -> None:
    assert redacted(text) == (clean, 1)
    assert redacted(clean) == (clean, 0)


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        f"discovery-token-ca-cert-hash sha256:{DIGITS}",
        "data() { awk '$1 == field { print $2 }'; }; curl --key <(data client-key-data)",
        "https://10.213.0.10:6443/readyz",
        "secret: not found",
        "2026-11-29T12:47:26.876906 cp1 kubelet[7475]: token: expired",
    ],
)
def test_other_text_stays(text: str) -> None:
    assert redacted(text) == (text, 0)


def test_all_secrets_of_a_text_are_counted() -> None:
    assert redacted(f"{KEY}\n{KEY}\nauth_pass x")[1] == 3
