"""States over time: who led, which backends were up, what each machine said of itself."""

from __future__ import annotations

from halab.scenario.record.events import StateReading
from halab.scenario.record.lanes import Lanes


class States(Lanes[StateReading]):
    """Readings by lane, in the order in which they were asked for."""

    def changes(self, lane: str) -> list[tuple[float, str | None]]:
        """When a state became what: the first reading, and each that differs from the one before. None: unknown."""
        found: list[tuple[float, str | None]] = []
        for reading in self.of(lane):
            if not found or found[-1][1] != reading.value:
                found.append((reading.t, reading.value))
        return found
