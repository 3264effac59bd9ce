"""The log of a search, in JSON Lines: every run as soon as it has ended, so that the search goes on from there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.config.twin import Verdict
from halab.errors import BadUsage, Corrupted, LabProblem
from halab.scenario.record.lines import first_problem

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


L = TypeVar("L")

_LINE: TypeAdapter[Plan | LoggedRun | Skipped] = TypeAdapter(Plan | LoggedRun | Skipped)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder of a search and lock it. Raises LabProblem if another command searches in it."""
    busy = LabProblem(
        f"another halab process searches in {folder}",
        hint="wait until it ends, or interrupt it; for another search, use another folder (--in)",
    )
    with files.locked(folder / "lock", busy):
        yield


class Log:
    """The log in the folder of a search. Raises BadUsage if the folder has the log of another search."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.path = folder / _NAME
        self.runs: list[LoggedRun] = []
        self.skipped: list[Skipped] = []
        with files.writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            lines = read_lines(self.path, _LINE)
            if lines and lines[0] != plan:
                raise BadUsage(
                    f"{self.path} is the log of another search: {_difference(lines[0], plan)}",
                    hint="choose another folder with --in FOLDER, or remove this one to begin again",
                )
            if not lines:
                self._append(plan)
        self.runs += [line for line in lines if isinstance(line, LoggedRun)]
        self.skipped += [line for line in lines if isinstance(line, Skipped)]

    def add(self, line: LoggedRun | Skipped) -> None:
        """Record a run or a skipped version."""
        with files.writing(self.path):
            self._append(line)
        if isinstance(line, LoggedRun):
            self.runs.append(line)
        else:
            self.skipped.append(line)

    def verdicts(self, version: str) -> Sequence[Verdict]:
        """The verdicts of the runs of a version."""
        return [run.verdict for run in self.runs if run.version == version]

    def _append(self, line: Plan | LoggedRun | Skipped) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")


def planned_versions(folder: Path) -> tuple[str, ...]:
    """The versions of the search whose log is in a folder; none if there is no log."""
    lines = read_lines(folder / _NAME, _LINE)
    return lines[0].versions if lines and isinstance(lines[0], Plan) else ()


def read_lines(path: Path, line: TypeAdapter[L]) -> list[L]:
    """The lines of a log. A last line that a killed halab did not complete is removed."""
    try:
        content = files.read(path, files.RECORD_BYTES)
    except FileNotFoundError:
        return []
    complete = content[: content.rfind(b"\n") + 1]
    if complete != content:
        path.write_bytes(complete)
    lines = []
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            lines.append(line.validate_json(text))
        except ValidationError as error:
            raise Corrupted(
                f"cannot read line {number} of {path}: {first_problem(error)}",
                hint="remove this line: its run takes place again",
            ) from error
    return lines


def _difference(there: Plan | LoggedRun | Skipped, now: Plan) -> str:
    """What differs between two plans."""
    if not isinstance(there, Plan):
        return "it does not begin with a plan"
    before, after = asdict(there), asdict(now)
    return "it has another " + ", ".join(
        name.replace("_", " ") for name in after if before[name] != after[name]
    )
