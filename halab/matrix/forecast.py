"""What a matrix takes: its cells, how long each takes, and how long the rest of it takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from halab.errors import BadUsage
from halab.machines.work import Work
from halab.matrix import record, times
from halab.matrix.plan import Cell, MatrixPlan
from halab.matrix.standing import Standing
from halab.matrix.times import Time, Times, Total
from halab.report import recorded_runs

# A plan needs no seed, but for the order of scenarios.
_ANY_SEED = 0


@dataclass(frozen=True)
class Forecast:
    """A matrix, how far it is, and the times that were measured before."""

    standing: Standing
    times: Times
    at_once: int = 1

    def of(self, cell: Cell) -> Time:
        """How long one run of a cell takes."""
        return self.times.of(cell)

    @cached_property
    def total(self) -> Total:
        """The time until all runs that are still to be played have ended, with `at_once` labs side by side.

        Each lab goes to the place that is free first. What labs that are up have played already does not count.
        """
        labs = {lab.name: lab for lab in self.standing.plan.labs}
        places = [Total(0.0, 0.0)] * self.at_once
        for name, runs in self.standing.pending.items():
            lab = Total.of([self.times.to_build(labs[name]), *(self.of(run.cell) for run in runs)])
            free = min(range(len(places)), key=lambda place: places[place].seconds)
            places[free] = places[free].with_another(lab)
        return max(places, key=lambda total: total.seconds)


def of(
    plan: MatrixPlan, folder: Path, *, seed: int = _ANY_SEED, again: bool = False, at_once: int = 1
) -> Forecast:
    """Read the record in the folder of a matrix, and the runs that were recorded there and in the lab beside its file.

    `seed` is the seed of a matrix that has none yet. With `again`, runs that ended in an error are not complete. So
    many labs are up `at_once`.
    """
    written = record.read(folder)
    seed = plan.seed if plan.seed is not None else written.seed if written else seed
    measured = times.read(_recorded(folder, Work.beside(plan.lab_file).runs))
    standing = Standing(plan, seed, written, again)
    return Forecast(standing, Times(measured, written.built if written else ()), at_once)


def _recorded(*folders: Path) -> list[Path]:
    """The folders of all runs in these folders, which may not exist."""
    found: dict[Path, Path] = {}
    for folder in folders:
        try:
            found |= {path.resolve(): path for path in recorded_runs.find([folder])}
        except BadUsage:
            continue
    return list(found.values())


def as_data(forecast: Forecast) -> dict[str, Any]:
    """The forecast for programs."""
    standing, plan = forecast.standing, forecast.standing.plan
    return {
        "matrix": str(plan.path),
        "lab_file": str(plan.lab_file),
        "axes": {name: list(values) for name, values in plan.axes.items()},
        "repeat": plan.repeat,
        "labs": [
            {
                "name": lab.name,
                "settings": dict(lab.values),
                "provider": str(lab.written.provider),
                "kubernetes": lab.written.kubernetes.version,
                "seconds": round(forecast.times.to_build(lab).seconds, 1),
                "source": str(forecast.times.to_build(lab).source),
            }
            for lab in plan.labs
        ],
        "cells": [
            {
                "lab": cell.lab.name,
                "scenario": cell.script.name,
                "kind": str(cell.kind),
                "is_twin": cell.twin,
                "lacking": cell.lacking or None,
                "runs": 0 if cell.lacking else plan.repeat,
                "done": standing.done(cell),
                "seconds": round(forecast.of(cell).seconds, 1),
                "source": str(forecast.of(cell).source),
                "measured_runs": forecast.of(cell).runs,
            }
            for cell in plan.cells
        ],
        "jobs": list(_jobs(forecast)),
        "changes": list(standing.changes()),
        "at_once": forecast.at_once,
        "pending_runs": standing.pending_count,
        "seconds": {
            "measured": round(forecast.total.measured, 1),
            "limits": round(forecast.total.limits, 1),
        },
    }


def _jobs(forecast: Forecast) -> Iterator[dict[str, Any]]:
    """What can run in CI as a job of its own: a scenario with its twin, a drill or a bug on one lab.

    `lab` and `only` are the values of the options with these names. `seconds` has the time of the lab, too.
    """
    plan = forecast.standing.plan
    jobs: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.playable:
        jobs.setdefault((cell.lab.name, cell.script.name), []).append(cell)
    for (lab, name), cells in jobs.items():
        runs = [forecast.of(cell).seconds * plan.repeat for cell in cells]
        seconds = forecast.times.to_build(cells[0].lab).seconds + sum(runs)
        provider = str(cells[0].lab.written.provider)
        yield {"lab": lab, "only": name, "provider": provider, "seconds": round(seconds, 1)}
