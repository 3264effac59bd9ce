"""The folder in which a fault keeps its files on a machine until it is healed. The audit reports what is left."""

from __future__ import annotations

from halab.faults.journal import Entry

KEPT = "/var/lib/halab"
# What the set-up of a machine keeps there, for the machine's whole life: pieces of a pattern of `case`.
OF_THE_SET_UP = "bundle | images | own-images | programs | services | setup-*"


def folder(entry: Entry) -> str:
    return f"{KEPT}/{entry.id}"


def make(entry: Entry) -> str:
    """The shell command that creates the folder."""
    return f"mkdir -p {folder(entry)}"


def forget(entry: Entry) -> str:
    """The shell command that removes the folder, and its parent if that is empty."""
    return f"rm -rf {folder(entry)}; rmdir {KEPT} 2>/dev/null || true"


def locked(command: str) -> str:
    """The shell command under a lock of the machine. It waits for such a command of a halab that was killed."""
    return f"exec 9</var/lib && flock 9 && {{ {command.strip()}; }}"
