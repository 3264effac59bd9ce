"""Which host this is: what is made at an engine or a libvirt that several hosts share says whose it is."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

_MACHINE_ID = Path("/etc/machine-id")


def of_this_host() -> str:
    """The same from one boot to the next, and another one on every host.

    A hash of the machine id, which its manual page asks not to show as it is. Where there is none, as in many
    containers, the host name.
    """
    try:
        known = _MACHINE_ID.read_text().strip()
    except (OSError, ValueError):
        known = ""
    # `uninitialized` is what an image has that was never booted
    source = known if known and known != "uninitialized" else socket.gethostname()
    return hashlib.sha256(f"halab:{source}".encode()).hexdigest()[:12]
