"""States over time: who led, which backends were up, what each machine said of itself."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence

from halab.scenario.events import StateReading


class States:
    """Readings by lane, each lane in the order in which they were asked for; more can be added as they are written."""

    def __init__(self, readings: Iterable[StateReading] = ()) -> None:
        self._lanes: dict[str, list[StateReading]] = {}
        self.add(readings)

    def add(self, readings: Iterable[StateReading]) -> None:
        for reading in readings:
            insort(self._lanes.setdefault(reading.lane, []), reading, key=_asked)

    @property
    def lanes(self) -> tuple[str, ...]:
        return tuple(sorted(self._lanes))

    @property
    def count(self) -> int:
        return sum(map(len, self._lanes.values()))

    def of(self, lane: str) -> Sequence[StateReading]:
        return self._lanes.get(lane, [])

    def changes(self, lane: str) -> list[tuple[float, str | None]]:
        """When a state became what: the first reading, and each that differs from the one before. None: unknown."""
        found: list[tuple[float, str | None]] = []
        for reading in self.of(lane):
            if not found or found[-1][1] != reading.value:
                found.append((reading.t, reading.value))
        return found


def _asked(reading: StateReading) -> float:
    return reading.t
