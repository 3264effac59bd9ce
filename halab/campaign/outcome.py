"""The outcome of a campaign: its runs, the repairs between them, and one report of all runs."""

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
    """A run that took place and has a report. `is_over_limit` if halab ended it because it hung."""

    planned: PlannedRun
    folder: RunFolder
    result: Result
    is_over_limit: bool = False


@dataclass(frozen=True)
class Repair:
    """What halab did to a lab that a run left broken, and why the lab needed it."""

    after: PlannedRun
    why: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"after {self.after}: {', '.join(self.actions) or 'it became steady by itself'} ({self.why})"


@dataclass
class CampaignOutcome:
    """`not_run` are the planned runs that did not take place. `error` ended the campaign early, if one did."""

    seed: int
    planned: list[PlannedRun]
    started: datetime
    seconds: float = 0.0
    runs: list[CampaignRun] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    not_run: list[PlannedRun] = field(default_factory=list)
    why_not_run: str = ""
    was_interrupted: bool = False
    error: HalabError | None = None

    @property
    def needs_overview(self) -> bool:
        """False for a single run: its own report says everything."""
        return len(self.planned) > 1 and bool(self.runs)

    @property
    def campaign(self) -> Campaign:
        return Campaign(
            name=_title(self.planned),
            seed=self.seed,
            order=[str(planned) for planned in self.planned],
            runs=[(run.folder, run.result) for run in self.runs],
            started=self.started.isoformat(timespec="seconds"),
            seconds=self.seconds,
            not_run=[NotRun(str(planned), self.why_not_run) for planned in self.not_run],
            repairs=[str(repair) for repair in self.repairs],
        )


def write_overview(lab_dir: LabDir, outcome: CampaignOutcome) -> Path:
    """Write one report of all runs, and return the path of its page."""
    folder = lab_dir.work.runs / f"{outcome.started:%Y%m%d-%H%M%S}-campaign"
    return overview.write(folder, outcome.campaign)


def _title(planned_runs: Sequence[PlannedRun]) -> str:
    """`30 scenarios`, `2 losing twins, 5 times each`."""
    count = len({planned.script.path for planned in planned_runs})
    times = len(planned_runs) // count
    noun = "losing twin" if planned_runs[0].twin else "scenario"
    return f"{count} {noun}{'s' if count > 1 else ''}" + (f", {times} times each" if times > 1 else "")
