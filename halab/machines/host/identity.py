"""The identity of this host. Labels contain it, because several hosts may share an engine or a libvirt."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

_MACHINE_ID = Path("/etc/machine-id")


def of_this_host() -> str:
    """A short text that stays the same after a reboot, and is different on every host.

    It is a hash of the machine id, because machine-id(5) asks not to expose the id itself; where there is no machine
    id, as in many containers, a hash of the host name.
    """
    try:
        known = _MACHINE_ID.read_text().strip()
    except (OSError, ValueError):
        known = ""
    # an image that was never booted has `uninitialized`
    source = known if known and known != "uninitialized" else socket.gethostname()
    return hashlib.sha256(f"halab:{source}".encode()).hexdigest()[:12]
