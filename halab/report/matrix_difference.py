"""Two matrices, an older and a newer one: which cells got worse, and which figures changed by more than noise. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from halab.report.campaign import Campaign
from halab.report.comparison import Block, ComparedLab, Comparison, Row
from halab.report.matrix import CellState, ReportedCell

SCHEMA = 1
OLD, NEW = "old", "new"
# From good to bad. A state that says nothing about the scenario is neither better nor worse than another one.
_ORDER = (CellState.PASS, CellState.FLAKY, CellState.FAIL)
_WORSE_IF_LOST = (CellState.ERROR, CellState.NOT_RUN)


@dataclass(frozen=True)
class CellChange:
    """A cell whose state is not the same in both matrices."""

    old: ReportedCell
    new: ReportedCell

    @property
    def is_worse(self) -> bool:
        """True if it failed more, or if it passed before and now nothing is known."""
        before, after = self.old.state, self.new.state
        if before in _ORDER and after in _ORDER:
            return _ORDER.index(after) > _ORDER.index(before)
        return before is CellState.PASS and after in _WORSE_IF_LOST

    @property
    def is_better(self) -> bool:
        return CellChange(self.new, self.old).is_worse

    def __str__(self) -> str:
        """`stop-apiserver on nginx: pass (5/5) → flaky (3/5)`."""
        states = f"{self.old.state} ({self.old.short}) → {self.new.state} ({self.new.short})"
        return f"{self.new.scenario} on {self.new.lab.name}: {states}"


@dataclass(frozen=True)
class FigureChange:
    """A figure of a cell that has changed by more than noise."""

    lab: str
    block: Block

    @property
    def row(self) -> Row:
        return self.block.rows[1]

    @property
    def direction(self) -> str:
        """`slower` or `faster` for what every scenario measures; `changed` for others, where more may be better."""
        if not self.block.is_main or self.row.difference is None:
            return "changed"
        return "slower" if self.row.difference.shift > 0 else "faster"

    def __str__(self) -> str:
        """`stop-apiserver on nginx, recovery: +9.1s (+8.7s to +10.4s)`."""
        return f"{self.block.scenario} on {self.lab}, {self.block.figure}: {self.row.against_first}"


@dataclass(frozen=True)
class MatrixDifference:
    """The cells of two matrices by their settings and scenario: labs may have other names."""

    old: Sequence[ReportedCell]
    new: Sequence[ReportedCell]

    @cached_property
    def pairs(self) -> list[CellChange]:
        """The cells that both matrices have."""
        before, after = _by_place(self.old), _by_place(self.new)
        return [CellChange(before[place], cell) for place, cell in after.items() if place in before]

    @property
    def broken(self) -> list[CellChange]:
        return [pair for pair in self.pairs if pair.is_worse]

    @property
    def repaired(self) -> list[CellChange]:
        return [pair for pair in self.pairs if pair.is_better]

    @property
    def only_old(self) -> list[ReportedCell]:
        return _only_in(self.old, self.new)

    @property
    def only_new(self) -> list[ReportedCell]:
        return _only_in(self.new, self.old)

    @cached_property
    def figures(self) -> list[FigureChange]:
        """The figures that have changed by more than noise, cell by cell."""
        return [change for pair in self.pairs for change in _figures(pair)]


def lines(difference: MatrixDifference) -> Iterator[str]:
    """What has changed, as text."""
    groups: Mapping[str, Sequence[object]] = {
        "worse": difference.broken,
        "better": difference.repaired,
        **{
            direction: [figure for figure in difference.figures if figure.direction == direction]
            for direction in ("slower", "faster", "changed")
        },
        "only in the old matrix": [f"{cell.scenario} on {cell.lab.name}" for cell in difference.only_old],
        "only in the new matrix": [f"{cell.scenario} on {cell.lab.name}" for cell in difference.only_new],
    }
    for title, changes in groups.items():
        for change in changes:
            yield f"{title}: {change}"
    same = len(difference.pairs) - len(difference.broken) - len(difference.repaired)
    yield f"cells in both: {len(difference.pairs)}, of which {same} are neither worse nor better"


def to_json(difference: MatrixDifference) -> str:
    """The same for programs."""
    values = {
        "schema": SCHEMA,
        "cells": [
            {
                "settings": dict(pair.new.lab.values),
                "scenario": pair.new.scenario,
                OLD: str(pair.old.state),
                NEW: str(pair.new.state),
                "is_worse": pair.is_worse,
                "is_better": pair.is_better,
            }
            for pair in difference.pairs
        ],
        "figures": [_as_data(figure) for figure in difference.figures],
        "only_old": [_place_as_data(cell) for cell in difference.only_old],
        "only_new": [_place_as_data(cell) for cell in difference.only_new],
    }
    return json.dumps(values, indent=2, ensure_ascii=False)


def _as_data(change: FigureChange) -> dict[str, Any]:
    seen, spread = change.row.difference, change.row.spread
    assert seen is not None and spread is not None
    return {
        "lab": change.lab,
        "scenario": change.block.scenario,
        "figure": change.block.figure,
        "unit": str(spread.unit),
        "shift": seen.shift,
        "low": seen.low,
        "high": seen.high,
        "direction": change.direction,
    }


def _place_as_data(cell: ReportedCell) -> dict[str, Any]:
    return {"settings": dict(cell.lab.values), "scenario": cell.scenario}


def _by_place(cells: Sequence[ReportedCell]) -> dict[tuple[frozenset[tuple[str, str]], str], ReportedCell]:
    return {(frozenset(cell.lab.values.items()), cell.scenario): cell for cell in cells}


def _only_in(cells: Sequence[ReportedCell], others: Sequence[ReportedCell]) -> list[ReportedCell]:
    known = _by_place(others)
    return [cell for place, cell in _by_place(cells).items() if place not in known]


def _figures(pair: CellChange) -> Iterator[FigureChange]:
    labs = [ComparedLab(name, "", _campaign(cell)) for name, cell in ((OLD, pair.old), (NEW, pair.new))]
    for block in Comparison(labs, (), "", 0.0).blocks:
        if block.rows[1].is_clear:
            yield FigureChange(pair.new.lab.name, block)


def _campaign(cell: ReportedCell) -> Campaign:
    return Campaign("", 0, (), cell.runs, "", 0.0)
