"""The judgement of one promise: met, broken or open, what was seen, and the evidence that shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from halab.config.quantities import Bounds
from halab.scenario.record.lanes import Lane


class JudgementState(StrEnum):
    MET = "met"
    BROKEN = "broken"
    OPEN = "open"  # not known yet; after the end of the run: cannot be known


class Unit(StrEnum):
    SECONDS = "seconds"
    SHARE = "share"  # from 0 to 1
    COUNT = "count"


@dataclass(frozen=True)
class Citation:
    """Samples or readings of one lane that show something; `start` and `end` are when the first and the last began."""

    lane: Lane
    start: float
    end: float
    samples: int


@dataclass(frozen=True)
class Figure:
    """A measured value and its promised bounds; `most` is None without an upper bound."""

    name: str
    unit: Unit
    value: float
    most: float | None = None
    least: float = 0.0

    @classmethod
    def within(cls, name: str, unit: Unit, value: float, bounds: Bounds) -> Figure:
        return cls(name, unit, value, None if math.isinf(bounds.most) else bounds.most, bounds.least)

    @property
    def excess(self) -> float:
        """How far the value is outside its bounds, negative inside them; without bounds, the value itself."""
        above = [self.value - self.most] if self.most is not None else []
        below = [self.least - self.value] if self.least > 0 else []
        return max(above + below, default=self.value)


@dataclass(frozen=True)
class Judgement:
    """`at` is when the promise was met or broken, in seconds; `figures` are what was measured for it."""

    state: JudgementState
    seen: str
    at: float | None = None
    evidence: tuple[Citation, ...] = ()
    figures: tuple[Figure, ...] = ()


def combine(judgements: Sequence[Judgement]) -> Judgement:
    """One judgement for several: met if all are, broken if any is. Of figures with one name, the worst stays."""
    states = {judgement.state for judgement in judgements}
    by_weight = (JudgementState.BROKEN, JudgementState.OPEN, JudgementState.MET)
    state = next(state for state in by_weight if state in states)
    deciding = [judgement for judgement in judgements if judgement.state is state]
    worst = max(
        deciding, key=lambda judgement: max((figure.excess for figure in judgement.figures), default=0.0)
    )
    return Judgement(
        state,
        "; ".join(dict.fromkeys(judgement.seen for judgement in deciding)),
        worst.at,
        tuple(evidence for judgement in deciding for evidence in judgement.evidence),
        _worst(figure for judgement in judgements for figure in judgement.figures),
    )


def _worst(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    worst: dict[str, Figure] = {}
    for figure in figures:
        if figure.name not in worst or figure.excess > worst[figure.name].excess:
            worst[figure.name] = figure
    return tuple(worst.values())
