"""The log of the scripts that ran on a machine, and what one of them added to it."""

from __future__ import annotations

from pathlib import Path


def size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0


def added(log: Path, before: int) -> list[str]:
    """The lines of a log after its first `before` bytes."""
    if not log.exists():
        return []
    with log.open("rb") as stream:
        stream.seek(before)
        return stream.read().decode(errors="replace").splitlines()
