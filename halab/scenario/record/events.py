"""What a run records: events of the runner and samples of what clients saw.

All times are seconds since the run began, of a monotonic clock (docs/reference/run-folder.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import ClassVar


class SteadyCheckPoint(StrEnum):
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Event:
    """One thing that happened. The name is what the file calls it."""

    event: ClassVar[str]


@dataclass(frozen=True)
class RunStarted(Event):
    """`wall` is the one wall-clock time of a run: ISO 8601 with the zone."""

    event = "run-started"
    wall: str
    scenario: str
    lab: str
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Steady(Event):
    """The end of a wait for the steady state: reached or not, how long it took, what was seen last."""

    event = "steady"
    when: SteadyCheckPoint
    ok: bool
    seconds: float
    seen: str


@dataclass(frozen=True)
class LabSet(Event):
    """The twin's setting of the lab, from before the steady check until the end; `effect` is what was seen of it."""

    event = "lab-set"
    setting: str
    effect: str


@dataclass(frozen=True)
class StepStarted(Event):
    """Steps count from 0, as they stand in the scenario's list."""

    event = "step-started"
    index: int


@dataclass(frozen=True)
class StepEnded(Event):
    event = "step-ended"
    index: int


@dataclass(frozen=True)
class _OfFault(Event):
    """A fault with several machines (`all-cp`) has records of its own for each."""

    name: str
    fault: str
    target: str
    machine: str


@dataclass(frozen=True)
class FaultStarted(_OfFault):
    event = "fault-started"


@dataclass(frozen=True)
class FaultInjected(_OfFault):
    """The effect is real; `effect` says what was seen of it."""

    event = "fault-injected"
    effect: str


@dataclass(frozen=True)
class HealStarted(_OfFault):
    event = "heal-started"


@dataclass(frozen=True)
class Healed(_OfFault):
    event = "healed"


@dataclass(frozen=True)
class HealFailed(_OfFault):
    event = "heal-failed"
    why: str


@dataclass(frozen=True)
class FaultRefused(_OfFault):
    """This lab, its provider or its kernel cannot do it: nothing was done."""

    event = "fault-refused"
    why: str


@dataclass(frozen=True)
class Fact(Event):
    """A reading. `machine` is None for a fact of the whole lab, `value` where nothing is there to read."""

    event = "fact"
    fact: str
    machine: str | None
    value: str | None


@dataclass(frozen=True)
class ExpectationStarted(Event):
    """`index` is that of its step."""

    event = "expectation-started"
    index: int


@dataclass(frozen=True)
class ExpectationEnded(Event):
    """The runner went on. What it thought of the expectation is not recorded: the judge looks for itself."""

    event = "expectation-ended"
    index: int


@dataclass(frozen=True)
class SamplerStarted(Event):
    event = "sampler-started"


@dataclass(frozen=True)
class SamplerStopped(Event):
    """`samples` are counts by lane: `write-via-lb`, `ready-direct@cp2`."""

    event = "sampler-stopped"
    samples: Mapping[str, int]


@dataclass(frozen=True)
class Ledger(Event):
    """`missing` are the numbers of acknowledged writes that are gone."""

    event = "ledger"
    written: int
    acknowledged: int
    missing: tuple[int, ...]
    unacknowledged_found: int


@dataclass(frozen=True)
class Members(Event):
    """What each etcd member itself holds after the recovery, by its machine: at one revision, the hash and the count.

    `missing` are the numbers of acknowledged writes that a member lacks; only members that lack some are in it.
    """

    event = "members"
    revision: int
    hashes: Mapping[str, int]
    keys: Mapping[str, int]
    missing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit(Event):
    """What faults have left behind on machines, a line each; nothing should be."""

    event = "audit"
    leftovers: tuple[str, ...]


@dataclass(frozen=True)
class Checks(Event):
    """`error` is why they could not run; their results are in checks.xml."""

    event = "checks"
    passed: int
    failed: int
    error: str | None = None


@dataclass(frozen=True)
class Skipped(Event):
    """The lab cannot do this scenario: nothing was tried."""

    event = "skipped"
    why: str


@dataclass(frozen=True)
class RunInterrupted(Event):
    event = "interrupted"
    signal: str


@dataclass(frozen=True)
class Error(Event):
    event = "error"
    what: str


@dataclass(frozen=True)
class RunEnded(Event):
    event = "run-ended"


EVENTS: dict[str, type[Event]] = {
    kind.event: kind
    for kind in (
        RunStarted, LabSet, Steady, StepStarted, StepEnded, FaultStarted, FaultInjected, HealStarted, Healed,
        HealFailed, FaultRefused, Fact, ExpectationStarted, ExpectationEnded, SamplerStarted, SamplerStopped,
        Ledger, Members, Audit, Checks, Skipped, RunInterrupted, Error, RunEnded,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Record:
    """An event and when it happened."""

    t: float
    what: Event

    def to_json(self) -> str:
        return json.dumps({"t": round(self.t, 4), "event": self.what.event, **asdict(self.what)})


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer, or none, to one question. `number` is that of a write in the ledger.

    `stalled` is for how long the sampler itself stood still meanwhile: then it could not read an answer.
    """

    t: float
    seconds: float
    probe: str
    machine: str | None
    ok: bool
    detail: str
    number: int | None = None
    stalled: float = 0.0

    @property
    def end(self) -> float:
        return self.t + self.seconds

    @property
    def lane(self) -> str:
        return lane(self.probe, self.machine)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, slots=True)
class StateReading:
    """What a state was when it was asked for. `value` is None where it could not be told; `detail` says why."""

    t: float
    seconds: float
    state: str
    machine: str | None
    value: str | None
    detail: str = ""

    @property
    def end(self) -> float:
        return self.t + self.seconds

    @property
    def lane(self) -> str:
        return lane(self.state, self.machine)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


def lane(probe: str, machine: str | None) -> str:
    """The samples that belong together: one question to one address. The readings of one state, likewise."""
    return f"{probe}@{machine}" if machine else probe


def spoken(lane: str) -> str:
    """A lane in a sentence: `ready-direct on cp2`."""
    return lane.replace("@", " on ")
