"""The plan of a campaign: which scenarios run, in which order, with which seeds."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from halab.config.quantities import format_minutes
from halab.config.twin import Verdict, twin_name
from halab.scenario.run.duration import longest_seconds
from halab.scenario.run.library import Script
from halab.scenario.verdict.result import Result


@dataclass(frozen=True)
class PlannedRun:
    """One run to come. `seed` decides which of several equal targets a fault hits."""

    script: Script
    seed: int
    twin: bool = False

    def __str__(self) -> str:
        return twin_name(self.script.name) if self.twin else self.script.name

    def is_as_expected(self, result: Result, *, proving: bool) -> bool:
        """True for a skip, and for the expected verdict: a pass or, if `proving`, the verdict its twin promises."""
        if result.verdict is Verdict.SKIP:
            return True
        return result.verdict is (self.script.scenario.twin.verdict if proving else Verdict.PASS)


def planned_runs(
    scripts: Sequence[Script], seed: int, *, repeat: int = 1, twin: bool = False, shuffled: bool = False
) -> list[PlannedRun]:
    """All scenarios in `repeat` rounds. Every round has its own seed and, if `shuffled`, its own order."""
    order = random.Random(seed)
    return [
        PlannedRun(script, seed + number, twin)
        for number in range(repeat)
        for script in (order.sample(scripts, len(scripts)) if shuffled else scripts)
    ]


def announcement(planned: Sequence[PlannedRun], seed: int, patience: float) -> str:
    """The number of runs, the longest time that they can take, the seed and the order."""
    longest = sum(longest_seconds(run.script.scenario, patience) for run in planned)
    order = ", ".join(run.script.name for run in planned)
    return f"{len(planned)} runs, up to about {format_minutes(longest)}, seed {seed}, in this order: {order}"
