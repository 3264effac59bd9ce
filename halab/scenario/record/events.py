"""What a run records: events of the runner, samples of the probes, readings of states.

All times are seconds since the run began, on a monotonic clock (docs/reference/run-folder.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import ClassVar, TypeVar

from halab.config.quantities import format_duration
from halab.scenario.record.lanes import Lane


class SteadyCheckPoint(StrEnum):
    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Event:
    """Something that happened; `event` is its name in the file."""

    event: ClassVar[str]


@dataclass(frozen=True)
class RunStarted(Event):
    """`wall` is the only wall-clock time of a run: ISO 8601 with the time zone."""

    event = "run-started"
    wall: str
    scenario: str
    lab: str
    versions: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Steady(Event):
    """The end of a wait for the steady state: if it was reached, how long it took, and what was seen last."""

    event = "steady"
    when: SteadyCheckPoint
    ok: bool
    seconds: float
    seen: str


@dataclass(frozen=True)
class LabSet(Event):
    """The losing twin changed a lab setting, from before the steady check until the end; `effect` is what was seen."""

    event = "lab-set"
    setting: str
    effect: str


@dataclass(frozen=True)
class StepStarted(Event):
    """`index` counts the scenario's steps from 0."""

    event = "step-started"
    index: int


@dataclass(frozen=True)
class StepEnded(Event):
    event = "step-ended"
    index: int


@dataclass(frozen=True)
class FaultEvent(Event):
    """A fault on several machines (`all-cp`) has one such event per machine."""

    name: str
    fault: str
    target: str
    machine: str


@dataclass(frozen=True)
class FaultStarted(FaultEvent):
    event = "fault-started"


@dataclass(frozen=True)
class FaultInjected(FaultEvent):
    """The fault has taken effect; `effect` says what was seen of it. `detail` may have lines, such as a diff."""

    event = "fault-injected"
    effect: str
    detail: str = ""


@dataclass(frozen=True)
class HealStarted(FaultEvent):
    event = "heal-started"


@dataclass(frozen=True)
class Healed(FaultEvent):
    event = "healed"


@dataclass(frozen=True)
class HealFailed(FaultEvent):
    event = "heal-failed"
    why: str


@dataclass(frozen=True)
class FaultRefused(FaultEvent):
    """This lab, its provider or its kernel does not support the fault: nothing was done."""

    event = "fault-refused"
    why: str


@dataclass(frozen=True)
class JoinEnded(Event):
    """`kubeadm join` has ended in the step with that index. `code` is None if it was stopped at its time limit.

    `command` is what was run, `output` has the last lines of its output.
    """

    event = "join-ended"
    index: int
    machine: str
    command: str
    code: int | None
    seconds: float
    output: tuple[str, ...]

    @property
    def reason(self) -> str:
        """kubeadm's own error, which is not its last line; the last line if there is none."""
        return next((line for line in self.output if line.startswith("error")), (*self.output[-1:], "")[0])

    @property
    def in_words(self) -> str:
        """How it ended, without its output."""
        ended = {None: "did not end and was stopped after", 0: "succeeded after"}
        ending = ended.get(self.code, f"failed with exit code {self.code} after")
        return f"kubeadm join on {self.machine} {ending} {format_duration(self.seconds)}"


@dataclass(frozen=True)
class Fact(Event):
    """A reading. `machine` is None for a fact of the lab, `value` is None if there was nothing to read."""

    event = "fact"
    fact: str
    machine: str | None
    value: str | None


@dataclass(frozen=True)
class ExpectationStarted(Event):
    """`index` is the index of the expectation's step."""

    event = "expectation-started"
    index: int


@dataclass(frozen=True)
class ExpectationEnded(Event):
    """The runner went on. Its opinion of the expectation is not recorded: the verdict depends on the evidence alone."""

    event = "expectation-ended"
    index: int


@dataclass(frozen=True)
class SamplerStarted(Event):
    event = "sampler-started"


@dataclass(frozen=True)
class SamplerStopped(Event):
    """`samples` are counts by lane, as in `write-via-lb` and `ready-direct@cp2`.

    `host_busy` is the share of the host's processors that was in use while the sampler ran; None if it is not known.
    """

    event = "sampler-stopped"
    samples: Mapping[str, int]
    host_busy: float | None = None


@dataclass(frozen=True)
class Ledger(Event):
    """`missing` are the numbers of the acknowledged writes that are lost."""

    event = "ledger"
    written: int
    acknowledged: int
    missing: tuple[int, ...]
    unacknowledged_found: int


@dataclass(frozen=True)
class Members(Event):
    """What the etcd members hold after the recovery, by machine: hash and number of keys at one revision.

    `missing` are the numbers of the acknowledged writes that a member lacks, for members that lack any.
    """

    event = "members"
    revision: int
    hashes: Mapping[str, int]
    keys: Mapping[str, int]
    missing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit(Event):
    """What faults left behind on machines, one line per leftover; should be empty."""

    event = "audit"
    leftovers: tuple[str, ...]


@dataclass(frozen=True)
class Checks(Event):
    """`error` is why the checks could not run; their results are in checks.xml."""

    event = "checks"
    passed: int
    failed: int
    error: str | None = None


@dataclass(frozen=True)
class Skipped(Event):
    """The lab does not support this scenario: nothing was tried."""

    event = "skipped"
    why: str


@dataclass(frozen=True)
class RunInterrupted(Event):
    event = "interrupted"
    signal: str


@dataclass(frozen=True)
class Error(Event):
    """`hint` says what to do; empty if nobody knows."""

    event = "error"
    what: str
    hint: str = ""

    @property
    def in_words(self) -> str:
        return "; ".join([self.what, *self.hint.splitlines()])


@dataclass(frozen=True)
class RunEnded(Event):
    event = "run-ended"


@dataclass(frozen=True)
class Record:
    """An event with its time."""

    t: float
    what: Event

    def to_json(self) -> str:
        return json.dumps({"t": round(self.t, 4), "event": self.what.event, **asdict(self.what)})


E = TypeVar("E", bound=Event)


def select(records: Iterable[Record], kind: type[E]) -> list[tuple[float, E]]:
    """The events of one kind with their times, in the order of the records."""
    return [(record.t, record.what) for record in records if isinstance(record.what, kind)]


@dataclass(frozen=True, slots=True)
class _Answered:
    t: float
    seconds: float

    @property
    def end(self) -> float:
        return self.t + self.seconds

    def to_json(self) -> str:
        return json.dumps(asdict(self))


# With these words and a colon begins the detail of a sample of a resumed watch that did not report each write once.
MISSED, REPORTED_TWICE = "missed", "reported twice"


@dataclass(frozen=True, slots=True)
class Sample(_Answered):
    """One question of a probe and its answer, if there was one. `number` is the number of a write in the ledger.

    `stalled` is how many seconds the sampler itself stood still meanwhile and could not read an answer.
    """

    probe: str
    machine: str | None
    ok: bool
    detail: str
    number: int | None = None
    stalled: float = 0.0

    @property
    def lane(self) -> Lane:
        return Lane(self.probe, self.machine)


@dataclass(frozen=True, slots=True)
class StateReading(_Answered):
    """The value of a state when it was asked for; None if it is unknown, and `detail` says why."""

    state: str
    machine: str | None
    value: str | None
    detail: str = ""

    @property
    def lane(self) -> Lane:
        return Lane(self.state, self.machine)
