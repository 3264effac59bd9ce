"""Runs that are to be made: of which scenario, in which order, with which seed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from halab.config.twin import Verdict
from halab.scenario.run.duration import longest_seconds
from halab.scenario.run.library import Script
from halab.scenario.verdict.result import Result


@dataclass(frozen=True)
class PlannedRun:
    """One run that is to be made. `seed` decides among equal targets."""

    script: Script
    seed: int
    twin: bool = False

    def __str__(self) -> str:
        return f"{self.script.name}{' (its losing twin)' if self.twin else ''}"

    def went_well(self, result: Result, *, proving: bool) -> bool:
        """Whether a campaign that ends at the first failure goes on."""
        if result.verdict is Verdict.SKIP:
            return True
        return result.verdict is (self.script.scenario.twin.verdict if proving else Verdict.PASS)


def planned_runs(
    scripts: Sequence[Script], seed: int, *, repeat: int = 1, twin: bool = False, shuffled: bool = False
) -> list[PlannedRun]:
    """Every scenario so many times, in rounds: each has a seed of its own and, if shuffled, another order."""
    order = random.Random(seed)
    return [
        PlannedRun(script, seed + number, twin)
        for number in range(repeat)
        for script in (order.sample(scripts, len(scripts)) if shuffled else scripts)
    ]


def announcement(planned: Sequence[PlannedRun], seed: int, patience: float) -> str:
    """What is going to be played: how much, how long at most, in which order."""
    longest = sum(longest_seconds(turn.script.scenario, patience) for turn in planned)
    order = ", ".join(turn.script.name for turn in planned)
    return f"{len(planned)} runs, at most {minutes(longest)}, seed {seed}, in this order: {order}"


def minutes(seconds: float) -> str:
    """`12 min`, `2 h 5 min`: never less than it is."""
    hours, minutes = divmod(max(1, math.ceil(seconds / 60)), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
