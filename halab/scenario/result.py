"""What came of a run: the model of result.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from halab.config.scenario import Verdict
from halab.scenario.judgement import Evidence

SCHEMA = 1


class Kind(StrEnum):
    STEADY = "steady"
    EXPECTATION = "expectation"
    HEAL = "heal"
    RECOVERY = "recovery"
    LEDGER = "ledger"
    CHECK = "check"
    RUN = "run"


class Standing(StrEnum):
    """What became of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    UNJUDGED = "unjudged"
    LEFT_OUT = "left out"  # does not apply to this lab


@dataclass(frozen=True)
class Outcome:
    """One thing that had to be judged; `limit_seconds` as promised, `patient_seconds` as stretched.

    `measured` is in seconds, for a failed share a number from 0 to 1.
    """

    kind: Kind
    name: str
    promised: str
    seen: str
    standing: Standing
    step: int | None = None
    at: float | None = None
    measured: float | None = None
    limit_seconds: float | None = None
    patient_seconds: float | None = None
    evidence: tuple[Evidence, ...] = ()
    detail: str = ""


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
    outcomes: tuple[Outcome, ...]
    lanes: tuple[Lane, ...]
    recovery_seconds: float | None
    schema: int = SCHEMA

    def of(self, *standings: Standing) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.standing in standings]

    def to_json(self) -> str:
        values = asdict(self)
        return json.dumps({"schema": values.pop("schema"), **values}, indent=2, ensure_ascii=False) + "\n"
