"""Injecting and healing with the journal kept: every fault that acts is written down before it does."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

from halab.errors import HalabError, LabProblem
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site


def prepare(journal: Journal, fault: str, machine: str, options: Mapping[str, str]) -> Entry:
    """Write a fault down. From here on it counts as open, whether it acts or not."""
    entry = Entry(uuid.uuid4().hex[:12], fault, machine, dict(options))
    journal.opened(entry)
    return entry


def inject(site: Site, entry: Entry) -> str:
    """Inject a fault that is written down, and wait for its effect; what was seen of it."""
    return FAULTS[entry.fault].inject(site, entry.machine, entry.options)


def heal(site: Site, journal: Journal, entry: Entry) -> None:
    """Undo a fault and strike it off. It stays in the journal where that fails."""
    if entry.fault not in FAULTS:
        raise LabProblem(f"the journal names a fault that this halab does not know: {entry.fault}")
    FAULTS[entry.fault].heal(site, entry.machine, entry.options)
    journal.closed(entry)


def heal_all(
    site: Site, journal: Journal, *, healed: Callable[[Entry], None] = lambda entry: None
) -> list[tuple[Entry, HalabError]]:
    """Undo everything in the journal, the youngest first; what could not be undone, and why."""
    failed = []
    for entry in reversed(journal.open_faults()):
        try:
            heal(site, journal, entry)
            healed(entry)
        except HalabError as error:
            failed.append((entry, error))
    return failed
