"""The log of a game day: who did what, at which time, and the outages that clients saw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from halab.config.game_day import WHOLE
from halab.config.quantities import format_duration
from halab.scenario.record import events, game_day_events
from halab.scenario.record.events import RunStarted
from halab.scenario.record.folder import Evidence
from halab.scenario.record.outage import figures

HALAB, CLIENTS = "halab", "clients"
# The log leaves out shorter outages, such as a single failed request; log.json has them under `outages`.
_LEAST_SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the log. `wall` is ISO 8601, `t` is in seconds since the run began."""

    t: float
    wall: str
    who: str
    what: str

    @property
    def clock(self) -> str:
        return self.wall[11:19]


def log(evidence: Evidence) -> list[Row]:
    """Breaks, heals, notes, and outages of clients, in the order of time."""
    begun = next((started.wall for _, started in evidence.history.events(RunStarted)), evidence.meta.started)
    start = datetime.fromisoformat(begun)
    rows = [
        Row(round(t, 1), (start + timedelta(seconds=t)).isoformat("T", "seconds"), who, what)
        for t, who, what in [*_events(evidence), *_outages(evidence), *_notes(evidence, start)]
    ]
    return sorted(rows, key=lambda row: row.t)


def to_json(evidence: Evidence) -> str:
    """log.json: the log, the faults with their times, and the outages of clients."""
    faults = [asdict(fault) for fault in evidence.history.faults if fault.name != WHOLE]
    outages = [
        {"probe": lane, "start": round(start, 1), "end": round(end, 1), "detail": detail}
        for lane, start, end, detail in _of_clients(evidence)
    ]
    content = {
        "schema": 1,
        "log": [asdict(row) for row in log(evidence)],
        "faults": faults,
        "outages": outages,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _events(evidence: Evidence) -> Iterator[tuple[float, str, str]]:
    for record in evidence.records:
        match record.what:
            case events.FaultEvent(name=name) if name == WHOLE:
                begins = isinstance(record.what, events.FaultInjected)
                if begins or isinstance(record.what, events.Healed):
                    yield record.t, HALAB, f"the game day {'begins' if begins else 'is over'}"
            case events.FaultStarted(name=name, fault=fault, machine=machine, target=target):
                role = f" ({target})" if target != machine else ""
                yield record.t, HALAB, f"injects {name}: {fault} on {machine}{role}"
            case events.FaultInjected(name=name, effect=effect):
                yield record.t, HALAB, f"{name} took effect: {effect}"
            case events.Healed(name=name, machine=machine):
                yield record.t, HALAB, f"{name} is healed on {machine}"
            case events.HealFailed(name=name, machine=machine, why=why):
                yield record.t, HALAB, f"{name} could not be healed on {machine}: {why}"
            case game_day_events.Stopped(why=why):
                yield record.t, HALAB, f"stops, and heals everything: {why}"
            case events.Steady(ok=True, when=events.SteadyCheckPoint.AFTER, seconds=seconds):
                yield record.t, HALAB, f"the lab is steady again, after {format_duration(seconds)}"
            case events.RunInterrupted(signal=signal):
                yield record.t, HALAB, f"interrupted by {signal}"
            case events.Error() as error:
                yield record.t, HALAB, f"error: {error.in_words}"


def _notes(evidence: Evidence, start: datetime) -> Iterator[tuple[float, str, str]]:
    """Notes at the time when they were written: halab may read them a minute later."""
    for t, note in evidence.history.events(game_day_events.Note):
        try:
            written = (datetime.fromisoformat(note.wall) - start).total_seconds()
        except (ValueError, TypeError):
            written = t
        yield max(0.0, min(written, t)), note.by or "somebody", note.text


def _outages(evidence: Evidence) -> Iterator[tuple[float, str, str]]:
    for lane, start, end, detail in _of_clients(evidence):
        if end - start >= _LEAST_SECONDS:
            yield start, CLIENTS, f"{lane} fails for {format_duration(end - start)} ({detail})"


def _of_clients(evidence: Evidence) -> Iterator[tuple[str, float, float, str]]:
    """The outages of all probes of the load balancer: probe, start and end in seconds, and the first error."""
    samples = evidence.samples
    for lane in samples.lanes:
        own = samples.of(lane)
        if lane.machine is not None:
            continue
        for outage in figures(own, own[0].t, own[-1].end + 1e-6).outages:
            first = next(sample for sample in own if sample.t == outage.start and not sample.ok)
            yield str(lane), outage.start, outage.end, first.detail
