"""The report of a matrix: its cells by labs and scenarios, and the page, the JUnit file and the JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from halab import templates
from halab.config.quantities import format_duration
from halab.config.twin import Verdict
from halab.files import replace
from halab.printable import counted
from halab.report import junit
from halab.report.campaign import NotRun, compare_with_expected
from halab.report.page import Tile
from halab.report.run_entries import entries, relative
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result

SCHEMA = 1
PAGE, JUNIT, JSON = "matrix.html", "junit.xml", "matrix.json"


class CellState(StrEnum):
    """What the runs of a cell say together."""

    FAIL = "fail"
    FLAKY = "flaky"  # some runs passed, others failed
    ERROR = "error"  # no run failed, and at least one could not be judged
    NOT_RUN = "not run"  # no run failed, and at least one did not take place
    PASS = "pass"
    SKIP = "skip"


MEANINGS = {
    CellState.FAIL: "A promise was broken in a cell.",
    CellState.FLAKY: "Runs of the same cell passed and failed.",
    CellState.ERROR: "The result is incomplete: runs could not be judged, or a lab did not come up.",
    CellState.NOT_RUN: "The result is incomplete: some runs did not take place yet.",
    CellState.PASS: "Every cell passed.",
    CellState.SKIP: "No lab can run any of these scenarios.",
}


@dataclass(frozen=True)
class ReportedLab:
    """A lab of the matrix. `error` says why runs could not take place on it: it did not come up, or was lost.

    `page` is the path of the report of all of its runs, if there is one.
    """

    name: str
    values: Mapping[str, str]
    error: str = ""
    page: Path | None = None


@dataclass(frozen=True)
class ReportedCell:
    """One scenario on one lab: how many runs were planned, and those that took place.

    A run passes with the verdict that is `expected`: that of a losing twin is not a pass. `lacking` says why the lab
    cannot run it: then no run was planned.
    """

    lab: ReportedLab
    scenario: str
    planned: int
    runs: tuple[tuple[RunFolder, Result], ...]
    expected: Verdict = Verdict.PASS
    lacking: str = ""

    @cached_property
    def verdicts(self) -> Counter[Verdict]:
        """The number of runs by verdict, compared with the expected one."""
        return Counter(self._compared(result) for _, result in self.runs)

    def _compared(self, result: Result) -> Verdict:
        return compare_with_expected(result.verdict, self.expected)

    @property
    def missing(self) -> int:
        return max(0, self.planned - len(self.runs))

    @property
    def state(self) -> CellState:
        passed, failed = self.verdicts[Verdict.PASS], self.verdicts[Verdict.FAIL]
        if failed:
            return CellState.FLAKY if passed else CellState.FAIL
        if self.verdicts[Verdict.ERROR] or (self.missing and self.lab.error):
            return CellState.ERROR
        if self.missing:
            return CellState.NOT_RUN
        return CellState.PASS if passed else CellState.SKIP

    @property
    def judged(self) -> int:
        """The number of runs that passed or failed: an error says nothing about the scenario."""
        return self.verdicts[Verdict.PASS] + self.verdicts[Verdict.FAIL]

    @property
    def pass_rate(self) -> float | None:
        """The share of the judged runs that passed; None without any."""
        return self.verdicts[Verdict.PASS] / self.judged if self.judged else None

    @property
    def short(self) -> str:
        """The runs in a few characters: `4/5` of those judged passed, `4/4 1 error`, `1/1 2 left`; `–` if none."""
        errors, skipped = self.verdicts[Verdict.ERROR], self.verdicts[Verdict.SKIP]
        if not self.runs:
            return str(self.state) if self.state in (CellState.ERROR, CellState.SKIP) else "–"
        parts = [f"{self.verdicts[Verdict.PASS]}/{self.judged}"] * bool(self.judged)
        parts += [f"{errors} error{'s' if errors > 1 else ''}"] * bool(errors)
        parts += ["skip"] * (bool(skipped) and not parts)
        parts += ["error"] * (self.state is CellState.ERROR and not errors)
        parts += [f"{self.missing} left"] * (self.state is CellState.NOT_RUN)
        return " ".join(parts)

    @property
    def in_words(self) -> str:
        """`4 of 5 judged runs passed (80 %), 1 run ended in an error, 2 runs are missing`."""
        errors, skipped = self.verdicts[Verdict.ERROR], self.verdicts[Verdict.SKIP]
        parts = [self.lacking] * (bool(self.lacking) and not self.runs)
        if self.pass_rate is not None:
            passed = self.verdicts[Verdict.PASS]
            parts.append(f"{passed} of {counted(self.judged, 'judged run')} passed ({self.pass_rate:.0%})")
        parts += [f"{counted(errors, 'run')} ended in an error"] * bool(errors)
        parts += [f"{counted(skipped, 'run')} skipped"] * bool(skipped)
        parts += [f"{counted(self.missing, 'run')} missing"] * bool(self.missing)
        return ", ".join(parts)

    @property
    def reasons(self) -> list[str]:
        """Why runs did not pass, and why runs are missing, each once."""
        reasons = [
            reason
            for _, result in self.runs
            if self._compared(result) is not Verdict.PASS
            for reason in result.reasons
            or (f"it ended with {result.verdict}, and not with {self.expected}",)
        ]
        return list(
            dict.fromkeys([*reasons, *([self.lab.error] if self.missing and self.lab.error else [])])
        )

    @property
    def shown_run(self) -> RunFolder | None:
        """The run to which the cell leads: the first of those with the most important verdict."""
        for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.PASS, Verdict.SKIP):
            for folder, result in self.runs:
                if self._compared(result) is verdict:
                    return folder
        return None


@dataclass(frozen=True)
class MatrixReport:
    """All cells of a matrix. `axes` are the values of each axis, `scenarios` the titles of the scenarios by name.

    `set_aside` are the hosts that got no more labs, with the reasons.
    """

    name: str
    axes: Mapping[str, Sequence[str]]
    scenarios: Mapping[str, str]
    labs: Sequence[ReportedLab]
    cells: Sequence[ReportedCell]
    seed: int
    started: str
    seconds: float
    repairs: Sequence[str] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def columns(self) -> list[ReportedLab]:
        """One lab for each combination of values: a bug has a lab of its own in each column."""
        columns: dict[tuple[str, ...], ReportedLab] = {}
        for lab in self.labs:
            columns.setdefault(_column(lab), lab)
        return list(columns.values())

    def cell(self, scenario: str, column: ReportedLab) -> ReportedCell | None:
        return self._by_place.get((scenario, _column(column)))

    @cached_property
    def _by_place(self) -> dict[tuple[str, tuple[str, ...]], ReportedCell]:
        return {(cell.scenario, _column(cell.lab)): cell for cell in self.cells}

    @cached_property
    def totals(self) -> dict[CellState, int]:
        """The number of cells by state."""
        states = Counter(cell.state for cell in self.cells)
        return {state: states[state] for state in CellState if states[state]}

    @property
    def state(self) -> CellState:
        """The most important state of all cells."""
        return next(iter(self.totals), CellState.SKIP)

    @property
    def to_look_at(self) -> list[ReportedCell]:
        """The cells that failed, are flaky or ended in an error, the most important first."""
        order = [CellState.FAIL, CellState.FLAKY, CellState.ERROR]
        return sorted(
            (cell for cell in self.cells if cell.state in order), key=lambda cell: order.index(cell.state)
        )

    @property
    def verdicts(self) -> list[Verdict]:
        """One verdict per cell, for the exit code: a flaky cell has failed, and what is missing is an error."""
        meant = {CellState.FLAKY: Verdict.FAIL, CellState.NOT_RUN: Verdict.ERROR}
        return [meant.get(cell.state) or Verdict(cell.state) for cell in self.cells]

    def heads(self) -> Iterator[tuple[str, list[tuple[str, int]]]]:
        """The rows above the columns: each axis, and its values with the number of columns that each spans."""
        for depth, axis in enumerate(self.axes, 1):
            outer = list(self.axes)[:depth]
            groups = groupby(self.columns, key=lambda lab: tuple(lab.values[name] for name in outer))
            yield axis, [(values[-1], sum(1 for _ in labs)) for values, labs in groups]


def _column(lab: ReportedLab) -> tuple[str, ...]:
    return tuple(lab.values.values())


def write(folder: Path, report: MatrixReport) -> Path:
    """Write the report into a folder, and return the path of its page."""
    replace(folder / JSON, text(folder, report))
    replace(
        folder / JUNIT, junit.of_runs(report.name, list(_suites(report)), _not_run(report), _lost(report))
    )
    replace(folder / PAGE, html(folder, report))
    return folder / PAGE


def html(folder: Path, report: MatrixReport) -> str:
    """The page. Its links to the pages of the runs are relative to `folder`."""

    def link(path: Path) -> str:
        return relative(path, folder)

    return templates.page(
        "matrix.html",
        report=report,
        state=report.state,
        colour=lambda state: str(state).replace(" ", "-"),
        meaning=MEANINGS[report.state],
        heads=list(report.heads()),
        tiles=list(_tiles(report)),
        link=link,
        started=report.started.replace("T", " at ", 1),
    )


def text(folder: Path, report: MatrixReport) -> str:
    """The same report as JSON, for programs."""
    values = {
        "schema": SCHEMA,
        "name": report.name,
        "seed": report.seed,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        "axes": {name: list(shown) for name, shown in report.axes.items()},
        "totals": {str(state): count for state, count in report.totals.items()},
        "labs": [
            {"name": lab.name, "settings": dict(lab.values), "error": lab.error or None}
            for lab in report.labs
        ],
        "cells": [_cell(folder, cell) for cell in report.cells],
        "repairs": list(report.repairs),
        "set_aside": dict(report.set_aside),
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _cell(folder: Path, cell: ReportedCell) -> dict[str, Any]:
    return {
        "lab": cell.lab.name,
        "scenario": cell.scenario,
        "state": str(cell.state),
        "expected": str(cell.expected),
        "lacking": cell.lacking or None,
        "planned": cell.planned,
        "pass_rate": cell.pass_rate,
        "runs": entries(cell.runs, folder),
    }


def _suites(report: MatrixReport) -> Iterator[tuple[str, Result, Verdict]]:
    for cell in report.cells:
        for number, (_, result) in enumerate(cell.runs, 1):
            count = f", {number} of {cell.planned}" if cell.planned > 1 else ""
            yield f"{cell.scenario} on {cell.lab.name}{count}", result, cell.expected


def _not_run(report: MatrixReport) -> list[NotRun]:
    skipped = [
        NotRun(f"{cell.scenario} on {cell.lab.name}", cell.lacking) for cell in report.cells if cell.lacking
    ]
    return skipped + [
        _missing(cell, "not played yet") for cell in report.cells if cell.missing and not cell.lab.error
    ]


def _lost(report: MatrixReport) -> list[NotRun]:
    return [_missing(cell, cell.lab.error) for cell in report.cells if cell.missing and cell.lab.error]


def _missing(cell: ReportedCell, why: str) -> NotRun:
    return NotRun(f"{cell.scenario} on {cell.lab.name}: {counted(cell.missing, 'run')}", why)


def _tiles(report: MatrixReport) -> Iterator[Tile]:
    cells, totals = report.cells, report.totals
    that_count = len(cells) - totals.get(CellState.SKIP, 0)
    passed = totals.get(CellState.PASS, 0)
    notes = [f"{totals[state]} {state}" for state in totals if state not in (CellState.PASS, CellState.FAIL)]
    kind = "good" if passed == that_count > 0 else "bad"
    yield Tile("cells that passed", f"{passed} of {that_count}", ", ".join(notes), kind)
    runs = sum(len(cell.runs) for cell in cells)
    planned = sum(cell.planned for cell in cells)
    yield Tile("runs", f"{runs} of {planned}", f"on {counted(len(report.labs), 'lab')}")
    flaky = [cell for cell in cells if cell.state is CellState.FLAKY]
    if flaky:
        worst = min(flaky, key=lambda cell: cell.pass_rate or 0.0)
        yield Tile(
            "flaky cells", str(len(flaky)), f"{worst.scenario} on {worst.lab.name}: {worst.short}", "bad"
        )
    yield Tile("total time", format_duration(report.seconds), "")
