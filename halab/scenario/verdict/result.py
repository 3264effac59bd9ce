"""What came of a run: the model of result.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from halab.config.twin import Verdict
from halab.scenario.verdict.decision import Citation, Figure, Unit

SCHEMA = 1


class PromiseKind(StrEnum):
    STEADY = "steady"
    EXPECTATION = "expectation"
    HEAL = "heal"
    RECOVERY = "recovery"
    LEDGER = "ledger"
    MEMBERS = "members"
    REVISION = "revision"
    CHECK = "check"
    AUDIT = "audit"
    RUN = "run"


class PromiseStatus(StrEnum):
    """What became of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    UNJUDGED = "unjudged"
    LEFT_OUT = "left out"  # does not apply to this lab


@dataclass(frozen=True)
class PromiseOutcome:
    """One thing that had to be judged; `limit_seconds` as promised, `patient_seconds` as stretched.

    `figures` are all that was measured for it. `measured` is the first of them: in seconds, for a failed share a
    number from 0 to 1.
    """

    kind: PromiseKind
    name: str
    promised: str
    seen: str
    standing: PromiseStatus
    step: int | None = None
    at: float | None = None
    measured: float | None = None
    limit_seconds: float | None = None
    patient_seconds: float | None = None
    evidence: tuple[Citation, ...] = ()
    detail: str = ""
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class Lane:
    """The figures of one probe over the whole run."""

    name: str
    samples: int
    failed: int
    outages: int
    longest_outage_seconds: float
    longest_outage_start: float | None
    p50_seconds: float | None
    p95_seconds: float | None
    unsampled_seconds: float


@dataclass(frozen=True)
class Impact:
    """What clients of one lane saw of one fault, in seconds from its inject: the first failure, good again for good.

    `good_after_heal_seconds` is the same moment counted from the start of the heal, below 0 where it came before.
    """

    fault: str
    lane: str
    failed_after_seconds: float
    good_after_seconds: float | None
    good_after_heal_seconds: float | None


@dataclass(frozen=True)
class Result:
    """The verdict of a run and everything that it rests on."""

    scenario: str
    title: str
    lab: str
    verdict: Verdict
    reasons: tuple[str, ...]
    started: str
    seconds: float
    patience: float
    is_twin: bool
    is_interrupted: bool
    outcomes: tuple[PromiseOutcome, ...]
    lanes: tuple[Lane, ...]
    recovery_seconds: float | None
    impacts: tuple[Impact, ...] = ()
    provider: str = ""  # with the acceleration of virtual machines: times under tcg are not those under kvm
    schema: int = SCHEMA

    def of(self, *standings: PromiseStatus) -> list[PromiseOutcome]:
        return [outcome for outcome in self.outcomes if outcome.standing in standings]

    def to_json(self) -> str:
        values = asdict(self)
        return json.dumps({"schema": values.pop("schema"), **values}, indent=2, ensure_ascii=False) + "\n"


def measured(figures: tuple[Figure, ...]) -> float | None:
    """The one figure that stands for all: seconds where there are any, else a share."""
    for unit in (Unit.SECONDS, Unit.SHARE):
        for figure in figures:
            if figure.unit is unit:
                return figure.value
    return None
