"""The plan of a game day: the breaks that the seed chose, with their times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from halab.config.scenario import Scenario
from halab.config.step import Inject


@dataclass(frozen=True)
class PlannedInject:
    """A fault and when it is due, in seconds after the start of the game day."""

    at: float
    step: Inject


@dataclass(frozen=True)
class PlannedBreak:
    """A break with its times, in seconds after the start. `healed` is None for one that lasts until the end.

    `scenarios` has the scenario that it comes from, if there is one: it says what the lab must have.
    """

    name: str
    begins: float
    healed: float | None
    injects: tuple[PlannedInject, ...]
    scenarios: tuple[Scenario, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """The names of its faults."""
        return tuple(each.step.name for each in self.injects)


@dataclass(frozen=True)
class Act:
    """Something that is due: the inject of a fault, or, without one, the heal of a break."""

    at: float
    planned: PlannedBreak
    step: Inject | None = None


@dataclass(frozen=True)
class Plan:
    """`lasts` is in seconds."""

    lasts: float
    breaks: tuple[PlannedBreak, ...]

    @property
    def injects(self) -> list[PlannedInject]:
        return sorted((each for one in self.breaks for each in one.injects), key=lambda each: each.at)

    @property
    def acts(self) -> list[Act]:
        """Everything that is due before the end, in order. A heal comes after the injects of the same moment."""
        return sorted(self._acts(), key=lambda act: (act.at, act.step is None))

    def _acts(self) -> Iterator[Act]:
        for planned in self.breaks:
            yield from (Act(each.at, planned, each.step) for each in planned.injects)
            if planned.healed is not None and planned.healed < self.lasts:
                yield Act(planned.healed, planned)
