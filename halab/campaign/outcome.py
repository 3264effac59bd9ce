"""What came of a campaign: its runs, what was repaired in between, and one report of all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from halab.campaign.plan import PlannedRun
from halab.errors import HalabError
from halab.lifecycle.lab import LabDir
from halab.report import overview
from halab.report.campaign import Campaign, NotRun
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result


@dataclass(frozen=True)
class CampaignRun:
    """A run that was made, and has a report."""

    turn: PlannedRun
    folder: RunFolder
    result: Result


@dataclass(frozen=True)
class Repair:
    """What was done to a lab that a run had left broken, and why that was needed."""

    after: PlannedRun
    why: str
    done: tuple[str, ...]

    def __str__(self) -> str:
        return f"after {self.after}: {', '.join(self.done) or 'it became steady by itself'} ({self.why})"


@dataclass
class CampaignOutcome:
    """What came of a campaign. `ended_by` is the error that ended it before its time; `left` was not played."""

    seed: int
    planned: Sequence[PlannedRun]
    started: datetime
    seconds: float = 0.0
    runs: list[CampaignRun] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    left: list[PlannedRun] = field(default_factory=list)
    why_left: str = ""
    was_interrupted: bool = False
    ended_by: HalabError | None = None

    @property
    def has_several(self) -> bool:
        """Whether there is more to report on than the run itself."""
        return len(self.planned) > 1 and bool(self.runs)

    @property
    def campaign(self) -> Campaign:
        return Campaign(
            name=_title(self.planned),
            seed=self.seed,
            order=[str(turn) for turn in self.planned],
            runs=[(run.folder, run.result) for run in self.runs],
            started=self.started.isoformat(timespec="seconds"),
            seconds=self.seconds,
            not_run=[NotRun(str(turn), self.why_left) for turn in self.left],
            repairs=[str(each) for each in self.repairs],
        )


def merge(place: LabDir, played: CampaignOutcome) -> Path:
    """Write one report of all runs of a campaign; its page."""
    folder = place.work.runs / f"{played.started:%Y%m%d-%H%M%S}-campaign"
    return overview.write(folder, played.campaign)


def _title(planned: Sequence[PlannedRun]) -> str:
    """`30 scenarios`, `2 losing twins, 5 times each`."""
    count = len({turn.script.path for turn in planned})
    times = len(planned) // count
    what = "losing twin" if planned[0].twin else "scenario"
    return f"{count} {what}{'s' if count > 1 else ''}" + (f", {times} times each" if times > 1 else "")
