"""Promises about a fact: it changed, became or stayed a value, or increased.

A reading without a value means that a sampled state was unknown, or that a process did not run. Neither is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from halab.config.quantities import Bounds, format_count, format_duration
from halab.scenario.record.history import Window
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Gap
from halab.scenario.verdict.judgement import Citation, Figure, Judgement, JudgementState, Unit

# States are read at least twice a second, and a read is given up after one or two seconds: five seconds without a
# reading mean that the sampler did not ask.
GAP_SECONDS = 5.0
# Fewer known readings may be an accident.
FEWEST_KNOWN = 3


@dataclass(frozen=True)
class FactReading:
    """A value, when it was asked for (`t`) and when the answer came (`end`), in seconds of the run."""

    t: float
    end: float
    value: str | None
    detail: str = ""


@dataclass(frozen=True)
class Track:
    """The readings of one fact, in order. A fact that is not sampled has few: the runner reads it when it is needed."""

    lane: Lane
    readings: Sequence[FactReading]
    is_sampled: bool

    @property
    def name(self) -> str:
        return self.lane.in_words

    def between(self, start: float, end: float) -> list[FactReading]:
        """The readings asked for and answered in that time. One across either end may show the time outside."""
        return [reading for reading in self.readings if start <= reading.t and reading.end <= end]

    def before(self, moment: float) -> FactReading | None:
        """The last reading before a moment, if its value is known and it is recent; else None."""
        earlier = [reading for reading in self.readings if reading.end <= moment and reading.t < moment]
        if self.is_sampled:
            known = [reading for reading in earlier if reading.value is not None]
            earlier = [reading for reading in known if moment - reading.t <= GAP_SECONDS]
        return earlier[-1] if earlier and earlier[-1].value is not None else None

    def gaps(self, start: float, end: float) -> list[Gap]:
        """The times without a question; a fact that is not sampled has none."""
        if not self.is_sampled:
            return []
        moments = [start, *(reading.t for reading in self.readings if start < reading.t < end), end]
        return [Gap(first, second) for first, second in pairwise(moments) if second - first > GAP_SECONDS]

    def cite(self, readings: Sequence[FactReading]) -> tuple[Citation, ...]:
        return (Citation(self.lane, readings[0].t, readings[-1].t, len(readings)),)


def changed(track: Track, window: Window, counts_from: float, limit: float, now: float) -> Judgement:
    """The first reading with another value than before the fault comes within the limit."""
    before = track.before(window.start)
    if before is None:
        return Judgement(JudgementState.OPEN, f"{_no_reading(track)} before the fault")
    later = track.between(window.start, now)
    wanted = _Wanted(lambda value: value != before.value, f"{track.name} changed from {before.value} to")
    return _reached(track, wanted, later, counts_from, limit)


def reached(track: Track, value: str, counts_from: float, limit: float, now: float) -> Judgement:
    """The first reading with that value comes within the limit."""
    later = track.between(counts_from, now)
    wanted = _Wanted(lambda candidate: candidate == value, f"{track.name} is")
    return _reached(track, wanted, later, counts_from, limit)


@dataclass(frozen=True)
class _Wanted:
    """The values that are waited for; `words` begin the sentence about the one that came."""

    is_it: Callable[[str], bool]
    words: str


def _reached(
    track: Track, wanted: _Wanted, later: Sequence[FactReading], counts_from: float, limit: float
) -> Judgement:
    latest = counts_from + limit
    first = next(
        (reading for reading in later if reading.value is not None and wanted.is_it(reading.value)), None
    )
    if first and first.t <= latest:
        seconds = max(0.0, first.t - counts_from)
        seen = f"{wanted.words} {first.value} after {format_duration(seconds)}"
        return Judgement(JudgementState.MET, seen, first.t, track.cite([first]), _after(seconds, limit))
    last = first or (later[-1] if later else None)
    if last is None or last.t <= latest:
        return Judgement(JudgementState.OPEN, _so_far(track, last))
    unsampled = [gap for gap in track.gaps(counts_from, last.t) if gap.start < latest]
    if unsampled:
        return Judgement(
            JudgementState.OPEN, f"no reading of {track.name} for {format_duration(unsampled[0].seconds)}"
        )
    if first:
        seconds = first.t - counts_from
        seen = f"{wanted.words} {first.value} only after {format_duration(seconds)}"
        return Judgement(JudgementState.BROKEN, seen, first.t, track.cite([first]), _after(seconds, limit))
    return _never(track, [reading for reading in later if reading.t > latest], counts_from)


def _no_reading(track: Track) -> str:
    # not "is unknown": that is a value of some facts
    return f"there is no reading of {track.name}"


def _so_far(track: Track, last: FactReading | None) -> str:
    """What the last reading says while the awaited value may still come."""
    if last and last.value:
        return f"{track.name} is {last.value} so far"
    if last and not track.is_sampled:
        return f"{track.name} is gone, and has not come back yet"
    return _no_reading(track)


def _never(track: Track, late: Sequence[FactReading], counts_from: float) -> Judgement:
    """The limit is over, and the awaited value was not read."""
    known = [reading for reading in late if reading.value is not None]
    last = late[-1]
    lasted = format_duration(last.t - counts_from)
    if known:
        seen = f"{track.name} is still {known[-1].value} after {lasted}"
    elif track.is_sampled:
        return Judgement(JudgementState.OPEN, f"{_no_reading(track)}: {last.detail or 'no answer'}")
    else:
        seen = f"{track.name} is gone, and has not come back after {lasted}"
    return Judgement(JudgementState.BROKEN, seen, last.t, track.cite(known or [last]))


def unchanged(track: Track, window: Window, now: float, *, over_window: bool) -> Judgement:
    """Every known reading since the fault, or over its window, is the same as before it."""
    before = track.before(window.start)
    if before is None:
        return Judgement(JudgementState.OPEN, f"{_no_reading(track)} before the fault")
    end = window.end if over_window and window.end is not None else now
    later = track.between(window.start, end)
    for reading in later:
        # a process without a value does not run any more: that is a change
        if reading.value != before.value and (reading.value is not None or not track.is_sampled):
            became = (
                f"changed from {before.value} to {reading.value}"
                if reading.value
                else f"was {before.value} and is gone"
            )
            seen = f"{track.name} {became} at {reading.t:.1f}s"
            return Judgement(JudgementState.BROKEN, seen, reading.t, track.cite([reading]))
    unknown = _still_open(window) if over_window else ""
    unknown = unknown or (_unsampled_because(track, window.start, end) if track.is_sampled else "")
    if unknown or not later:
        return Judgement(JudgementState.OPEN, unknown or f"{track.name} was not read after the fault")
    return Judgement(
        JudgementState.MET, f"{track.name} is still {before.value}", later[-1].t, track.cite(later)
    )


def held(track: Track, value: str, window: Window, now: float) -> Judgement:
    """Every known reading from a fault's effect to its heal is that value."""
    if window.effective is None:
        return Judgement(JudgementState.OPEN, f"{track.name}: the fault has no effect yet")
    end = now if window.end is None else window.end
    readings = track.between(window.effective, end)
    wrong = [reading for reading in readings if reading.value is not None and reading.value != value]
    if wrong:
        count = f"{len(wrong)} of {len(readings)} readings"
        seen = f"{track.name} was {wrong[0].value} in {count}, first at {wrong[0].t:.1f}s"
        return Judgement(JudgementState.BROKEN, seen, wrong[0].t, track.cite(wrong))
    unknown = _still_open(window) or _unsampled_because(track, window.effective, end)
    if unknown:
        return Judgement(JudgementState.OPEN, unknown)
    seen = f"{track.name} was {value} all the time"
    return Judgement(JudgementState.MET, seen, readings[0].t, track.cite(readings))


def increased(
    track: Track, bounds: Bounds, window: Window, now: float, *, may_fall: bool = False
) -> Judgement:
    """The increase of a number is in bounds, from the last reading before the fault to the last one before its heal.

    A number that may fall counts up to its highest reading; if it only fell, its increase is 0.
    """
    end = now if window.end is None else window.end
    inside = [reading for reading in track.between(window.start, end) if _is_number(reading)]
    before = track.before(window.start)
    first = before if before and _is_number(before) else next(iter(inside), None)
    if first is None or not inside:
        return Judgement(JudgementState.OPEN, _no_reading(track))
    last = inside[-1]
    highest = max(inside, key=_number) if may_fall else last
    by = _number(highest) - _number(first)
    if may_fall:
        by = max(0, by)
    figures = (Figure.within("increase", Unit.COUNT, by, bounds),)
    words = f"{track.name} went from {first.value} to {highest.value}, an increase of"
    beyond = [reading for reading in inside if _number(reading) - _number(first) > bounds.most]
    if beyond:
        seen = f"{words} {by}, at most {format_count(bounds.most)} was promised"
        return Judgement(JudgementState.BROKEN, seen, beyond[0].t, track.cite(beyond), figures)
    # a number that was last known long before the heal may have grown further since
    if _still_open(window) or first.t - window.start > GAP_SECONDS or end - last.t > GAP_SECONDS:
        why = _still_open(window) or f"{_no_reading(track)} at the start or the end of the window"
        return Judgement(JudgementState.OPEN, why)
    if by < bounds.least:
        seen = f"{words} only {by}, at least {format_count(bounds.least)} was promised"
        return Judgement(JudgementState.BROKEN, seen, last.t, track.cite(inside), figures)
    unmoved = (
        f"{track.name} never exceeded {first.value}"
        if may_fall
        else f"{track.name} was {first.value} all the time"
    )
    seen = f"{words} {by}" if by else unmoved
    return Judgement(JudgementState.MET, seen, last.t, track.cite(inside), figures)


def _still_open(window: Window) -> str:
    return "the fault is not healed yet" if window.end is None else ""


def _unsampled_because(track: Track, start: float, end: float) -> str:
    """Why the readings of that time are too few to judge; empty if they are enough."""
    gaps = track.gaps(start, end)
    if gaps:
        return f"no reading of {track.name} for {format_duration(max(gap.seconds for gap in gaps))}"
    readings = track.between(start, end)
    known = [reading for reading in readings if reading.value is not None]
    if len(known) < FEWEST_KNOWN or 2 * len(known) < len(readings):
        return f"{track.name} was known in only {len(known)} of {len(readings)} readings"
    return ""


def _after(seconds: float, limit: float) -> tuple[Figure, ...]:
    return (Figure("after", Unit.SECONDS, seconds, limit),)


def _is_number(reading: FactReading) -> bool:
    value = reading.value
    return value is not None and value.isascii() and value.isdigit() and len(value) < 20


def _number(reading: FactReading) -> int:
    assert reading.value is not None
    return int(reading.value)
