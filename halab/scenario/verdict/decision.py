"""What is decided of a promise: met, broken or open, what was seen, and which evidence shows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from halab.config.quantities import Bounds


class JudgementState(StrEnum):
    MET = "met"
    BROKEN = "broken"
    OPEN = "open"  # cannot be told yet; or, when the run is over, not at all


class Unit(StrEnum):
    SECONDS = "seconds"
    SHARE = "share"  # from 0 to 1
    COUNT = "count"


@dataclass(frozen=True)
class Citation:
    """The samples or readings of one lane that show something, by the starts of the first and the last of them."""

    lane: str
    start: float
    end: float
    samples: int


@dataclass(frozen=True)
class Figure:
    """One thing that was measured, and the bounds that were promised for it; `most` is None where there is none."""

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
        """How far it is out of its bounds; negative where it is within them. More is worse where there is none."""
        above = [self.value - self.most] if self.most is not None else []
        below = [self.least - self.value] if self.least > 0 else []
        return max(above + below, default=self.value)


@dataclass(frozen=True)
class Judgement:
    """`at` is when it was decided; `figures` are what was measured for it."""

    state: JudgementState
    seen: str
    at: float | None = None
    evidence: tuple[Citation, ...] = ()
    figures: tuple[Figure, ...] = ()


def combine(judgements: Sequence[Judgement]) -> Judgement:
    """All must be met; one that is broken breaks the whole. Of the figures, the worst of each name is kept."""
    for state in (JudgementState.BROKEN, JudgementState.OPEN, JudgementState.MET):
        deciding = [judgement for judgement in judgements if judgement.state is state]
        if deciding:
            break
    worst = max(deciding, key=lambda each: max((figure.excess for figure in each.figures), default=0.0))
    return Judgement(
        state,
        "; ".join(dict.fromkeys(judgement.seen for judgement in deciding)),
        worst.at,
        tuple(evidence for judgement in deciding for evidence in judgement.evidence),
        _worst(figure for judgement in judgements for figure in judgement.figures),
    )


def _worst(figures: Iterable[Figure]) -> tuple[Figure, ...]:
    found: dict[str, Figure] = {}
    for figure in figures:
        if figure.name not in found or figure.excess > found[figure.name].excess:
            found[figure.name] = figure
    return tuple(found.values())
