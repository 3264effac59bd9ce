"""A machine in a snapshot of a lab, as the providers list them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Saved:
    """One machine in one snapshot; a snapshot is complete when it has every machine of its lab."""

    snapshot: str
    machine: str
    created: datetime
