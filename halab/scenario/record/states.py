"""States over time: leaders, backends, and what machines report of themselves."""

from __future__ import annotations

from halab.scenario.record.events import StateReading
from halab.scenario.record.lanes import Lane, Lanes


class States(Lanes[StateReading]):
    """Readings by lane, in the order of the questions."""

    def changes(self, lane: Lane) -> list[tuple[float, str | None]]:
        """Time and value of the first reading and of every one that differs from the one before; None is unknown."""
        changes: list[tuple[float, str | None]] = []
        for reading in self.of(lane):
            if not changes or changes[-1][1] != reading.value:
                changes.append((reading.t, reading.value))
        return changes
