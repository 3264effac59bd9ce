"""Read a recorded campaign from its folder, and judge it again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.errors import Corrupted
from halab.report import overview
from halab.report.campaign import Campaign, NotRun
from halab.report.render import render
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.lines import first_problem


@dataclass(frozen=True)
class _Run:
    folder: str


@dataclass(frozen=True)
class _Scenario:
    runs: tuple[_Run, ...]


@dataclass(frozen=True)
class _NotRun:
    scenario: str
    why: str


@dataclass(frozen=True)
class _CampaignFile:
    """The fields of campaign.json that the folders of the runs do not have."""

    schema: int
    name: str
    seed: int
    order: tuple[str, ...]
    started: str
    seconds: float
    scenarios: tuple[_Scenario, ...]
    not_run: tuple[_NotRun, ...]
    repairs: tuple[str, ...]


def is_campaign(folder: Path) -> bool:
    return (folder / overview.JSON).is_file()


def run_folders(folder: Path) -> list[RunFolder]:
    """The folders of the runs of a campaign, as campaign.json names them: some may be gone."""
    written = _read(folder / overview.JSON)
    return [RunFolder(folder / run.folder) for scenario in written.scenarios for run in scenario.runs]


def render_campaign(folder: Path) -> Campaign:
    """Judge all runs of a campaign again, and write their reports and the overview."""
    written = _read(folder / overview.JSON)
    runs = [
        RunFolder.existing(folder / run.folder) for scenario in written.scenarios for run in scenario.runs
    ]
    campaign = Campaign(
        written.name,
        written.seed,
        written.order,
        [(RunFolder(run.path.resolve()), render(run)) for run in runs],
        written.started,
        written.seconds,
        [NotRun(run.scenario, run.why) for run in written.not_run],
        written.repairs,
    )
    overview.write(folder.resolve(), campaign)
    return campaign


def _read(path: Path) -> _CampaignFile:
    try:
        written = TypeAdapter(_CampaignFile).validate_json(files.read(path, files.RECORD_BYTES))
    except ValidationError as error:
        raise Corrupted(f"cannot read {path}: {first_problem(error)}") from error
    if written.schema != overview.SCHEMA:
        hint = "read it with the version of halab that made it"
        raise Corrupted(f"made by another version of halab: {path}", hint=hint)
    return written
