"""Play the cells of a matrix, lab by lab. Every run that comes to its end is recorded at once."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from halab import files
from halab.campaign import lab_folders
from halab.clock import RealClock
from halab.errors import BadUsage, HalabError, LabProblem
from halab.lifecycle.lab import LabDir, open_file
from halab.lifecycle.temporary_lab import LabDeps
from halab.machines.host import allocation
from halab.matrix import record, results
from halab.matrix.forecast import Forecast
from halab.matrix.lab_process import EndedLab, EndedRun
from halab.matrix.places import LabOrders, Places
from halab.matrix.plan import CellRun, MatrixLab
from halab.matrix.record import LABS, BuiltLab, MatrixRecord, PlayedRun
from halab.matrix.results import Results
from halab.matrix.times import COUNTED
from halab.printable import counted, one_line
from halab.progress import Progress
from halab.report.matrix import PAGE, MatrixReport

_LOCK = "lock"


@dataclass(frozen=True)
class MatrixOutcome:
    """A session of a matrix has ended: where its page is, and whether the user has interrupted it."""

    report: MatrixReport
    page: Path
    was_interrupted: bool


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make the folder of a matrix and lock it: only one command may play the matrix at a time.

    Raises LabProblem if another command does, and BadUsage if the folder has other files.
    """
    if folder.exists() and not folder.is_dir():
        raise BadUsage(f"not a folder: {folder}", hint="choose another folder with --in FOLDER")
    is_new = not folder.exists()
    if not is_new and not (folder / record.FILE).exists():
        others = sorted(path.name for path in folder.iterdir() if path.name not in (_LOCK, LABS))
        if others:
            raise BadUsage(
                f"the folder of the matrix has other files: {folder / others[0]}",
                hint="choose another folder with --in FOLDER",
            )
    busy = LabProblem(
        f"another halab process plays the matrix in {folder}",
        hint="wait until it ends, or interrupt it; to play the same matrix twice, use another folder (--in)",
    )
    with files.locked(folder / _LOCK, busy):
        try:
            yield
        finally:
            _remove_if_unused(folder, is_new=is_new)


def _remove_if_unused(folder: Path, *, is_new: bool) -> None:
    if not (folder / record.FILE).exists():
        (folder / _LOCK).unlink(missing_ok=True)
        if is_new and not any(folder.iterdir()):
            folder.rmdir()


def play(
    forecast: Forecast,
    folder: Path,
    started: str,
    shown: Progress,
    lab_deps: Callable[[Path], LabDeps],
    places: Places,
) -> MatrixOutcome:
    """Play what is still to be played, and write the report. The folder is locked.

    `lab_deps` says how the lab of a file comes up and is taken down, `places` where the labs are played. `started` is
    the time now, in ISO 8601. Raises BadUsage if a lab file is wrong, before anything is built.
    """
    labs = folder / LABS
    for left in _left(labs):
        shown.say(
            f"remove the lab {left.name}, which is still up: an earlier halab was killed, or you built it"
        )
        lab_deps(left.file).down(left, shown)
    plan = forecast.standing.plan
    by_name: dict[str, Path] = {}
    for base in dict.fromkeys(lab.base for lab in plan.labs):
        variants = [lab for lab in plan.labs if lab.base == base]
        made = lab_folders.prepare(base, variants, labs, again=True)
        by_name |= {lab.name: file for lab, file in zip(variants, made, strict=True)}
    standing = replace(forecast.standing, again=False)
    before = forecast.standing.record or MatrixRecord(forecast.standing.seed, started)
    complete = [run for runs in forecast.standing.complete.values() for run in runs]
    found = results.read(complete, folder, shown)
    now = replace(
        before,
        seed=forecast.standing.seed,
        repeat=plan.repeat,
        labs={lab.name: dict(lab.values) for lab in plan.labs},
        cells=forecast.standing.cells,
        # hosts may have been mended since
        set_aside={} if forecast.standing.pending_count else before.set_aside,
        # runs of this plan that were lost, and those that are played again, are no longer complete
        runs=tuple(run for run in before.runs if not standing.is_complete(run) or run.key in found.runs),
    )
    forecast = replace(forecast, standing=replace(standing, record=now))
    matrix = _RunningMatrix(forecast, folder, shown, lab_deps, places, found)
    return matrix.play(by_name)


def _left(labs: Path) -> list[LabDir]:
    """The labs of this matrix that are up: a halab that ends takes them down, unless it is killed."""
    works = [held.work for held in allocation.held() if held.work.is_relative_to(labs.resolve())]
    files = [work.parent / lab_folders.LAB_FILE for work in works]
    return [open_file(file, reads_own_files=False) for file in files if file.exists()]


class _RunningMatrix:
    """The standing is that of the present moment: it knows every run that is complete."""

    def __init__(
        self,
        forecast: Forecast,
        folder: Path,
        shown: Progress,
        lab_deps: Callable[[Path], LabDeps],
        places: Places,
        results: Results,
    ) -> None:
        self._forecast = forecast
        self._folder = folder
        self._shown = shown
        self._lab_deps = lab_deps
        self._places = places
        self._cells = {cell.key: cell for cell in forecast.standing.plan.cells}
        self._results = results
        self._begun = RealClock().now()
        assert forecast.standing.record is not None
        self._record = forecast.standing.record
        self._seconds_before = self._record.seconds

    def play(self, files: Mapping[str, Path]) -> MatrixOutcome:
        pending = self._forecast.standing.pending
        self._files = files
        self._waiting = {lab.name: lab for lab in self._forecast.standing.plan.labs if lab.name in pending}
        orders = [self._orders(lab, pending[lab.name]) for lab in self._waiting.values()]
        self._count = len(orders)
        self._write()
        try:
            was_interrupted = self._places.play_all(orders, self)
        except BaseException:
            with suppress(HalabError):
                self._report()
            raise
        self._write()
        return MatrixOutcome(self._report(), self._folder / PAGE, was_interrupted)

    def _orders(self, lab: MatrixLab, runs: Sequence[CellRun]) -> LabOrders:
        fingerprints = self._forecast.standing.plan.fingerprints
        return LabOrders(
            lab=lab.name,
            file=self._files[lab.name],
            runs=tuple(run.planned for run in runs),
            seed=self._forecast.standing.seed,
            fingerprints={run.cell.name: fingerprints[run.cell.key] for run in runs},
        )

    def on_begin(self, lab: str) -> None:
        number = self._count - len(self._waiting) + 1
        if number > 1:
            self._report()
        begun = self._waiting.pop(lab)
        runs = self._forecast.standing.pending[lab]
        what = f"{begun.settings}: {counted(len(runs), 'run')}"
        self._shown.say(f"lab {number} of {self._count}: {what}. {self._progress()}")

    def on_run(self, lab: str, run: EndedRun) -> None:
        """Record a run that came to its end. One that the user has interrupted is played again next time."""
        if run.result.is_interrupted and not run.is_over_limit:
            return
        cell, number = self._cells[lab, run.name], run.seed - self._forecast.standing.seed + 1
        played = PlayedRun(
            lab=lab,
            scenario=run.name,
            number=number,
            seed=run.seed,
            fingerprint=self._forecast.standing.plan.fingerprints[cell.key],
            folder=os.path.relpath(run.folder.path, self._folder.resolve()),
            verdict=run.result.verdict,
            seconds=round(run.result.seconds, 3),
        )
        self._results.runs[lab, run.name, number] = run.folder, run.result
        self._record = self._record.with_run(played)
        if run.result.verdict in COUNTED:
            times = self._forecast.times.with_run(cell, run.result.seconds)
            self._forecast = replace(self._forecast, times=times)
        self._write()
        self._shown.say(self._progress())

    def on_end(self, lab: str, end: EndedLab) -> None:
        if end.built_seconds is not None:
            built = BuiltLab(lab, round(end.built_seconds, 3))
            repairs = [f"{lab}: {repair}" for repair in end.repairs]
            self._record = replace(
                self._record,
                built=(*self._record.built, built),
                repairs=(*self._record.repairs, *repairs),
            )
            self._write()
        if end.why and not end.was_interrupted:
            self._results.errors[lab] = one_line(end.why)
        if end.is_lost:
            self._shown.say(f"{lab}: {end.why}; halab removes the lab")
            file = self._files[lab]
            try:
                self._lab_deps(file).down(open_file(file), self._shown)
            except HalabError as error:
                command = f"halab down -f {shlex.quote(str(file))}"
                self._shown.say(
                    f"the lab {lab} was not removed; remove it with `{command}`: {error.message}"
                )

    def _write(self) -> None:
        set_aside = {**self._record.set_aside, **self._places.set_aside}
        self._record = replace(self._record, set_aside=set_aside)
        seconds = self._seconds_before + RealClock().now() - self._begun
        self._record = replace(self._record, seconds=round(seconds, 3))
        record.write(self._folder, self._record)
        standing = replace(self._forecast.standing, record=self._record)
        times = replace(self._forecast.times, built=self._record.built)
        self._forecast = replace(self._forecast, standing=standing, times=times)

    def _report(self) -> MatrixReport:
        return results.write(self._folder, self._forecast.standing, self._results)

    def _progress(self) -> str:
        """`3 of 8 runs are complete; time left: about 12m`."""
        standing = self._forecast.standing
        done = standing.planned_count - standing.pending_count
        left = f"; time left: {self._forecast.total}" if standing.pending_count else ""
        return f"{done} of {counted(standing.planned_count, 'run')} complete{left}"
