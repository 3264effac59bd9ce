"""What `halab bisect` learns about versions, in its log (trials/log.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from halab.config.twin import Verdict
from halab.trials.log import SearchLog, planned

SCHEMA = 1
_NAME = "bisect.jsonl"


@dataclass(frozen=True)
class Plan:
    """What a search is about. A search goes on only with the same plan.

    `lab` and `scenario` are hashes (SHA-256) of their files; `versions` go from good to bad.
    """

    component: str
    versions: tuple[str, ...]
    repeat: int
    at_least: int
    shows: Verdict
    lab: str
    scenario: str
    schema: int = SCHEMA


@dataclass(frozen=True)
class LoggedRun:
    """A run. `folder` is relative to the folder of the search."""

    version: str
    verdict: Verdict
    folder: str


@dataclass(frozen=True)
class Skipped:
    """A version about which nothing can be learned, such as one that does not start."""

    version: str
    why: str


_LINE: TypeAdapter[Plan | LoggedRun | Skipped] = TypeAdapter(Plan | LoggedRun | Skipped)


class Log(SearchLog[Plan, LoggedRun | Skipped]):
    """The log in the folder of a search. Raises BadUsage if the folder has the log of another search."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder / _NAME, plan, _LINE)

    @property
    def runs(self) -> list[LoggedRun]:
        return [line for line in self.lines if isinstance(line, LoggedRun)]

    @property
    def skipped(self) -> list[Skipped]:
        return [line for line in self.lines if isinstance(line, Skipped)]

    def verdicts(self, version: str) -> Sequence[Verdict]:
        """The verdicts of the runs of a version."""
        return [run.verdict for run in self.runs if run.version == version]


def planned_versions(folder: Path) -> tuple[str, ...]:
    """The versions of the search whose log is in a folder; none if there is no log."""
    plan = planned(folder / _NAME, Plan, _LINE)
    return plan.versions if plan else ()
