"""Whether a fact became, stayed or grew what was promised, by what was read of it.

A reading without a value is unknown of a state that is sampled, and gone of a process that is looked for: neither
is a change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from halab.config.quantities import Bounds, format_count, format_duration
from halab.scenario.record.events import spoken
from halab.scenario.record.history import Window
from halab.scenario.record.outage import Gap
from halab.scenario.verdict.decision import Citation, Figure, Judgement, JudgementState, Unit

# States are asked for at least twice a second, and each question is given up after a second or two: five seconds
# without a reading mean that nobody asked.
GAP_SECONDS = 5.0
# So many known readings are no accident.
FEWEST_KNOWN = 3


@dataclass(frozen=True)
class FactReading:
    """What was read, when it was asked for and when it was answered."""

    t: float
    end: float
    value: str | None
    detail: str = ""


@dataclass(frozen=True)
class Track:
    """The readings of one fact, in order. Of one that is not sampled there are a few, each when it was needed."""

    lane: str
    readings: Sequence[FactReading]
    is_sampled: bool

    @property
    def name(self) -> str:
        return spoken(self.lane)

    def between(self, start: float, end: float) -> list[FactReading]:
        """Asked for and answered in that time: what was under way at either end may tell of before or after it."""
        return [each for each in self.readings if start <= each.t and each.end <= end]

    def before(self, moment: float) -> FactReading | None:
        """The last one before a moment that counts: known, and not from long before."""
        earlier = [each for each in self.readings if each.end <= moment and each.t < moment]
        if self.is_sampled:
            earlier = [each for each in earlier if each.value is not None and moment - each.t <= GAP_SECONDS]
        return earlier[-1] if earlier and earlier[-1].value is not None else None

    def gaps(self, start: float, end: float) -> list[Gap]:
        """The times in which nobody asked; what is not sampled has none."""
        if not self.is_sampled:
            return []
        moments = [start, *(each.t for each in self.readings if start < each.t < end), end]
        return [Gap(first, second) for first, second in pairwise(moments) if second - first > GAP_SECONDS]

    def evidence(self, readings: Sequence[FactReading]) -> tuple[Citation, ...]:
        if not readings:
            return ()
        return (Citation(self.lane, readings[0].t, readings[-1].t, len(readings)),)


def changed(track: Track, window: Window, counts_from: float, limit: float, now: float) -> Judgement:
    """The first reading with another value than before the fault comes within the limit."""
    before = track.before(window.start)
    if before is None:
        return Judgement(JudgementState.OPEN, f"{track.name} was not known before the fault")
    later = track.between(window.start, now)
    wanted = _Wanted(lambda value: value != before.value, f"{track.name} was {before.value} and is")
    return _reached(track, wanted, later, counts_from, limit)


def reached(track: Track, value: str, counts_from: float, limit: float, now: float) -> Judgement:
    """The first reading with that value comes within the limit."""
    later = track.between(counts_from, now)
    wanted = _Wanted(lambda each: each == value, f"{track.name} is")
    return _reached(track, wanted, later, counts_from, limit)


@dataclass(frozen=True)
class _Wanted:
    """Which values are waited for; `words` begin what is said of the one that came."""

    is_it: Callable[[str], bool]
    words: str


def _reached(
    track: Track, wanted: _Wanted, later: Sequence[FactReading], counts_from: float, limit: float
) -> Judgement:
    latest = counts_from + limit
    found = next((each for each in later if each.value is not None and wanted.is_it(each.value)), None)
    if found and found.t <= latest:
        seconds = max(0.0, found.t - counts_from)
        seen = f"{wanted.words} {found.value} after {format_duration(seconds)}"
        return Judgement(JudgementState.MET, seen, found.t, track.evidence([found]), _after(seconds, limit))
    last = found or (later[-1] if later else None)
    if last is None or last.t <= latest:
        so_far = f"is {last.value}" if last and last.value else "is not known"
        return Judgement(JudgementState.OPEN, f"{track.name} {so_far} so far")
    blind = [gap for gap in track.gaps(counts_from, last.t) if gap.start < latest]
    if blind:
        return Judgement(
            JudgementState.OPEN, f"no reading of {track.name} for {format_duration(blind[0].seconds)}"
        )
    if found:
        seconds = found.t - counts_from
        seen = f"{wanted.words} {found.value} only after {format_duration(seconds)}"
        return Judgement(
            JudgementState.BROKEN, seen, found.t, track.evidence([found]), _after(seconds, limit)
        )
    return _never(track, [each for each in later if each.t > latest], counts_from)


def _never(track: Track, late: Sequence[FactReading], counts_from: float) -> Judgement:
    """The limit is over, and what was waited for was not read."""
    known = [each for each in late if each.value is not None]
    last = late[-1]
    lasted = format_duration(last.t - counts_from)
    if known:
        seen = f"{track.name} is still {known[-1].value} after {lasted}"
    elif track.is_sampled:
        return Judgement(
            JudgementState.OPEN, f"{track.name} could not be told: {last.detail or 'nobody knows'}"
        )
    else:
        seen = f"{track.name} is gone, and was not seen again after {lasted}"
    return Judgement(JudgementState.BROKEN, seen, last.t, track.evidence(known or [last]))


def unchanged(track: Track, window: Window, now: float, *, over_window: bool) -> Judgement:
    """Every known reading since the fault, or over its window, is the same as before it."""
    before = track.before(window.start)
    if before is None:
        return Judgement(JudgementState.OPEN, f"{track.name} was not known before the fault")
    end = window.end if over_window and window.end is not None else now
    later = track.between(window.start, end)
    for each in later:
        # of a process, nothing to read is something else than before
        if each.value != before.value and (each.value is not None or not track.is_sampled):
            seen = f"{track.name} was {before.value} and is {each.value or 'gone'} at {each.t:.1f}s"
            return Judgement(JudgementState.BROKEN, seen, each.t, track.evidence([each]))
    unseen = _still_open(window) if over_window else ""
    unseen = unseen or (_unwatched(track, window.start, end) if track.is_sampled else "")
    if unseen or not later:
        return Judgement(JudgementState.OPEN, unseen or f"{track.name} was not read after the fault")
    return Judgement(
        JudgementState.MET, f"{track.name} is still {before.value}", later[-1].t, track.evidence(later)
    )


def held(track: Track, value: str, window: Window, now: float) -> Judgement:
    """Every known reading from a fault's effect to its heal is that value."""
    if window.effective is None:
        return Judgement(JudgementState.OPEN, f"{track.name}: the fault has no effect yet")
    end = now if window.end is None else window.end
    readings = track.between(window.effective, end)
    wrong = [each for each in readings if each.value is not None and each.value != value]
    if wrong:
        count = f"{len(wrong)} of {len(readings)} readings"
        seen = f"{track.name} was {wrong[0].value} in {count}, first at {wrong[0].t:.1f}s"
        return Judgement(JudgementState.BROKEN, seen, wrong[0].t, track.evidence(wrong))
    unseen = _still_open(window) or _unwatched(track, window.effective, end)
    if unseen:
        return Judgement(JudgementState.OPEN, unseen)
    seen = f"{track.name} was {value} all along"
    return Judgement(JudgementState.MET, seen, readings[0].t, track.evidence(readings))


def increased(track: Track, bounds: Bounds, window: Window, now: float) -> Judgement:
    """A number grows by so much: from the last reading before the fault to the last one before its heal."""
    end = now if window.end is None else window.end
    inside = [each for each in track.between(window.start, end) if _is_number(each)]
    before = track.before(window.start)
    first = before if before and _is_number(before) else next(iter(inside), None)
    if first is None or not inside:
        return Judgement(JudgementState.OPEN, f"{track.name} was not known")
    last = inside[-1]
    by = _number(last) - _number(first)
    figures = (Figure.within("increase", Unit.COUNT, by, bounds),)
    words = f"{track.name} went from {first.value} to {last.value}: by"
    beyond = [each for each in inside if _number(each) - _number(first) > bounds.most]
    if beyond:
        seen = f"{words} {by}, at most {format_count(bounds.most)} was promised"
        return Judgement(JudgementState.BROKEN, seen, beyond[0].t, track.evidence(beyond), figures)
    # a number that was last known long before the heal may have grown further since
    if _still_open(window) or first.t - window.start > GAP_SECONDS or end - last.t > GAP_SECONDS:
        why = _still_open(window) or f"{track.name} was not known at both ends of the window"
        return Judgement(JudgementState.OPEN, why)
    if by < bounds.least:
        seen = f"{words} only {by}, at least {format_count(bounds.least)} was promised"
        return Judgement(JudgementState.BROKEN, seen, last.t, track.evidence(inside), figures)
    seen = f"{words} {by}" if by else f"{track.name} was {first.value} all along"
    return Judgement(JudgementState.MET, seen, last.t, track.evidence(inside), figures)


def _still_open(window: Window) -> str:
    return "the fault is not healed yet" if window.end is None else ""


def _unwatched(track: Track, start: float, end: float) -> str:
    """Why what was read in that time is not enough to tell; empty where it is."""
    gaps = track.gaps(start, end)
    if gaps:
        return f"no reading of {track.name} for {format_duration(max(gap.seconds for gap in gaps))}"
    readings = track.between(start, end)
    known = [each for each in readings if each.value is not None]
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
