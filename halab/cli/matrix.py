"""`halab matrix`: scenarios on many labs, which differ in some settings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import duration, echo, table
from halab.cli.options import CommandGroup, json_option, print_json
from halab.printable import counted

if TYPE_CHECKING:
    from halab.matrix.forecast import Forecast

matrix_argument = click.argument("file", type=click.Path(path_type=Path), default="matrix.yml")
folder_option = click.option(
    "--in", "folder", type=click.Path(path_type=Path),
    help="Use this folder for the labs, the runs and the report.  [default: FILE without .yml]",
)  # fmt: skip


@click.group("matrix", cls=CommandGroup)
def matrix_command() -> None:
    """Show what scenarios on many labs take, which differ in some settings.

    A matrix is a file. Its axes are settings of the lab file beside it, and each combination of their values is a lab.
    A cell is one scenario on one lab. In an empty file, the lab beside it runs the scenarios tagged `first`.

    \b
    Example:
      halab matrix plan matrix.yml
    """


@matrix_command.command("plan")
@matrix_argument
@folder_option
@json_option
def plan_command(file: Path, folder: Path | None, as_json: bool) -> None:
    """Show the cells of a matrix, and how long each takes. Nothing is built.

    The times come from recorded runs: those of this matrix, and those of the lab beside it. The last column says from
    which. For a scenario that was never run, it is an estimate: the sum of its limits. A run without problems takes a
    fraction of it.

    \b
    Example:
      halab matrix plan matrix.yml
      halab matrix plan matrix.yml --json
    """
    from halab.matrix import forecast

    shown = forecast.of(file, folder or folder_of(file))
    if as_json:
        print_json(forecast.as_data(shown))
        return
    table(["LAB", "SCENARIO", "RUNS", "DONE", "EACH TAKES", "FROM"], list(_rows(shown)))
    for change in shown.standing.changes():
        echo(f"changed since the last run: {change}", err=True)
    echo(f"\n{summary(shown)}")


def folder_of(file: Path) -> Path:
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
        time = shown.of(cell)
        takes = f"{'up to' if time.is_limit else 'about'} {duration(round(time.seconds))}"
        done = shown.standing.done(cell)
        yield cell.lab.name, cell.script.name, shown.standing.plan.repeat, done, takes, time.source_in_words


def summary(shown: Forecast) -> str:
    """How many labs, cells and runs there are, how many runs are still to be played, and how long these take."""
    standing = shown.standing
    sizes = f"{counted(len(standing.plan.labs), 'lab')}, {counted(len(standing.plan.cells), 'cell')}"
    if not standing.pending_count:
        return f"{sizes}: all {counted(standing.planned_count, 'run')} are complete"
    left = f"{standing.pending_count} of {counted(standing.planned_count, 'run')} to play"
    labs = f"{counted(len(standing.pending), 'lab')} to build"
    return f"{sizes}: {left}, {labs}. Time: {shown.total}"
