"""Changes of state, and the time since the fault or the heal before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from halab.config.expectation import FactName
from halab.config.leader_roles import LEADER_ROLES
from halab.config.quantities import format_duration
from halab.scenario.record.history import History
from halab.scenario.record.lanes import Lane


class Led(NamedTuple):
    """What a machine is as long as a state names it, and the title of the lane of that state."""

    role: str
    title: str


# The states that name the leading machine, or the one with the address.
LEADERS = {
    **{Lane(role.leader): Led(f"{role.component} leader", role.component) for role in LEADER_ROLES},
    Lane(FactName.VIP_HOLDER): Led("holder of the virtual address", "virtual address"),
    Lane(FactName.VIP_REACHED): Led("machine reached from outside", "reached from outside"),
}


@dataclass(frozen=True)
class Act:
    """An injected fault, or its heal. `t` is in seconds since the start of the run."""

    t: float
    name: str
    is_heal: bool

    def __str__(self) -> str:
        return f"{'heal' if self.is_heal else 'inject'} {self.name}"


@dataclass(frozen=True)
class StateChange:
    """A change from the last known value. `act` is the last act before it, `seconds` the time since then."""

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
        """`1.3s after the fault`, counted from the start of the inject or of the heal."""
        if self.act is None or self.seconds is None:
            return f"at {self.t:.1f}s"
        return f"{format_duration(self.seconds)} after the {'heal' if self.act.is_heal else 'fault'}"


def acts(history: History) -> list[Act]:
    """Injects and heals by time. A fault on several machines counts once, with its first inject and heal."""
    first: dict[str, Act] = {}
    for fault in history.faults:
        for t, is_heal in ((fault.started, False), (fault.heal_started, True)):
            act = None if t is None else Act(t, fault.name, is_heal)
            if act and (str(act) not in first or act.t < first[str(act)].t):
                first[str(act)] = act
    return sorted(first.values(), key=lambda act: act.t)


def changes(history: History, lane: Lane) -> list[StateChange]:
    """The changes from one known value to another. Times without a known value are passed over."""
    return _changes(history.states.changes(lane), lane, acts(history))


def _changes(
    values: Sequence[tuple[float, str | None]], lane: Lane, acts: Sequence[Act]
) -> list[StateChange]:
    known: str | None = None
    changes = []
    for t, value in values:
        if value is None:
            continue
        if known is not None and value != known:
            act = next((act for act in reversed(acts) if act.t <= t), None)
            changes.append(StateChange(lane, t, known, value, act))
        known = value
    return changes
