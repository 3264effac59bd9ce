"""What changed its state, and how long after the fault or the heal before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halab.config.leader_roles import LEADER_ROLES
from halab.config.quantities import format_duration
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane

# The states that one machine at a time has: who leads.
LEADERS = {Lane(role.leader): f"{role.component} leader" for role in LEADER_ROLES}


@dataclass(frozen=True)
class Act:
    """A fault that was injected, or its heal."""

    t: float
    name: str
    is_heal: bool

    def __str__(self) -> str:
        return f"{'heal' if self.is_heal else 'inject'} {self.name}"


@dataclass(frozen=True)
class StateChange:
    """A state that is another than the one known last, `seconds` after what was done last before it."""

    lane: Lane
    t: float
    before: str | None
    after: str
    act: Act | None

    @property
    def seconds(self) -> float | None:
        return self.t - self.act.t if self.act else None

    @property
    def when(self) -> str:
        """`1.3s after the fault`, counted from the start of its inject, or of its heal."""
        if self.act is None or self.seconds is None:
            return f"at {self.t:.1f}s"
        return f"{format_duration(self.seconds)} after the {'heal' if self.act.is_heal else 'fault'}"


def acts(history: History) -> list[Act]:
    """Everything that was done to the lab, each name once: a fault may hit several machines."""
    found: dict[str, Act] = {}
    for fault in history.faults:
        for t, is_heal in ((fault.started, False), (fault.heal_started, True)):
            act = None if t is None else Act(t, fault.name, is_heal)
            if act and (str(act) not in found or act.t < found[str(act)].t):
                found[str(act)] = act
    return sorted(found.values(), key=lambda act: act.t)


def changes(history: History, lane: Lane) -> list[StateChange]:
    """The changes from one known value to another; a time of which nothing is known is no value."""
    done = acts(history)
    return list(_changes(history.states.changes(lane), lane, done))


def _changes(
    values: Sequence[tuple[float, str | None]], lane: Lane, done: Sequence[Act]
) -> list[StateChange]:
    known: str | None = None
    found = []
    for t, value in values:
        if value is None:
            continue
        if known is not None and value != known:
            act = next((act for act in reversed(done) if act.t <= t), None)
            found.append(StateChange(lane, t, known, value, act))
        known = value
    return found
