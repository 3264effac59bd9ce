"""Inject and heal faults, and keep the journal: a fault is recorded before it acts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from halab.errors import LabProblem
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site


def plan(site: Site, fault: str, machine: str, options: Mapping[str, str]) -> Entry:
    """An entry for a fault that can be injected now.

    Raises Unable if this lab cannot do it, and BadUsage if it makes no sense.
    """
    known = FAULTS[fault]
    remembered = known.remembers(site) if known.remembers else {}
    entry = Entry(uuid.uuid4().hex[:12], fault, machine, {**known.complete(options), **remembered})
    check = known.check
    if check:
        check(site, entry)
    return entry


def inject(site: Site, journal: Journal, entry: Entry) -> str:
    """Record a fault, inject it, wait for its effect, and return what was seen of it, with details in further lines.

    The fault counts as open from its record on, even if it did not act.
    """
    journal.opened(entry)
    return FAULTS[entry.fault].inject(site, entry)


def heal(site: Site, journal: Journal, entry: Entry) -> None:
    """Undo a fault and remove it from the journal. If the heal fails, it stays in the journal."""
    if entry.fault not in FAULTS:
        raise LabProblem(
            f"the journal contains a fault that this version of halab does not know: {entry.fault}",
            hint="heal it with the version that injected it, or rebuild the lab: `halab down && halab up`",
        )
    FAULTS[entry.fault].heal(site, entry)
    journal.closed(entry)
