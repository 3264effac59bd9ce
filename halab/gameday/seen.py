"""What a spectator sees of a game day at one moment: its phase, its breaks, its stop conditions and its log."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from halab.gameday.notice import NotedBreak, Notice
from halab.report.game_day import Row
from halab.scenario.record.folder import RunFolder


class Phase(StrEnum):
    PREPARING = "preparing"
    ON = "on"
    ENDING = "ending"
    OVER = "over"


class BreakState(StrEnum):
    PLANNED = "planned"
    BEGINNING = "beginning"
    OPEN = "open"
    HEALING = "healing"
    HEALED = "healed"
    NOT_HEALED = "not healed"


@dataclass(frozen=True)
class BreakSeen:
    """A break as it is. The times are in seconds after the start; `machines` are those that it has hit."""

    planned: NotedBreak
    state: BreakState
    begun: float | None = None
    healed: float | None = None
    machines: tuple[str, ...] = ()


@dataclass(frozen=True)
class ConditionSeen:
    """An outage and its bound, in seconds. `now` is 0 if clients are answered; `longest` is of the whole game day."""

    probe: str
    bound: float
    now: float
    longest: float


@dataclass(frozen=True)
class WritesSeen:
    """The acknowledged writes as they were read back last, `ago` seconds before."""

    acknowledged: int
    lost: int
    ago: float


@dataclass(frozen=True)
class DaySeen:
    """A game day as it is. `seconds` is the time since its start, 0 before it.

    `verdict` and the report are there when it is over, unless its process was killed. `folder` is that of its run.
    """

    notice: Notice
    phase: Phase
    seconds: float
    breaks: tuple[BreakSeen, ...] = ()
    conditions: tuple[ConditionSeen, ...] = ()
    writes: WritesSeen | None = None
    stopped: str = ""
    log: tuple[Row, ...] = ()
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    has_report: bool = False

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.notice.folder))
