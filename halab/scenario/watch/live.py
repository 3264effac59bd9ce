"""The lab now and during the last minutes, from samples and readings as they arrive. No IO, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from halab.config.expectation import FactName, fact_of
from halab.config.leader_roles import LEADER_ROLES
from halab.scenario.record.events import Sample, StateReading
from halab.scenario.record.lanes import Lane

WINDOW_SECONDS = 60.0
# Samples are kept for so much longer than the window: drawings are a little behind.
_KEPT_SECONDS = 60.0
# States are read at least twice a second: without an answer for so long, a state is unknown.
_STALE_SECONDS = 3.0
# One ok answer between failures is not yet a recovery.
_ANSWERS_AGAIN = 3
_MOST_CHANGES = 200

# The names of states in messages about changes.
STATE_NAMES = {
    **{role.leader: f"the {role.component} leader" for role in LEADER_ROLES},
    "vip-holder": "the holder of the virtual address",
    "vip-holders": "holders of the virtual address",
    "vip-reached": "the machine reached from outside at the virtual address",
    "node-ready": "node ready",
    "backend": "backend",
    "backend-of": "the API server of the kubelet",
    "etcd-alarm": "etcd alarm",
    "etcd-member": "etcd member",
    "etcd-members": "etcd members with a vote",
    "dns-record": "record in DNS",
    "kubernetes-endpoint": "endpoint of the API",
}


@dataclass(frozen=True)
class LiveChange:
    """Something that changed at `t`; `is_bad` if it got worse."""

    t: float
    text: str
    is_bad: bool = False


@dataclass(frozen=True)
class Cell:
    """The questions of a short time; `slowest_seconds` is the slowest ok answer."""

    asked: int = 0
    failed: int = 0
    slowest_seconds: float = 0.0


@dataclass(frozen=True)
class Now:
    """The current status of a probe: since when it is ok or failing, and its last answer."""

    ok: bool
    since: float
    seconds: float
    detail: str


@dataclass
class _LiveLane:
    samples: deque[Sample]
    is_failing: bool = False
    since: float = 0.0
    good_in_a_row: int = 0


class Live:
    """Everything that the live view shows. Times are seconds since the view began.

    `window_seconds` is how far back it looks.
    """

    def __init__(self, window_seconds: float = WINDOW_SECONDS) -> None:
        self._window_seconds = window_seconds
        self._lanes: dict[Lane, _LiveLane] = {}
        self._states: dict[Lane, StateReading] = {}
        self._machines: dict[str, str] = {}
        self._faults: tuple[str, ...] | None = None
        self._changes: deque[LiveChange] = deque(maxlen=_MOST_CHANGES)
        self._count = 0

    def add_samples(self, samples: Iterable[Sample]) -> None:
        for sample in sorted(samples, key=lambda sample: sample.end):
            self._add(sample)

    def add_readings(self, readings: Iterable[StateReading]) -> None:
        for reading in sorted(readings, key=lambda reading: reading.end):
            # a member that is gone knows nothing, but other members do: only known values count
            if reading.value is None:
                continue
            before = self._states.get(reading.lane)
            self._states[reading.lane] = reading
            if before and before.value != reading.value and _name(reading.state):
                self._report(reading.end, _changed(reading, before.value), is_bad=_is_bad(reading))

    def see_machines(self, t: float, states: Mapping[str, str]) -> None:
        """Take in the current power states, by machine."""
        for machine, state in states.items():
            before = self._machines.get(machine)
            if before is not None and before != state:
                self._report(t, f"{machine}: {before} → {state}", is_bad=state != "running")
        self._machines = dict(states)

    def see_faults(self, t: float, faults: Sequence[str]) -> None:
        """Take in the faults that are open now."""
        if self._faults is not None:
            for fault in faults:
                if fault not in self._faults:
                    self._report(t, f"fault: {fault}", is_bad=True)
            for fault in self._faults:
                if fault not in faults:
                    self._report(t, f"healed: {fault}")
        self._faults = tuple(faults)

    @property
    def faults(self) -> tuple[str, ...]:
        return self._faults or ()

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """The lanes of the probes: those through the load balancer first, then those of machines."""
        return tuple(sorted(self._lanes, key=lambda lane: (lane.machine is not None, str(lane))))

    def machine(self, name: str) -> str:
        """The power state (`running`, `off` …); empty while it is unknown."""
        return self._machines.get(name, "")

    def state(self, t: float, state: str, machine: str | None = None) -> str | None:
        """The value of a state at `t`; None if there was no recent answer."""
        reading = self._states.get(Lane(state, machine))
        return reading.value if reading and t - reading.end <= _STALE_SECONDS else None

    def now(self, lane: Lane) -> Now:
        """The current status of a lane that has samples."""
        status = self._lanes[lane]
        last = status.samples[-1]
        return Now(not status.is_failing, status.since, last.seconds, last.detail)

    def failed_share(self, t: float, lane: Lane) -> float:
        """The failed share of the questions in the window, from 0 to 1."""
        recent = [sample for sample in self._lanes[lane].samples if sample.end >= t - self._window_seconds]
        return sum(not sample.ok for sample in recent) / len(recent) if recent else 0.0

    def cells(self, t: float, lane: Lane, count: int) -> list[Cell]:
        """The window in `count` cells, the oldest first. A question counts in the cell in which it was asked."""
        cell_seconds = self._window_seconds / count
        # cells are aligned with the clock and not with the window: a drawn mark does not change while it moves on
        newest = int(t / cell_seconds)
        cells: list[list[Sample]] = [[] for _ in range(count)]
        for sample in self._lanes[lane].samples:
            index = int(sample.t / cell_seconds) - newest + count - 1
            if 0 <= index < count:
                cells[index].append(sample)
        return [_cell(cell) for cell in cells]

    def changes(self, last: int) -> list[LiveChange]:
        """The last changes, the oldest first."""
        return list(self._changes)[-last:] if last > 0 else []

    def changes_after(self, count: int) -> tuple[int, list[LiveChange]]:
        """The number of all changes so far, and the changes after the first `count`."""
        return self._count, self.changes(self._count - count)

    def _add(self, sample: Sample) -> None:
        lane = self._lanes.setdefault(sample.lane, _LiveLane(deque(), since=sample.t))
        lane.samples.append(sample)
        while lane.samples[0].end < sample.end - self._window_seconds - _KEPT_SECONDS:
            lane.samples.popleft()
        if not sample.ok:
            lane.good_in_a_row = 0
            if not lane.is_failing:
                lane.is_failing, lane.since = True, sample.t
                self._report(sample.end, f"{sample.lane.in_words} fails: {sample.detail}", is_bad=True)
            return
        lane.good_in_a_row += 1
        if lane.is_failing and lane.good_in_a_row >= _ANSWERS_AGAIN:
            lasted = sample.end - lane.since
            lane.is_failing, lane.since = False, sample.t
            self._report(sample.end, f"{sample.lane.in_words} answers again, after {lasted:.1f} s")

    def _report(self, t: float, text: str, *, is_bad: bool = False) -> None:
        self._count += 1
        self._changes.append(LiveChange(t, text, is_bad))


def _cell(samples: Sequence[Sample]) -> Cell:
    good = [sample.seconds for sample in samples if sample.ok]
    return Cell(len(samples), len(samples) - len(good), max(good, default=0.0))


def _changed(reading: StateReading, before: str | None) -> str:
    where = f" on {reading.machine}" if reading.machine else ""
    return f"{_name(reading.state)}{where}: {before} → {reading.value}"


def _name(state: str) -> str | None:
    """The name of a state whose changes are reported; a unit has its own."""
    return state if fact_of(state) is FactName.UNIT_STATE else STATE_NAMES.get(state)


def _is_bad(reading: StateReading) -> bool:
    good = fact_of(reading.state).traits.good_value
    return good is not None and reading.value != good
