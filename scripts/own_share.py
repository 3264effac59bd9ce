"""How much time halab adds to the time that scenarios need themselves. Part of scripts/measure and scripts/bench."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def needed_seconds(run: Path) -> float | None:
    """Return the seconds from a run's first fault until the lab was steady again; None if it did not get there."""
    from halab.scenario.record import events, timeline

    records = timeline.read(run / "timeline.jsonl")
    faults = [record.t for record in records if isinstance(record.what, events.FaultStarted)]
    steady = [record.t for record in records if isinstance(record.what, events.Steady)]
    return round(steady[-1] - faults[0], 1) if faults and steady else None


def summary(whole_seconds: float, needed: Sequence[float]) -> str:
    """Format both times, and the share that halab adds."""
    own = sum(needed)
    share = f"{100 * (whole_seconds - own) / own:.0f} %" if own else "nothing to compare"
    return (
        f"{len(needed)} of these runs took {whole_seconds / 60:.1f} min, {own / 60:.1f} min of it from the fault "
        f"until the lab was steady again; what halab adds to that: {share}."
    )
