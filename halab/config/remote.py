"""Another host that runs the machines of a lab, reached over SSH."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from halab.config.loading import nearest

_HOST = r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:]*"
_USER = r"[A-Za-z_][A-Za-z0-9._-]*"
# vagrant-libvirt puts the path of a key between single quotes into a shell command, without any check. So a path may
# contain only characters that have no meaning for a shell or for OpenSSH.
_PATH = r"/[\w ./@+=,:-]+"
_SCHEMES = ("qemu", "qemu+ssh", "qemu+unix")
# The parameters of libvirt that halab, Vagrant and libvirt all understand, with a pattern and a description of values.
_PARAMETERS = {
    "keyfile": (_PATH, "an absolute path of letters, digits, spaces and ./@+=,:-_"),
    "mode": ("auto|direct|legacy", "auto, direct or legacy"),
    "no_tty": ("0|1", "0 or 1"),
    "proxy": ("auto|native|netcat", "auto, native or netcat"),
    "socket": (_PATH, "an absolute path of letters, digits, spaces and ./@+=,:-_"),
}
_REFUSED = {
    "command": "it would run a program on this host",
    "netcat": "it would run a program on the other host",
    "no_verify": "halab always verifies the key of a host: log in once by hand to accept it",
    "known_hosts": "libvirt does not read it with qemu+ssh: it uses the known hosts of your ssh",
    "known_hosts_verify": "libvirt does not read it with qemu+ssh: halab always verifies the key of a host",
    "sshauth": "libvirt does not read it with qemu+ssh: configure the login in your ssh configuration",
}
# ssh must not wait for input, nor for a host that is gone.
_OPTIONS = (
    "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=3",
)  # fmt: skip


@dataclass(frozen=True)
class Remote:
    """The arguments of `ssh`; all else is in the user's ssh configuration. `key` is the file of a private key."""

    host: str
    user: str | None = None
    port: int | None = None
    key: str | None = None

    @classmethod
    def of(cls, address: str | None) -> Remote | None:
        """The host of a docker address (`ssh://`) or libvirt address (`qemu+ssh://`); None for other addresses.

        Raises ValueError for an address that is not valid.
        """
        address = address or ""
        _require_printable(address)
        parts = urlsplit(address)
        if parts.scheme != "ssh" and not parts.scheme.endswith("+ssh"):
            return None
        host, user = parts.hostname or "", parts.username
        # urlsplit makes it lower-case, but the user's ssh configuration may distinguish case
        written = re.search(re.escape(host), parts.netloc, re.IGNORECASE)
        host = written[0] if written else host
        if not re.fullmatch(_HOST, host):
            raise ValueError("names no host")
        if user is not None and not re.fullmatch(_USER, user):
            raise ValueError(f"has a user name that ssh does not accept: {user}")
        if parts.password is not None:
            raise ValueError("has a password in it, but needs a key")
        if parts.scheme == "ssh" and (parts.query or parts.fragment):
            raise ValueError("may contain only a user, a host and a port")
        return cls(host, user, parts.port, _parameters(parts).get("keyfile"))

    @property
    def destination(self) -> str:
        return f"{self.user}@{self.host}" if self.user else self.host

    def __str__(self) -> str:
        return f"{self.destination}:{self.port}" if self.port else self.destination

    def ssh(self, *options: str) -> list[str]:
        """The command line of an ssh to the host."""
        port = ["-p", str(self.port)] if self.port else []
        key = ["-i", self.key] if self.key else []
        return ["ssh", *_OPTIONS, *port, *key, *options, self.destination]

    @property
    def proxy_command(self) -> str:
        """The ProxyCommand of ssh for machines behind the host."""
        escaped = [word.replace("%", "%%") for word in self.ssh()]
        return shlex.join([*escaped[:-1], "-W"]) + f" %h:%p {shlex.quote(escaped[-1])}"


def provider_uri(value: str) -> str:
    """Check the address of libvirt in a lab file. Raises ValueError if it is not valid."""
    try:
        _require_printable(value)
        parts = urlsplit(value)
        if parts.scheme not in _SCHEMES:
            given = f", not with {parts.scheme}:" if parts.scheme else ""
            raise ValueError(f"should begin with qemu:, qemu+ssh: or qemu+unix:{given}")
        _ = parts.port
        remote = Remote.of(value)
        _parameters(parts)
    except ValueError as error:
        raise ValueError(f"{error}: {_FORM}") from error
    if remote is None and parts.netloc:
        raise ValueError(f"names a host, which needs qemu+ssh: {_FORM}")
    if parts.path != "/system":
        raise ValueError(f"must end with /system: a user session cannot create networks; {_FORM}")
    return value


_FORM = "write qemu+ssh://USER@HOST/system (?keyfile=FILE for a separate key), or qemu:///system"


def _require_printable(address: str) -> None:
    # also after %0A and the like are decoded
    for character in address + unquote(address):
        if not character.isprintable():
            raise ValueError(f"has a character that cannot be printed (U+{ord(character):04X})")


def _parameters(parts: SplitResult) -> dict[str, str]:
    """The parameters after the `?`. Raises ValueError for one that halab does not accept."""
    if parts.fragment:
        raise ValueError(f"has a part after #, which is not supported: {parts.fragment}")
    if "+" in parts.query:
        # libvirt reads it as a plus, Vagrant as a space
        raise ValueError("has a + in its parameters: write %20 for a space, %2B for a plus")
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in _REFUSED:
            raise ValueError(f"has the parameter {name}, which halab refuses: {_REFUSED[name]}")
        if name not in _PARAMETERS:
            raise ValueError(f"has an unknown parameter: {name}{nearest(name, _PARAMETERS)}")
        if name in parameters:
            raise ValueError(f"has the parameter {name} twice")
        pattern, wanted = _PARAMETERS[name]
        if not re.fullmatch(pattern, value):
            raise ValueError(f"has {name}={value}, which should be {wanted}")
        parameters[name] = value
    return parameters
