"""The plan of a matrix: its labs, its cells, and their runs. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from halab.campaign.plan import PlannedRun, planned_runs
from halab.config.lab import LabFile
from halab.config.scenario import Scenario
from halab.config.twin import Verdict, twin_name
from halab.scenario.run.library import Script


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
    """One scenario, its losing twin, or the scenario of a bug, on one lab.

    `lacking` says why the lab cannot run it; empty if it may. `shows` is the verdict of the scenario of a bug in this
    lab.
    """

    lab: MatrixLab
    script: Script
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
    def scenario(self) -> Scenario:
        """The scenario as it is played."""
        return self.script.scenario.losing() if self.twin else self.script.scenario

    @property
    def expected(self) -> Verdict:
        """The verdict with which the cell passes."""
        if self.shows:
            return self.shows
        return self.script.scenario.twin.verdict if self.twin else Verdict.PASS

    def __str__(self) -> str:
        return f"{self.name} on {self.lab.name}"


@dataclass(frozen=True)
class CellRun:
    """One of the runs of a cell. `number` counts them from 1."""

    cell: Cell
    number: int
    planned: PlannedRun


@dataclass(frozen=True)
class MatrixPlan:
    """All cells of a matrix file, lab by lab. `axes` are the values of each axis as people write them.

    `scripts` are the scenarios and those of the `bugs`. Without a `seed`, the first run of the matrix draws one.
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

    @property
    def titles(self) -> dict[str, str]:
        """The titles of the scenarios and their twins, by the names that their cells have."""
        return {
            twin_name(script.name) if twin else script.name: script.scenario.title
            for script in self.scripts
            for twin in self.kinds
            if not (twin and script.name in self.bugs)
        }

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
        scripts = {script.name: script.digest for script in self.scripts}
        return {
            cell.key: _hash(cell.lab.text, cell.lab.named, scripts[cell.script.name], *["twin"] * cell.twin)[
                :16
            ]
            for cell in self.cells
        }

    def runs(self, seed: int) -> dict[str, list[CellRun]]:
        """The runs of each lab, by its name. All labs have the same order and the same seeds.

        A twin comes right after its scenario.
        """
        planned = [
            replace(run, twin=twin)
            for run in planned_runs(self.scripts, seed, repeat=self.repeat, shuffled=self.is_shuffled)
            for twin in self.kinds
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


def _hash(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()
