"""A lab as it is right now and was in the last minute, from samples and readings as they come in. No IO, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from halab.config.expectation import FactName
from halab.config.leader_roles import LEADER_ROLES
from halab.scenario.record.events import Sample, StateReading, spoken

WINDOW_SECONDS = 60.0
# States are asked at least twice a second: what nobody could tell for so long is unknown.
_STALE_SECONDS = 3.0
# One good answer between failures is no recovery (three in a row are what the verdict asks for as well).
_ANSWERS_AGAIN = 3
_KEPT_CHANGES = 200

# What each state of the lab or of a machine is called where it changes.
_SPOKEN_STATES = {
    **{role.leader: f"the {role.component} leader" for role in LEADER_ROLES},
    "node-ready": "node ready",
    "backend": "backend",
    "etcd-alarm": "etcd alarm",
}


@dataclass(frozen=True)
class LiveChange:
    """Something that is otherwise since `t`; `is_bad` where it is a loss."""

    t: float
    text: str
    is_bad: bool = False


@dataclass(frozen=True)
class Cell:
    """The questions of one short time; `slowest_seconds` is of those that were answered well."""

    asked: int = 0
    failed: int = 0
    slowest_seconds: float = 0.0


@dataclass(frozen=True)
class Now:
    """What a probe came to last: since when it is so, and what was said."""

    ok: bool
    since: float
    seconds: float
    detail: str


@dataclass
class _Lane:
    samples: deque[Sample]
    is_failing: bool = False
    since: float = 0.0
    good_in_a_row: int = 0


class Live:
    """Everything that a view shows. Times are seconds since the view began."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._states: dict[str, StateReading] = {}
        self._machines: dict[str, str] = {}
        self._faults: tuple[str, ...] | None = None
        self._changes: deque[LiveChange] = deque(maxlen=_KEPT_CHANGES)
        self._count = 0

    def add_samples(self, samples: Iterable[Sample]) -> None:
        for sample in sorted(samples, key=lambda each: each.end):
            self._add(sample)

    def add_readings(self, readings: Iterable[StateReading]) -> None:
        for reading in sorted(readings, key=lambda each: each.end):
            # a member that is gone tells nothing, and others know: only what is known counts
            if reading.value is None:
                continue
            before = self._states.get(reading.lane)
            self._states[reading.lane] = reading
            if before and before.value != reading.value and reading.state in _SPOKEN_STATES:
                self._say(reading.end, _changed(reading, before.value), is_bad=_is_bad(reading))

    def see_machines(self, t: float, states: Mapping[str, str]) -> None:
        """The power states as they are now."""
        for machine, state in states.items():
            before = self._machines.get(machine)
            if before is not None and before != state:
                self._say(t, f"{machine}: {before} → {state}", is_bad=state != "running")
        self._machines = dict(states)

    def see_faults(self, t: float, faults: Sequence[str]) -> None:
        """The faults that are open now."""
        if self._faults is not None:
            for fault in faults:
                if fault not in self._faults:
                    self._say(t, f"fault: {fault}", is_bad=True)
            for fault in self._faults:
                if fault not in faults:
                    self._say(t, f"healed: {fault}")
        self._faults = tuple(faults)

    @property
    def faults(self) -> tuple[str, ...]:
        return self._faults or ()

    @property
    def lanes(self) -> tuple[str, ...]:
        """The probes: those through the load balancer first, then each machine's."""
        return tuple(sorted(self._lanes, key=lambda lane: ("@" in lane, lane)))

    def machine(self, name: str) -> str:
        """`running`, `off` …; empty until it was asked for."""
        return self._machines.get(name, "")

    def state(self, t: float, state: str, machine: str | None = None) -> str | None:
        """The value of a state at `t`; None where nobody could tell lately."""
        reading = self._states.get(f"{state}@{machine}" if machine else state)
        return reading.value if reading and t - reading.end <= _STALE_SECONDS else None

    def now(self, lane: str) -> Now:
        """What a probe that has samples came to last."""
        found = self._lanes[lane]
        last = found.samples[-1]
        return Now(not found.is_failing, found.since, last.seconds, last.detail)

    def failed_share(self, t: float, lane: str) -> float:
        """Of the questions of the last minute, from 0 to 1."""
        recent = [each for each in self._lanes[lane].samples if each.end >= t - WINDOW_SECONDS]
        return sum(not each.ok for each in recent) / len(recent) if recent else 0.0

    def cells(self, t: float, lane: str, count: int) -> list[Cell]:
        """The last minute in so many parts, the oldest first. A question belongs to when it was asked."""
        each = WINDOW_SECONDS / count
        # parts of the clock and not of the window: a mark that was drawn stays what it is, and moves on
        newest = int(t / each)
        parts: list[list[Sample]] = [[] for _ in range(count)]
        for sample in self._lanes[lane].samples:
            index = int(sample.t / each) - newest + count - 1
            if 0 <= index < count:
                parts[index].append(sample)
        return [_cell(part) for part in parts]

    def changes(self, last: int) -> list[LiveChange]:
        """The last few, the oldest first."""
        return list(self._changes)[-last:] if last > 0 else []

    def changes_after(self, count: int) -> tuple[int, list[LiveChange]]:
        """How many there were by now, and those that came after the first `count`."""
        return self._count, self.changes(self._count - count)

    def _add(self, sample: Sample) -> None:
        lane = self._lanes.setdefault(sample.lane, _Lane(deque(), since=sample.t))
        lane.samples.append(sample)
        while lane.samples[0].end < sample.end - WINDOW_SECONDS * 2:
            lane.samples.popleft()
        if not sample.ok:
            lane.good_in_a_row = 0
            if not lane.is_failing:
                lane.is_failing, lane.since = True, sample.t
                self._say(sample.end, f"{spoken(sample.lane)} fails: {sample.detail}", is_bad=True)
            return
        lane.good_in_a_row += 1
        if lane.is_failing and lane.good_in_a_row >= _ANSWERS_AGAIN:
            lasted = sample.end - lane.since
            lane.is_failing, lane.since = False, sample.t
            self._say(sample.end, f"{spoken(sample.lane)} answers again, after {lasted:.1f} s")

    def _say(self, t: float, text: str, *, is_bad: bool = False) -> None:
        self._count += 1
        self._changes.append(LiveChange(t, text, is_bad))


def _cell(samples: Sequence[Sample]) -> Cell:
    good = [each.seconds for each in samples if each.ok]
    return Cell(len(samples), len(samples) - len(good), max(good, default=0.0))


def _changed(reading: StateReading, before: str | None) -> str:
    where = f" on {reading.machine}" if reading.machine else ""
    return f"{_SPOKEN_STATES[reading.state]}{where}: {before} → {reading.value}"


def _is_bad(reading: StateReading) -> bool:
    good = FactName(reading.state).good_value
    return good is not None and reading.value != good
