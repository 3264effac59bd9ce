"""The hardware addresses of machines."""

from __future__ import annotations

import hashlib


def mac(of: str) -> str:
    """A locally administered address that is the same at every `up` (DHCP leases depend on it)."""
    digest = hashlib.sha256(of.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *digest[:3]))
