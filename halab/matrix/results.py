"""The results of the runs of a matrix, and its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from halab.errors import BadUsage, HalabError
from halab.matrix import record
from halab.matrix.plan import CellKind, MatrixPlan
from halab.matrix.record import LABS, PlayedRun
from halab.matrix.standing import Standing
from halab.printable import counted
from halab.progress import Progress
from halab.report import matrix, overview, proof
from halab.report.campaign import Campaign, NotRun
from halab.report.matrix import MatrixReport, ReportedCell, ReportedLab
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict import verdict
from halab.scenario.verdict.result import Result

Key = tuple[str, str, int]
Judged = tuple[RunFolder, Result]


@dataclass
class Results:
    """The judged runs by lab, scenario and number, and why labs have not all of theirs."""

    runs: dict[Key, Judged] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def read(runs: Sequence[PlayedRun], folder: Path, shown: Progress) -> Results:
    """Judge recorded runs again. One that cannot be judged is left out, and said."""
    found = Results()
    if runs:
        with shown.step(f"judge the recorded runs ({len(runs)})"):
            for run in runs:
                _add(found, run, folder, shown)
    return found


def _add(found: Results, run: PlayedRun, folder: Path, shown: Progress) -> None:
    try:
        place = RunFolder.existing((folder / run.folder).resolve(), or_proof=True)
        found.runs[run.key] = place, judged(place)
    except (HalabError, OSError) as error:
        message = error.message if isinstance(error, HalabError) else str(error)
        shown.say(f"run {run.number} of {run.scenario} on {run.lab} does not count: {message}")


def recorded(folder: Path, shown: Progress) -> list[ReportedCell]:
    """The cells of a recorded matrix, judged again. Raises BadUsage for another folder."""
    written = record.read(folder)
    if written is None:
        hint = "name the folder in which `halab matrix run` has played a matrix"
        raise BadUsage(f"not the folder of a matrix: {folder}", hint=hint)
    found = read(written.current_runs, folder, shown)
    labs = {name: ReportedLab(name, values) for name, values in written.labs.items()}
    return [
        ReportedCell(
            labs[cell.lab],
            cell.scenario,
            0 if cell.lacking else written.repeat,
            _runs_of(found, cell.lab, cell.scenario, written.repeat),
            cell.expected,
            cell.lacking,
        )
        for cell in written.cells
    ]


def _runs_of(found: Results, lab: str, scenario: str, repeat: int) -> tuple[Judged, ...]:
    keys = [(lab, scenario, number) for number in range(1, repeat + 1)]
    return tuple(found.runs[key] for key in keys if key in found.runs)


def judged(run: RunFolder) -> Result:
    """The result of a recorded run or proof, from its folder alone."""
    return proof.judged(run) if run.is_proof else verdict.judge(run.read())


def write(folder: Path, standing: Standing, results: Results) -> MatrixReport:
    """Write the report of a matrix, and a report of the runs of each lab that has several."""
    by_lab: dict[str, dict[Key, Judged]] = {}
    # proofs have no figures to compare
    drills = {script.name for script in standing.plan.drills}
    for key in sorted(key for key in results.runs if key[1] not in drills):
        by_lab.setdefault(key[0], {})[key] = results.runs[key]
    pages = {
        lab: overview.write(folder.resolve() / LABS / lab, _campaign(lab, standing, runs))
        for lab, runs in by_lab.items()
        # it would count a bug that shows as a failure
        if len(runs) > 1 and not standing.plan.bugs & {scenario for _, scenario, _ in runs}
    }
    report = report_of(standing, results, pages)
    matrix.write(folder.resolve(), report)
    return report


def report_of(standing: Standing, results: Results, pages: Mapping[str, Path]) -> MatrixReport:
    """The report of what was played so far. `pages` are the reports of the labs, by name."""
    plan, written = standing.plan, standing.record
    labs = {
        lab.name: ReportedLab(lab.name, lab.values, results.errors.get(lab.name, ""), pages.get(lab.name))
        for lab in plan.labs
    }
    cells = [
        ReportedCell(
            labs[cell.lab.name],
            cell.name,
            0 if cell.lacking else plan.repeat,
            _runs_of(results, *cell.key, plan.repeat),
            cell.expected,
            cell.lacking,
        )
        for cell in plan.cells
    ]
    return MatrixReport(
        name=f"{_members(plan)} on {counted(len(plan.labs), 'lab')}",
        axes=plan.axes,
        scenarios=plan.titles,
        labs=list(labs.values()),
        cells=cells,
        seed=standing.seed,
        started=written.started if written else "",
        seconds=written.seconds if written else 0.0,
        repairs=written.repairs if written else (),
        set_aside=written.set_aside if written else {},
    )


def _members(plan: MatrixPlan) -> str:
    """`3 scenarios and 2 drills`; the scenarios of bugs count as scenarios."""
    counts = {"scenario": len(plan.scripts), "drill": len(plan.drills)}
    return " and ".join(counted(count, noun) for noun, count in counts.items() if count)


def _campaign(lab: str, standing: Standing, runs: Mapping[Key, Judged]) -> Campaign:
    runs_of_lab = standing.plan.runs(standing.seed)[lab]
    planned = [run for run in runs_of_lab if run.cell.kind is not CellKind.DRILL]
    seconds = sum(result.seconds for _, result in runs.values())
    return Campaign(
        name=f"Runs on {lab}",
        seed=standing.seed,
        order=[run.cell.name for run in planned],
        runs=list(runs.values()),
        started=standing.record.started if standing.record else "",
        seconds=seconds,
        not_run=[
            NotRun(run.cell.name, "not played yet")
            for run in planned
            if (*run.cell.key, run.number) not in runs
        ],
    )
