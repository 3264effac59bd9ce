"""`halab history`: what recorded runs measured, over time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.bounds import print_left_out
from halab.cli.complete import scenario_names
from halab.cli.console import echo, echo_raw, progress
from halab.cli.console import table as columns
from halab.cli.options import file_option, json_option, lab_dir_of, print_json
from halab.errors import ExitCode

if TYPE_CHECKING:
    from halab.machines.work import Work
    from halab.report.history import HistoryRun
    from halab.report.history_file import HistoryFile
    from halab.report.history_update import HistoryUpdate


@click.command("history")
@click.argument("scenario", required=False, shell_complete=scenario_names)
@file_option
@click.option(
    "--add", "folders", multiple=True, type=click.Path(path_type=Path), metavar="FOLDER",
    help="Also add the runs in this folder and below to the history (repeatable).",
)  # fmt: skip
@click.option("--twin", is_flag=True, help="Show the runs of the losing twin.")
@click.option(
    "--page", "page", type=click.Path(path_type=Path), metavar="FILE",
    help="Also write drawings of all figures to this HTML file.",
)  # fmt: skip
@json_option
def history_command(
    scenario: str | None, file: Path, folders: tuple[Path, ...], twin: bool, page: Path | None, as_json: bool
) -> int:
    """Show the verdicts and figures of a scenario over time. No lab is needed.

    Without SCENARIO, the scenarios that have recorded runs are listed. halab adds the runs that have ended since the
    last time to a file of the lab, `.halab/runs/history.sqlite`: runs of the lab, of the matrices and comparisons
    beside the lab file, and in the folders of --add. Figures of runs that you remove later stay in it. Runs on
    another load balancer, provider or minor version of Kubernetes are shown separately.

    Exit code: 0, or 3 if a run cannot be judged.

    \b
    Example:
      halab history
      halab history kill-etcd-leader --page history.html
      halab history stop-apiserver --add ../nightly --json
    """
    from halab.errors import BadUsage
    from halab.report import history, history_page, table
    from halab.report.history_file import HistoryFile

    if page is not None and not scenario:
        raise BadUsage("--page needs a scenario", hint="halab history SCENARIO --page FILE")
    work = lab_dir_of(file).work
    kept = HistoryFile(work.history)
    update = _updated(kept, work, _folders(file), folders)
    if scenario:
        runs = _runs_of(kept, scenario, is_twin=twin)
        shown = history.history_of(runs)
        echo_raw(history.to_json(shown) if as_json else table.history(shown))
        if page is not None:
            from halab.files import replace, writing

            with writing(page):
                replace(page, history_page.html(shown, work.runs, page))
            echo(f"drawings: {page}", err=True)
    else:
        _list([run for run in kept.entries() if run.is_twin == twin], as_json=as_json)
    print_left_out(update.left_out, update.refused)
    return ExitCode.ERROR if update.refused else ExitCode.PASSED


def _folders(lab_file: Path) -> list[Path]:
    """The folders beside the lab file with runs of matrices and comparisons, and that of the lab itself."""
    from halab.machines.work import Work
    from halab.matrix import record
    from halab.report import comparison

    beside = lab_file.resolve().parent
    others = sorted(
        path.parent for name in (record.FILE, comparison.JSON) for path in beside.glob(f"*/{name}")
    )
    return [Work.beside(lab_file).runs, *others]


def _updated(kept: HistoryFile, work: Work, folders: Sequence[Path], named: Sequence[Path]) -> HistoryUpdate:
    """Add the runs in these folders that the history does not have. Only those that are named must have some."""
    from halab.errors import BadUsage
    from halab.report.history_update import HistoryUpdate
    from halab.report.recorded_runs import find

    found = {path.resolve(): path for folder in named for path in find([folder])}
    for folder in folders:
        with suppress(BadUsage):
            found |= {path.resolve(): path for path in find([folder])}
    update = HistoryUpdate(kept)
    if found:
        work.require_own()
        work.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        with progress().step(f"read the recorded runs ({len(found)})") as step:
            update.add_all(list(found.values()), step.note)
            step.done(f"{update.added} new")
    return update


def _runs_of(kept: HistoryFile, scenario: str, *, is_twin: bool) -> list[HistoryRun]:
    """The runs of a scenario, by its name or the path of its file. Raises BadUsage without any."""
    from halab.config.loading import is_own_file, nearest
    from halab.errors import BadUsage

    name = Path(scenario).stem if is_own_file(scenario) else scenario
    runs = kept.runs(name, is_twin=is_twin)
    if not runs:
        known = {run.scenario for run in kept.entries() if run.is_twin == is_twin}
        of_twin = " of its losing twin" if is_twin else ""
        raise BadUsage(
            f"no recorded run of {name}{of_twin}{nearest(name, known)}",
            hint="`halab history` lists the scenarios that have recorded runs; --add names folders with more runs",
        )
    return runs


def _list(runs: Sequence[HistoryRun], *, as_json: bool) -> None:
    """Show which scenarios have runs, how many, and how the newest ended."""
    rows = list(_rows(runs))
    if as_json:
        names = ("scenario", "runs", "passed", "failed", "newest", "verdict")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
    elif rows:
        columns(["SCENARIO", "RUNS", "PASSED", "FAILED", "NEWEST", "VERDICT"], rows)
    else:
        echo("no recorded runs", err=True)


def _rows(runs: Sequence[HistoryRun]) -> Iterator[tuple[str, int, int, int, str, str]]:
    by_name: dict[str, list[HistoryRun]] = {}
    for run in sorted(runs, key=lambda run: run.moment):
        by_name.setdefault(run.scenario, []).append(run)
    for name in sorted(by_name):
        verdicts = Counter(str(run.verdict) for run in by_name[name])
        newest = by_name[name][-1]
        yield (
            name,
            len(by_name[name]),
            verdicts["pass"],
            verdicts["fail"],
            newest.started,
            str(newest.verdict),
        )
