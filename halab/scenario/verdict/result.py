"""The result of a run: the model of result.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from halab.config.twin import Verdict
from halab.scenario.record.lanes import Lane
from halab.scenario.verdict.judgement import Citation, Figure, Unit

SCHEMA = 1


class PromiseKind(StrEnum):
    STEADY = "steady"
    EXPECTATION = "expectation"
    HEAL = "heal"
    RECOVERY = "recovery"
    LEDGER = "ledger"
    MEMBERS = "members"
    REVISION = "revision"
    LINEARIZABLE = "linearizable"
    WATCH = "watch"
    CHECK = "check"
    AUDIT = "audit"
    RUN = "run"
    ATTEMPT = "attempt"  # of the proof of a drill


class PromiseStatus(StrEnum):
    """The status of a promise after a run."""

    KEPT = "kept"
    BROKEN = "broken"
    UNJUDGED = "unjudged"
    LEFT_OUT = "left out"  # does not apply to this lab


@dataclass(frozen=True)
class PromiseOutcome:
    """One promise and what came of it; `limit_seconds` as promised, `patient_seconds` stretched by the lab's patience.

    `figures` is everything that was measured for it. `measured` is the most important figure: seconds, or for a
    failed share a number from 0 to 1.
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
class LaneFigures:
    """The figures of one lane over the whole run; `name` is the lane."""

    name: Lane
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
    """What clients of one lane saw of one fault, in seconds since its inject: first failure, first lasting recovery.

    `good_after_heal_seconds` is that recovery counted from the start of the heal: negative if it came before the heal.
    """

    fault: str
    lane: Lane
    failed_after_seconds: float
    good_after_seconds: float | None
    good_after_heal_seconds: float | None


@dataclass(frozen=True)
class Result:
    """The verdict of a run and everything it is based on."""

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
    lanes: tuple[LaneFigures, ...]
    recovery_seconds: float | None
    impacts: tuple[Impact, ...] = ()
    # the share of the host's processors that was in use while the lab was sampled
    host_busy: float | None = None
    provider: str = ""  # with the acceleration of virtual machines: times under tcg are not those under kvm
    schema: int = SCHEMA

    def of(self, *standings: PromiseStatus) -> list[PromiseOutcome]:
        return [outcome for outcome in self.outcomes if outcome.standing in standings]

    def to_json(self) -> str:
        values = {"schema": self.schema, **vars(self)}
        return json.dumps(values, default=_as_json, indent=2, ensure_ascii=False) + "\n"


def _as_json(value: object) -> object:
    """A lane is a text in files; any other dataclass is an object."""
    return str(value) if isinstance(value, Lane) else vars(value)


def measured(figures: tuple[Figure, ...]) -> float | None:
    """The most important figure: the first in seconds, else the first share; None without either."""
    for unit in (Unit.SECONDS, Unit.SHARE):
        for figure in figures:
            if figure.unit is unit:
                return figure.value
    return None
