"""Verbs that break the lab and say what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.lab import file_option, json_option, place_of, print_json

if TYPE_CHECKING:
    from halab.scenario.folder import RunFolder
    from halab.scenario.result import Result

_INTERRUPTED = 130


@click.command("scenarios")
@json_option
def scenarios_command(as_json: bool) -> None:
    """List the scenarios that halab carries.

    \b
    Example:
      halab scenarios
    """
    from halab.cli.console import table
    from halab.scenario import library

    found = [library.find(name) for name in library.names()]
    if as_json:
        print_json([{"name": each.name, "title": each.scenario.title, "tags": list(each.scenario.tags),
                     "teaches": each.scenario.teaches} for each in found])  # fmt: skip
    else:
        table(
            ["NAME", "TITLE", "TAGS"],
            [(s.name, s.scenario.title, ", ".join(s.scenario.tags)) for s in found],
        )


@click.command("run")
@file_option
@click.argument("names", nargs=-1)
@click.option("--all", "run_all", is_flag=True, help="Every scenario that halab carries.")
@click.option("--twin", is_flag=True, help="Run the losing twin instead: its verdict must not be pass.")
@click.option("--seed", type=int, help="Decides among equal targets; every run prints its own.")
@json_option
def run_command(
    file: Path, names: tuple[str, ...], run_all: bool, twin: bool, seed: int | None, as_json: bool
) -> int:
    """Run scenarios on the lab: by name, or a file of your own.

    Exit code: 0 all passed, 1 one failed, 3 nothing was learned, 130 interrupted.

    \b
    Example:
      halab run kill-etcd-member stop-apiserver
      halab run ./mine.yml
    """
    from halab.cli.console import progress
    from halab.errors import BadUsage
    from halab.report.playing import play
    from halab.scenario import library

    if not names and not run_all:
        raise BadUsage("no scenario named", hint="name one (`halab scenarios` lists them), or give --all")
    scripts = [library.find(name) for name in (library.names() if run_all else names)]
    played = play(place_of(file), scripts, progress(), seed=seed, twin=twin)
    code = _show(played.runs, as_json)
    return _INTERRUPTED if played.was_interrupted else code


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def report_command(folder: Path, as_json: bool) -> int:
    """Judge a recorded run again and write its report anew; no lab is needed.

    \b
    Example:
      halab report .halab/runs/20261123-101500-stop-apiserver
    """
    from halab.report.render import render
    from halab.scenario.folder import RunFolder

    run = RunFolder.existing(folder)
    return _show([(run, render(run))], as_json)


@click.command("heal")
@file_option
def heal_command(file: Path) -> int:
    """Undo every fault that a killed run has left open.

    \b
    Example:
      halab status || halab heal
    """
    from halab.cli.console import progress
    from halab.scenario import session

    failed = session.heal(place_of(file), progress())
    for entry, error in failed:
        click.echo(f"not healed: {entry}: {error.message}", err=True)
    return 3 if failed else 0


def _show(runs: Sequence[tuple[RunFolder, Result]], as_json: bool) -> int:
    """Print what came of runs; the exit code that they make together."""
    import json

    from halab.report import table

    if as_json:
        click.echo(
            json.dumps(
                [{"folder": str(run.path), **json.loads(result.to_json())} for run, result in runs], indent=2
            )
        )
    else:
        for run, result in runs:
            click.echo(table.text(result))
            click.echo(f"report: {run.page}\n", err=True)
    return exit_code([str(result.verdict) for _, result in runs])


def exit_code(verdicts: Sequence[str]) -> int:
    """0 all passed, 3 an error or nothing ran, 1 a scenario failed; an error wins over a failure."""
    if "error" in verdicts or not set(verdicts) - {"skip"}:
        return 3
    return 1 if "fail" in verdicts else 0
