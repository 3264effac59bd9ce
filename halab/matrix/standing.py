"""How far a matrix is: which runs of its plan are complete, which are to be played, and what has changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from halab.config.twin import Verdict
from halab.matrix.plan import Cell, CellRun, MatrixPlan
from halab.matrix.record import MatrixRecord, PlannedCell, PlayedRun
from halab.printable import counted

# How many cells a message names.
_NAMED = 3

Key = tuple[str, str]


@dataclass(frozen=True)
class Standing:
    """A plan and what was played of it. With `again`, runs that ended in an error are not complete."""

    plan: MatrixPlan
    seed: int
    record: MatrixRecord | None = None
    again: bool = False

    @cached_property
    def complete(self) -> Mapping[Key, Sequence[PlayedRun]]:
        """The complete runs of each cell of the plan, in their order."""
        runs: dict[Key, dict[int, PlayedRun]] = {}
        for run in self.record.runs if self.record else ():
            if self.is_complete(run):
                runs.setdefault((run.lab, run.scenario), {})[run.number] = run
        return {key: [numbered[number] for number in sorted(numbered)] for key, numbered in runs.items()}

    def is_complete(self, run: PlayedRun) -> bool:
        """Whether a run belongs to the plan as it is now."""
        return run.belongs_to(self.plan.fingerprints, self.seed, self.plan.repeat) and not (
            self.again and run.verdict is Verdict.ERROR
        )

    @cached_property
    def pending(self) -> Mapping[str, Sequence[CellRun]]:
        """The runs that are still to be played, by the name of the lab; only labs that have some."""
        done = {(*key, run.number) for key, runs in self.complete.items() for run in runs}
        left = {
            lab: [run for run in runs if (*run.cell.key, run.number) not in done]
            for lab, runs in self.plan.runs(self.seed).items()
        }
        return {lab: runs for lab, runs in left.items() if runs}

    @property
    def planned_count(self) -> int:
        return len(self.plan.playable) * self.plan.repeat

    @property
    def pending_count(self) -> int:
        return sum(map(len, self.pending.values()))

    def done(self, cell: Cell) -> int:
        """How many runs of a cell are complete."""
        return len(self.complete.get(cell.key, ()))

    @property
    def cells(self) -> tuple[PlannedCell, ...]:
        """The cells of the plan, for the record."""
        return tuple(
            PlannedCell(*cell.key, self.plan.fingerprints[cell.key], cell.expected, cell.lacking)
            for cell in self.plan.cells
        )

    def changes(self) -> Iterator[str]:
        """What has changed since the matrix was last run, in sentences; nothing for a new matrix."""
        if self.record is None:
            return
        before = {(cell.lab, cell.scenario): cell.fingerprint for cell in self.record.cells}
        now = self.plan.fingerprints
        if new := [key for key in now if key not in before]:
            yield f"{_cells(new)} new"
        if gone := [key for key in before if key not in now]:
            yield f"{_cells(gone)} no longer in it: their runs stay in the folder, and the report leaves them out"
        if other := [key for key in now if before.get(key, now[key]) != now[key]]:
            yield f"{_cells(other)} played again, because the lab file, the scenario or a file that they name changed"
        if self.record.repeat != self.plan.repeat:
            yield f"each cell has {counted(self.plan.repeat, 'run')} now, and had {self.record.repeat}"
        if self.record.seed != self.seed:
            yield f"the seed is {self.seed} now, and was {self.record.seed}: all cells are played again"


def _cells(keys: Sequence[Key]) -> str:
    """`2 cells (stop-apiserver on nginx, kill-etcd-member on nginx) are`."""
    names = ", ".join(f"{scenario} on {lab}" for lab, scenario in keys[:_NAMED])
    more = f", and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return f"{counted(len(keys), 'cell')} ({names}{more}) {'is' if len(keys) == 1 else 'are'}"
