"""The record of a matrix: a file with the runs that came to their end, so that the same command continues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.config.twin import Verdict
from halab.errors import Corrupted
from halab.scenario.record.lines import first_problem

SCHEMA = 1
FILE = "record.json"
# The folder of the labs, each with its lab file, its work folder and its runs.
LABS = "labs"
# A run takes about 450 bytes: enough for more runs than one machine can play in a year.
_LIMIT_BYTES = 256_000_000
_ELSEWHERE = "choose another folder with --in FOLDER; the runs in this one stay"


@dataclass(frozen=True)
class PlayedRun:
    """A run that came to its end. `folder` is relative to the folder of the matrix.

    `fingerprint` is that of its cell in the plan: with another one, the lab or the scenario has changed since.
    """

    lab: str
    scenario: str
    number: int
    seed: int
    fingerprint: str
    folder: str
    verdict: Verdict
    seconds: float

    @property
    def key(self) -> tuple[str, str, int]:
        """The lab, the scenario and the number: a run that is played again has the same."""
        return self.lab, self.scenario, self.number

    def belongs_to(self, fingerprints: Mapping[tuple[str, str], str], seed: int, repeat: int) -> bool:
        """Whether it is a run of a matrix with these fingerprints of cells, this seed and so many runs of each cell."""
        return (
            fingerprints.get((self.lab, self.scenario)) == self.fingerprint
            and self.seed == seed + self.number - 1
            and self.number <= repeat
        )


@dataclass(frozen=True)
class PlannedCell:
    """A cell of the matrix as it was when it was last run.

    `scenario` says if it is the losing twin. `expected` is the verdict with which it passes, `lacking` why the lab
    cannot run it.
    """

    lab: str
    scenario: str
    fingerprint: str
    expected: Verdict = Verdict.PASS
    lacking: str = ""


@dataclass(frozen=True)
class BuiltLab:
    """A lab that came up, and how long that and its removal took."""

    lab: str
    seconds: float


@dataclass(frozen=True)
class MatrixRecord:
    """What was planned and played so far.

    `started` is the start of the first session in ISO 8601, `seconds` the time that all sessions took.
    """

    seed: int
    started: str
    repeat: int = 1
    # the values of each lab by axis, as people write them
    labs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cells: tuple[PlannedCell, ...] = ()
    seconds: float = 0.0
    runs: tuple[PlayedRun, ...] = ()
    built: tuple[BuiltLab, ...] = ()
    repairs: tuple[str, ...] = ()
    # hosts that got no more labs, and why
    set_aside: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA

    def with_run(self, run: PlayedRun) -> MatrixRecord:
        """The record with one run more, in the place of an earlier one with the same number."""
        others = tuple(other for other in self.runs if other.key != run.key)
        return replace(self, runs=(*others, run))

    @property
    def current_runs(self) -> list[PlayedRun]:
        """The runs that belong to the matrix as it was when it was last run."""
        cells = {(cell.lab, cell.scenario): cell.fingerprint for cell in self.cells}
        return [run for run in self.runs if run.belongs_to(cells, self.seed, self.repeat)]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def read(folder: Path) -> MatrixRecord | None:
    """The record in the folder of a matrix; None if nothing was played there yet. Raises Corrupted."""
    path = folder / FILE
    try:
        content = files.read(path, _LIMIT_BYTES)
    except FileNotFoundError:
        return None
    try:
        record = TypeAdapter(MatrixRecord).validate_json(content)
    except ValidationError as error:
        raise Corrupted(f"cannot read {path}: {first_problem(error)}", hint=_ELSEWHERE) from error
    if unknown := sorted({cell.lab for cell in record.cells} - record.labs.keys()):
        raise Corrupted(
            f"cannot read {path}: it has cells of labs that it does not list: {', '.join(unknown)}",
            hint=_ELSEWHERE,
        )
    if record.schema != SCHEMA:
        raise Corrupted(
            f"made by another version of halab: {path}", hint="choose another folder with --in FOLDER"
        )
    return record


def write(folder: Path, record: MatrixRecord) -> None:
    """Write the record in one step. Raises HostProblem."""
    files.replace(folder / FILE, record.to_json())
