"""Takes secrets out of the files of a run before other people get them."""

from __future__ import annotations

import re

# What a secret is replaced by; `{}` is its kind.
_MARK = "[halab removed: {}]"
_BASE64 = r"[A-Za-z0-9+/_=-]"
# Kind → what is replaced. Where a pattern has a group `kept`, that part stays.
_SECRETS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    "key of a kubeconfig": rf"(?P<kept>client-key-data[\"']?:\s*[\"']?){_BASE64}{{16,}}",
    "JSON web token": r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}",
    "token": rf"(?P<kept>\btoken[\"']?:\s*[\"']?){_BASE64}{{16,}}",
    # a name of a host or a file may look the same, but is hardly ever that long in both parts
    "bootstrap token": r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b",
    "certificate key": r"(?P<kept>certificate-?key[\"']?[:=\s]\s*[\"']?)[0-9a-f]{64}\b",
    "encryption key": rf"(?P<kept>\bsecret[\"']?:\s*[\"']?){_BASE64}{{16,}}",
    "password": r"(?P<kept>\b(?:auth_pass\s+|password[\"']?:\s*[\"']?))(?!\[halab)[^\s\"']+",
    "password of an address": r"(?P<kept>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)",
}
_PATTERNS = {kind: re.compile(pattern, re.DOTALL | re.IGNORECASE) for kind, pattern in _SECRETS.items()}


def redacted(text: str) -> tuple[str, int]:
    """The text with a mark in place of each secret, and the number of secrets.

    It knows what Kubernetes, kubeadm, keepalived and proxies call secrets. A secret in other words is not found.
    """
    count = 0
    for kind, pattern in _PATTERNS.items():
        mark = _MARK.format(kind)

        def replaced(found: re.Match[str], mark: str = mark) -> str:
            return (found.groupdict().get("kept") or "") + mark

        text, number = pattern.subn(replaced, text)
        count += number
    return text, count
