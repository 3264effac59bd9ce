"""Injecting and healing with the journal kept: every fault that acts is written down before it does."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from halab.errors import LabProblem
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site


def plan(site: Site, fault: str, machine: str, options: Mapping[str, str]) -> Entry:
    """A fault that can be injected now; Unable where this lab cannot do it, BadUsage where it makes no sense."""
    entry = Entry(uuid.uuid4().hex[:12], fault, machine, FAULTS[fault].complete(options))
    check = FAULTS[fault].check
    if check:
        check(site, entry)
    return entry


def inject(site: Site, journal: Journal, entry: Entry) -> str:
    """Write a fault down, inject it, and wait for its effect; what was seen of it.

    From the first moment on it counts as open, whether it acts or not.
    """
    journal.opened(entry)
    return FAULTS[entry.fault].inject(site, entry)


def heal(site: Site, journal: Journal, entry: Entry) -> None:
    """Undo a fault and strike it off. It stays in the journal where that fails."""
    if entry.fault not in FAULTS:
        raise LabProblem(
            f"the journal contains a fault that this version of halab does not know: {entry.fault}"
        )
    FAULTS[entry.fault].heal(site, entry)
    journal.closed(entry)
