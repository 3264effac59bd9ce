"""What the live view shows at one moment, for the terminal and for the browser. No IO, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from halab.config.expectation import FactName
from halab.config.leader_roles import LEADER_ROLES
from halab.scenario.record.lanes import Lane
from halab.scenario.watch.live import Cell, Live, Now
from halab.topology.lab import Lab

# Upper limits of the levels, in seconds. Usual answers take 3 to 30 ms; over a second is nearly a failure.
LEVEL_LIMITS = (0.01, 0.03, 0.1, 0.3, 1.0)
UNKNOWN = "?"  # halab has no reading
# A kubelet that is gone sends no heartbeat: Kubernetes says `unknown`.
_NODES = {"true": "ready", "false": "not ready", "unknown": "not ready (no heartbeat)"}


class MarkKind(StrEnum):
    ANSWERED = "answered"
    SOME_FAILED = "some-failed"
    FAILED = "failed"
    NOT_ASKED = "not-asked"
    PENDING = "pending"  # newer than the last answer: a question may still be open


@dataclass(frozen=True)
class Mark:
    """The questions of a short time. `level` is how slow the slowest answer was, from 0 to len(LEVEL_LIMITS)."""

    kind: MarkKind
    level: int = 0


@dataclass(frozen=True)
class MachineNow:
    """A machine: its power, whether its node is ready, what the balancer or DNS says of it, what it leads.

    What is unknown, or does not apply to the machine, is empty. A power or node of which nothing is known is `?`.
    """

    name: str
    power: str
    node: str
    backend: str
    record: str
    leads: tuple[str, ...]


@dataclass(frozen=True)
class LaneNow:
    """A probe: its present status, and its marks with the oldest first. `failed_share` is from 0 to 1."""

    lane: Lane
    now: Now
    failed_share: float
    marks: tuple[Mark, ...]


def machines(lab: Lab, live: Live, t: float) -> list[MachineNow]:
    leaders = {role.component: live.state(t, role.leader) or "" for role in LEADER_ROLES}
    leaders[str(lab.virtual_address)] = live.state(t, FactName.VIP_HOLDER) or ""
    return [
        MachineNow(
            machine.name,
            live.machine(machine.name) or UNKNOWN,
            node(live, t, machine.name) if machine.is_node else "",
            live.state(t, FactName.BACKEND, machine.name) or "",
            live.state(t, FactName.DNS_RECORD, machine.name) or "",
            tuple(role for role, leader in leaders.items() if machine.name in leader.split("+")),
        )
        for machine in lab.machines
    ]


def lanes(live: Live, t: float, count: int) -> list[LaneNow]:
    """All probes, with `count` marks each."""
    return [
        LaneNow(lane, live.now(lane), live.failed_share(t, lane), tuple(marks(live.cells(t, lane, count))))
        for lane in live.lanes
    ]


def node(live: Live, t: float, machine: str) -> str:
    """`ready`, `not ready`, `not ready (no heartbeat)` or UNKNOWN."""
    return _NODES.get(live.state(t, FactName.NODE_READY, machine) or "", UNKNOWN)


def marks(cells: Sequence[Cell]) -> list[Mark]:
    last = max((index for index, cell in enumerate(cells) if cell.asked), default=-1)
    return [_mark(cell, is_new=index > last) for index, cell in enumerate(cells)]


def _mark(cell: Cell, *, is_new: bool) -> Mark:
    if cell.failed:
        return Mark(MarkKind.FAILED if cell.failed == cell.asked else MarkKind.SOME_FAILED)
    if not cell.asked:
        return Mark(MarkKind.PENDING if is_new else MarkKind.NOT_ASKED)
    level = next(
        (level for level, limit in enumerate(LEVEL_LIMITS) if cell.slowest_seconds < limit),
        len(LEVEL_LIMITS),
    )
    return Mark(MarkKind.ANSWERED, level)
