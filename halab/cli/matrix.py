"""`halab matrix`: scenarios on many labs, which differ in some settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli import matrix_places
from halab.cli.console import duration, echo, echo_raw
from halab.cli.console import table as columns
from halab.cli.options import FileGroup, json_option, print_json
from halab.errors import ExitCode
from halab.printable import counted

if TYPE_CHECKING:
    from halab.matrix.forecast import Forecast

_RUN = "run"

matrix_argument = click.argument("file", type=click.Path(path_type=Path), default="matrix.yml")
folder_option = click.option(
    "--in", "folder", type=click.Path(path_type=Path),
    help="Use this folder for the labs, the runs and the report.  [default: FILE without .yml]",
)  # fmt: skip
at_once_option = click.option(
    "--at-once", type=click.IntRange(1, 64), metavar="N",
    help="Run up to N labs at the same time.  [default: as many as fit, with 4 cores and the memory of its machines "
    "for each; 1 if they are on another host]",
)  # fmt: skip

labs_option = click.option(
    "--lab", "labs", multiple=True, metavar="NAME", help="Take only this lab of the matrix (repeatable)."
)
only_option = click.option(
    "--only", "only", multiple=True, metavar="NAME",
    help="Take only this scenario with its losing twin, this drill or this bug (repeatable).",
)  # fmt: skip


@click.group("matrix", cls=FileGroup, for_files=_RUN)
def matrix_command() -> None:
    """Run scenarios, drills and bugs on many labs that differ in some settings, and show all verdicts on one page.

    A matrix is a file. Its axes are settings of the lab file beside it, and each combination of their values is a lab.
    A cell is one scenario, drill or bug on one lab. In an empty file, the lab beside it runs the scenarios tagged
    `first`.
    `halab matrix FILE` is short for `halab matrix run FILE`.

    \b
    Example:
      halab matrix plan matrix.yml
      halab matrix matrix.yml
    """


@matrix_command.command("plan")
@matrix_argument
@folder_option
@labs_option
@only_option
@at_once_option
@json_option
def plan_command(
    file: Path,
    folder: Path | None,
    labs: Sequence[str],
    only: Sequence[str],
    at_once: int | None,
    as_json: bool,
) -> None:
    """Show the cells of a matrix, and how long one run of each takes. Nothing is built, and no network is needed.

    The times come from recorded runs: those of this matrix, and those of the lab beside it. The last column says from
    which. For a scenario that was never run, it is an estimate: the sum of its limits. A run without problems takes a
    fraction of it. A scenario that needs what a lab does not have is skipped there, and takes no time.

    The JSON also has `jobs`: for each scenario, drill and bug on each lab that can run it, the values for --lab and
    --only, so that each can be a job of its own in CI.

    \b
    Example:
      halab matrix plan matrix.yml
      halab matrix plan matrix.yml --json
    """
    from halab.matrix import forecast, library

    folder, plan = folder or _folder_of(file), library.find(file).only(labs, only)
    shown = forecast.of(plan, folder, at_once=at_once or matrix_places.fitting(plan))
    if as_json:
        print_json(forecast.as_data(shown))
        return
    columns(["LAB", "SCENARIO", "RUNS", "DONE", "ONE RUN TAKES", "FROM"], list(_rows(shown)))
    for change in shown.standing.changes():
        echo(f"changed since the last run: {change}", err=True)
    echo(f"\n{_summary(shown)}")


@matrix_command.command("build")
@matrix_argument
@labs_option
@only_option
def build_command(file: Path, labs: Sequence[str], only: Sequence[str]) -> None:
    """Build what the labs of a matrix need and the cache does not have: bundles, boxes and images of components.

    `halab matrix run` does the same when it builds a lab. Use this command before it if the labs have no network, as in
    a bare host. Building a box needs root.

    \b
    Example:
      halab matrix build matrix.yml
    """
    from halab.cli.console import progress
    from halab.matrix import images, library

    for path in images.build(library.find(file).only(labs, only), progress()):
        echo_raw(path)


@matrix_command.command(_RUN)
@matrix_argument
@folder_option
@labs_option
@only_option
@click.option("--again", is_flag=True, help="Also run again what ended in an error.")
@at_once_option
@click.option(
    "--scheduler", metavar="ADDRESS",
    help="Run the labs on the hosts of this dask scheduler: tcp://HOST:PORT or tls://HOST:PORT.",
)  # fmt: skip
@click.option(
    "--certificates", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Use TLS, with the files that `halab matrix certificates` has made in this folder.",
)  # fmt: skip
@json_option
def run_command(
    file: Path,
    folder: Path | None,
    labs: Sequence[str],
    only: Sequence[str],
    again: bool,
    at_once: int | None,
    scheduler: str | None,
    certificates: Path | None,
    as_json: bool,
) -> int:
    """Run all cells of a matrix, lab after lab, several labs at once or on several hosts, and write one report.

    For each lab, halab builds the lab, runs its scenarios, proves its drills and removes the lab. Ctrl-C removes the
    labs that are up, and the same command continues later: complete runs are not repeated. If the matrix file has
    changed, only the cells that the change is about run again. A run that takes twice as long as the sum of its
    limits is ended, and its verdict is error. With --scheduler, other hosts play the labs, each host one at a time.
    Exit code: 0 all cells passed, 1 one failed, 3 a run ended in an error or a lab did not come up or was not
    removed, 130 interrupted. If several apply, 130 takes precedence over 3, and 3 over 1.

    \b
    Example:
      halab matrix run matrix.yml
      halab matrix run matrix.yml --in /tmp/nightly --json
      halab matrix run matrix.yml --scheduler tcp://10.1.0.5:8786
    """
    import secrets
    from datetime import datetime

    from halab.cli.console import progress
    from halab.cli.verdicts import exit_code
    from halab.matrix import forecast, library, session
    from halab.report import matrix, table

    folder, plan, shown = folder or _folder_of(file), library.find(file).only(labs, only), progress()
    with (
        session.locked(folder),
        matrix_places.chosen(plan, folder, scheduler, certificates, at_once) as (places, size),
    ):
        known = forecast.of(plan, folder, seed=secrets.randbelow(10**6), again=again, at_once=size)
        for change in known.standing.changes():
            shown.say(f"changed since the last run: {change}")
        shown.say(_summary(known))
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        outcome = session.play(known, folder, started, shown, matrix_places.lab_deps, places)
    if as_json:
        echo_raw(matrix.text(folder.resolve(), outcome.report).rstrip())
    else:
        echo_raw(table.matrix(outcome.report))
    echo(f"report: {outcome.page}", err=True)
    verdicts = [str(verdict) for verdict in outcome.report.verdicts]
    # all runs of a lab that was not removed may have passed
    verdicts += ["error" for lab in outcome.report.labs if lab.error]
    code = exit_code(verdicts, was_interrupted=outcome.was_interrupted)
    if code is ExitCode.INTERRUPTED:
        echo("halab: interrupted; the same command continues", err=True)
    return code


@matrix_command.command("certificates")
@click.argument("folder", type=click.Path(path_type=Path))
def certificates_command(folder: Path) -> None:
    """Write certificates with which the scheduler, the workers and halab authenticate each other.

    FOLDER gets a CA (ca.pem, ca-key.pem) and a file with key and certificate for each role: scheduler.pem, worker.pem
    and client.pem. They are valid for a year. The dask scheduler and the dask workers need ca.pem and their own file.

    \b
    Example:
      halab matrix certificates tls
      dask scheduler --protocol tls --tls-ca-file tls/ca.pem --tls-cert tls/scheduler.pem
      halab matrix run matrix.yml --scheduler tls://10.1.0.5:8786 --certificates tls
    """
    from halab.matrix.hosts import certificates

    made = certificates.make(folder)
    echo(f"made in {made.folder}: ca.pem, ca-key.pem, scheduler.pem, worker.pem, client.pem", err=True)


@matrix_command.command("play-lab", hidden=True)
@click.argument("folder", type=click.Path(path_type=Path))
def play_lab_command(folder: Path) -> int:
    """Run the lab that a matrix on another host has sent to a folder, until the standard input is closed.

    \b
    Example:
      halab matrix play-lab ~/.local/state/halab/matrix/3f9a/nginx
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.matrix.hosts import player
    from halab.matrix.hosts.place import Place

    end = player.play(Place(folder), progress(), matrix_places.lab_deps, doctor.require, sys.stdin.fileno())
    return ExitCode.ERROR if end.why else ExitCode.PASSED


@matrix_command.command("diff")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@json_option
def diff_command(old: Path, new: Path, as_json: bool) -> int:
    """Show what has changed between two matrices: cells that are worse, and figures that are slower.

    OLD and NEW are the folders of matrices. Cells belong together if their settings and their scenario are the same.
    halab judges all runs again. A difference of a figure is shown if it is more than noise, as in `halab compare`; at
    least 4 runs of a cell in each matrix are needed. Exit code: 0, or 1 if a cell is worse.

    \b
    Example:
      halab matrix diff yesterday today
    """
    from halab.cli.console import progress
    from halab.matrix import results
    from halab.report import matrix_difference
    from halab.report.matrix_difference import MatrixDifference

    difference = MatrixDifference(results.recorded(old, progress()), results.recorded(new, progress()))
    if as_json:
        echo_raw(matrix_difference.to_json(difference))
    else:
        echo("\n".join(matrix_difference.lines(difference)))
    return ExitCode.FAILED if difference.broken else ExitCode.PASSED


def _folder_of(file: Path) -> Path:
    """The folder of a matrix: beside its file, and called like it."""
    from halab.errors import BadUsage

    if not file.suffix:
        raise BadUsage(
            f"the name of a matrix file needs an ending, such as {file}.yml",
            hint="rename it, or name another folder for its labs with --in FOLDER",
        )
    return file.with_suffix("")


def _rows(shown: Forecast) -> Iterator[tuple[object, ...]]:
    for cell in shown.standing.plan.cells:
        if cell.lacking:
            yield cell.lab.name, cell.name, 0, 0, "skipped", cell.lacking
            continue
        time = shown.of(cell)
        takes = f"{'up to' if time.is_limit else 'about'} {duration(round(time.seconds))}"
        done = shown.standing.done(cell)
        yield cell.lab.name, cell.name, shown.standing.plan.repeat, done, takes, time.source_in_words


def _summary(shown: Forecast) -> str:
    """How many labs, cells and runs there are, how many runs are still to be played, and how long these take."""
    standing = shown.standing
    sizes = f"{counted(len(standing.plan.labs), 'lab')}, {counted(len(standing.plan.cells), 'cell')}"
    skipped = len(standing.plan.cells) - len(standing.plan.playable)
    if skipped:
        sizes += f" ({skipped} skipped)"
    if not standing.pending_count:
        return f"{sizes}: all {counted(standing.planned_count, 'run')} are complete"
    left = f"{standing.pending_count} of {counted(standing.planned_count, 'run')} to play"
    labs = f"{counted(len(standing.pending), 'lab')} to build"
    at_once = min(shown.at_once, len(standing.pending))
    if at_once > 1:
        labs += f", {at_once} at once"
    return f"{sizes}: {left}, {labs}. Time: {shown.total}"
