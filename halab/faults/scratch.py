"""What a fault keeps on a machine until it is healed: a folder of its own, which the audit finds."""

from __future__ import annotations

from halab.faults.journal import Entry

KEPT = "/var/lib/halab"


def folder(entry: Entry) -> str:
    return f"{KEPT}/{entry.id}"


def make(entry: Entry) -> str:
    """The shell command that makes the folder."""
    return f"mkdir -p {folder(entry)}"


def forget(entry: Entry) -> str:
    """The shell command that removes the folder, and the one above once it is empty."""
    return f"rm -rf {folder(entry)}; rmdir {KEPT} 2>/dev/null || true"


def locked(command: str) -> str:
    """The shell command, once no other such command runs on the machine: that of a halab that was killed may."""
    return f"exec 9</var/lib && flock 9 && {{ {command}; }}"
