"""Certificates for the connections between a scheduler, its workers and halab, from a CA of their own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from halab import files, packages, process
from halab.errors import BadUsage

_LIMIT_SECONDS = 60
_DAYS = "365"
_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
_ROLES = ("scheduler", "worker", "client")
_SETTINGS = "settings.cnf"
# Python 3.13 and later accept no certificate without these. openssl's own settings differ from system to system.
_EXTENSIONS = """
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[role]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True)
class Certificates:
    """The files in a folder. Each role has a file with its key and its certificate, as dask takes it."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Not needed to connect. Who has it can make more certificates."""
        return self.folder / "ca-key.pem"

    def of(self, role: str) -> Path:
        return self.folder / f"{role}.pem"

    def require_client(self) -> None:
        """Raise BadUsage if halab cannot connect with these."""
        for path in (self.ca, self.of("client")):
            if not path.is_file():
                raise BadUsage(
                    f"no such file: {path}", hint="make the files with `halab matrix certificates FOLDER`"
                )


def make(folder: Path) -> Certificates:
    """Make a CA and a certificate for each role, valid for a year. Keys are readable by their owner only.

    Raises BadUsage if there are files of this kind, and HostProblem without openssl or if a file cannot be written.
    """
    made = Certificates(folder)
    for path in (made.ca, made.ca_key, *map(made.of, _ROLES)):
        if path.exists():
            raise BadUsage(f"the file exists: {path}", hint="name another folder")
    openssl = process.find("openssl", hint=packages.install("openssl"))
    with files.scratch("halab-certificates-") as scratch, files.writing(folder):
        ca, ca_key, settings = scratch / "ca.pem", scratch / "ca-key.pem", scratch / _SETTINGS
        settings.write_text(_EXTENSIONS)
        subject = f"/O=halab matrix/CN=CA {secrets.token_hex(4)}"
        _run(
            openssl, "req", "-x509", "-config", settings, "-extensions", "ca", *_KEY, "-days", _DAYS, "-subj", subject,
            "-keyout", ca_key, "-out", ca,
        )  # fmt: skip
        contents = {made.ca: ca.read_bytes(), made.ca_key: ca_key.read_bytes()}
        for role in _ROLES:
            key, request, signed = (scratch / f"{role}.{kind}" for kind in ("key", "csr", "crt"))
            subject = f"/O=halab matrix/CN={role}"
            _run(
                openssl, "req", "-new", "-config", settings, *_KEY, "-subj", subject, "-keyout", key, "-out", request
            )  # fmt: skip
            # the first bit of a serial number is 0, and 20 bytes are the most
            serial = f"0x{secrets.randbits(127):x}"
            _run(
                openssl, "x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-set_serial", serial,
                "-days", _DAYS, "-extfile", settings, "-extensions", "role", "-out", signed,
            )  # fmt: skip
            contents[made.of(role)] = key.read_bytes() + signed.read_bytes()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in contents.items():
            files.replace(path, content)
    return made


def _run(*words: str | Path) -> None:
    process.run(words, timeout_seconds=_LIMIT_SECONDS)
