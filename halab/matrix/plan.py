"""The plan of a matrix: its labs, its cells, and their runs. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from halab.campaign.plan import PlannedRun, planned_runs
from halab.config.lab import LabFile
from halab.config.loading import nearest
from halab.config.twin import Verdict, twin_name
from halab.drill import proof_record
from halab.drill.library import DrillScript
from halab.errors import BadUsage
from halab.scenario.run.duration import longest_seconds
from halab.scenario.run.library import Script


class CellKind(StrEnum):
    SCENARIO = "scenario"
    TWIN = "twin"
    DRILL = "drill"
    BUG = "bug"


@dataclass(frozen=True)
class MatrixLab:
    """A lab of a matrix: its name, its values by axis as people write them, and its lab file.

    `named` is a hash of the files that the lab file names. `base` is the lab file of which it is a variant.
    """

    name: str
    values: Mapping[str, str]
    text: str
    written: LabFile
    base: Path
    named: str = ""

    @property
    def settings(self) -> str:
        """`load_balancer.kind=nginx, workers=1`; without axes, a text that says so."""
        return ", ".join(f"{axis}={value}" for axis, value in self.values.items()) or "as in lab.yml"


@dataclass(frozen=True)
class Cell:
    """One scenario, its losing twin, a drill, or the scenario of a bug, on one lab.

    `lacking` says why the lab cannot run it; empty if it may. `shows` is the verdict of the scenario of a bug in this
    lab.
    """

    lab: MatrixLab
    script: Script | DrillScript
    twin: bool = False
    lacking: str = ""
    shows: Verdict | None = None

    @property
    def name(self) -> str:
        return twin_name(self.script.name) if self.twin else self.script.name

    @property
    def key(self) -> tuple[str, str]:
        return self.lab.name, self.name

    @property
    def kind(self) -> CellKind:
        if isinstance(self.script, DrillScript):
            return CellKind.DRILL
        if self.shows:
            return CellKind.BUG
        return CellKind.TWIN if self.twin else CellKind.SCENARIO

    @property
    def longest_seconds(self) -> float:
        """An estimate of the longest run of it: the sum of its limits."""
        patience = self.lab.written.patience
        if isinstance(self.script, DrillScript):
            return proof_record.longest_seconds(self.script.drill, patience)
        played = self.script.scenario.losing() if self.twin else self.script.scenario
        return longest_seconds(played, patience)

    @property
    def expected(self) -> Verdict:
        """The verdict with which the cell passes."""
        if self.shows:
            return self.shows
        if isinstance(self.script, DrillScript):
            return Verdict.PASS
        return self.script.scenario.twin.verdict if self.twin else Verdict.PASS

    def __str__(self) -> str:
        return f"{self.name} on {self.lab.name}"


@dataclass(frozen=True)
class PlannedProof:
    """A proof of a drill to come. `seed` decides the machines of its faults, unless its parts decide it.

    `source` is the name or the path by which the drill is found.
    """

    drill: DrillScript
    source: str
    seed: int

    def __str__(self) -> str:
        return self.drill.name


# What a lab plays for one run of a cell.
Planned = PlannedRun | PlannedProof


@dataclass(frozen=True)
class CellRun:
    """One of the runs of a cell. `number` counts them from 1."""

    cell: Cell
    number: int
    planned: Planned


@dataclass(frozen=True)
class MatrixPlan:
    """All cells of a matrix file, lab by lab. `axes` are the values of each axis as people write them.

    `scripts` are the scenarios and those of the `bugs`; those of the drills are in `drills`. `ordered` are
    the scenarios that decide the order, if this is a part of a matrix. Without a `seed`, the first run of the matrix
    draws one.
    """

    path: Path
    lab_file: Path
    axes: Mapping[str, tuple[str, ...]]
    scripts: tuple[Script, ...]
    cells: tuple[Cell, ...]
    repeat: int = 1
    seed: int | None = None
    is_shuffled: bool = False
    has_twins: bool = False
    bugs: frozenset[str] = frozenset()
    drills: tuple[DrillScript, ...] = ()
    ordered: tuple[Script, ...] = ()

    @property
    def titles(self) -> dict[str, str]:
        """The titles of scenarios, their twins, bugs and drills, by the names that their cells have."""
        titles = {
            twin_name(script.name) if twin else script.name: script.scenario.title
            for script in self.scripts
            for twin in self.kinds
            if not (twin and script.name in self.bugs)
        }
        return titles | {script.name: script.drill.title for script in self.drills}

    def only(self, labs: Sequence[str], names: Sequence[str]) -> MatrixPlan:
        """The cells on these labs, of these scenarios, drills and bugs; all of them without any.

        A twin belongs to its scenario. Raises BadUsage for a name that the matrix does not have, and without cells.
        """
        if not labs and not names:
            return self
        _require_known("lab", labs, {lab.name for lab in self.labs})
        _require_known("scenario, drill or bug", names, {cell.script.name for cell in self.cells})
        cells = tuple(
            cell
            for cell in self.cells
            if (not labs or cell.lab.name in labs) and (not names or cell.script.name in names)
        )
        if not cells:
            raise BadUsage("no cell is on one of these labs and has one of these names")
        left = {cell.script.name for cell in cells}
        return replace(
            self,
            cells=cells,
            scripts=tuple(script for script in self.scripts if script.name in left),
            drills=tuple(script for script in self.drills if script.name in left),
            # the order is that of the whole matrix
            ordered=self.ordered or self.scripts,
        )

    @property
    def kinds(self) -> tuple[bool, ...]:
        """Whether a scenario runs itself, its twin, or both: the values of `twin` that its cells have."""
        return (False, True) if self.has_twins else (False,)

    @cached_property
    def playable(self) -> list[Cell]:
        """The cells whose labs can run them, as far as the files say."""
        return [cell for cell in self.cells if not cell.lacking]

    @cached_property
    def labs(self) -> list[MatrixLab]:
        return list({cell.lab.name: cell.lab for cell in self.cells}.values())

    @cached_property
    def fingerprints(self) -> dict[tuple[str, str], str]:
        """A short hash of what decides a run of a cell: its lab file, its scenario, and the files that these name."""
        members: list[Script | DrillScript] = [*self.scripts, *self.drills]
        scripts = {script.name: script.digest for script in members}
        return {
            cell.key: _hash(cell.lab.text, cell.lab.named, scripts[cell.script.name], *["twin"] * cell.twin)[
                :16
            ]
            for cell in self.cells
        }

    def runs(self, seed: int) -> dict[str, list[CellRun]]:
        """The runs of each lab, by its name. All labs have the same order and the same seeds.

        A twin comes right after its scenario, and drills after all scenarios: each restores the lab.
        """
        scripts = self.ordered or self.scripts
        planned: list[Planned] = [
            replace(run, twin=twin)
            for run in planned_runs(scripts, seed, repeat=self.repeat, shuffled=self.is_shuffled)
            for twin in self.kinds
        ]
        planned += [
            PlannedProof(drill, str(drill.path.resolve()) if drill.is_own else drill.name, seed + number)
            for number in range(self.repeat)
            for drill in self.drills
        ]
        cells = {cell.key: cell for cell in self.playable}
        return {
            lab.name: [
                CellRun(cells[key], run.seed - seed + 1, run)
                for run in planned
                if (key := (lab.name, str(run))) in cells
            ]
            for lab in self.labs
        }


def _require_known(what: str, named: Sequence[str], known: Collection[str]) -> None:
    for name in named:
        if name not in known:
            raise BadUsage(f"this matrix has no {what} {name}{nearest(name, known)}")


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
