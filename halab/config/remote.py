"""Another machine that the machines of a lab live on, reached over SSH."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, urlsplit

_HOST = r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*"
_USER = r"[A-Za-z_][A-Za-z0-9._-]*"
# It must not wait for somebody to type, nor for a host that has gone.
_OPTIONS = (
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3",
)  # fmt: skip


@dataclass(frozen=True)
class Remote:
    """What `ssh` is told; all else is the user's own configuration of it. `key` is the file of a private key."""

    host: str
    user: str | None = None
    port: int | None = None
    key: str | None = None

    @classmethod
    def of(cls, address: str | None) -> Remote | None:
        """The machine that an address of docker (`ssh://`) or libvirt (`qemu+ssh://`) names; None for all others.

        ValueError says what is wrong with it.
        """
        parts = urlsplit(address or "")
        if parts.scheme != "ssh" and not parts.scheme.endswith("+ssh"):
            return None
        host, user = parts.hostname or "", parts.username
        # urlsplit makes it lower-case, and the user's configuration of ssh may not be
        written = re.search(re.escape(host), parts.netloc, re.IGNORECASE)
        host = written[0] if written else host
        if not re.fullmatch(_HOST, host):
            raise ValueError("names no host")
        if user is not None and not re.fullmatch(_USER, user):
            raise ValueError(f"names no user that ssh can be told: {user}")
        if parts.password is not None:
            raise ValueError("has a password in it: use a key")
        return cls(host, user, parts.port, _key(parts))

    @property
    def destination(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    def __str__(self) -> str:
        return f"{self.destination}:{self.port}" if self.port else self.destination

    def ssh(self, *options: str) -> list[str]:
        """The words of an ssh to it."""
        port = ["-p", str(self.port)] if self.port else []
        key = ["-i", self.key] if self.key else []
        return ["ssh", *_OPTIONS, *port, *key, *options, self.destination]

    @property
    def proxy_command(self) -> str:
        """ssh's ProxyCommand for what is reached by way of it."""
        escaped = [word.replace("%", "%%") for word in self.ssh()]
        return shlex.join([*escaped[:-1], "-W"]) + f" %h:%p {shlex.quote(escaped[-1])}"


def provider_uri(value: str) -> str:
    """An address of libvirt in a lab file; ValueError says what is wrong with it."""
    parts = urlsplit(value)
    try:
        _ = parts.port
        remote = Remote.of(value)
    except ValueError as error:
        raise ValueError(f"{error}: {_FORM}") from error
    if parts.scheme not in ("qemu", "qemu+ssh", "qemu+unix") or (remote is None and parts.netloc):
        raise ValueError(_FORM)
    if parts.path != "/system":
        raise ValueError(f"must end with /system: a session of one user makes no networks; {_FORM}")
    return value


_FORM = "write qemu+ssh://USER@HOST/system (?keyfile=FILE for a key of its own), or qemu:///system"


def _key(parts: SplitResult) -> str | None:
    found = parse_qs(parts.query).get("keyfile")
    return found[0] if found else None
