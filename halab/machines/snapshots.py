"""What a provider keeps of a lab's machines in snapshots."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Saved:
    """One machine in one snapshot; a snapshot is whole when it has every machine of its lab."""

    snapshot: str
    machine: str
    created: datetime
