"""`halab drill prove`: drills can be solved, and wrong attempts at them fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.complete import drill_names
from halab.cli.console import echo
from halab.cli.options import file_option, json_option, lab_dir_of, print_json
from halab.errors import HalabError, afterwards

if TYPE_CHECKING:
    from halab.drill.prove import Proof
    from halab.lifecycle.lab import LabDir

seed_option = click.option(
    "--seed", type=click.IntRange(min=0), help="Use this seed to choose machines and values."
)


@click.command("prove")
@file_option
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=drill_names)
@click.option("--all", "is_all", is_flag=True, help="Check all drills that come with halab.")
@seed_option
@click.option(
    "--times",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Run the solution this many times, each time on a restored lab.",
)
@json_option
def prove(
    file: Path, names: Sequence[str], is_all: bool, seed: int | None, times: int, as_json: bool
) -> int:
    """Check that drills can be solved and that wrong attempts fail (for authors of drills).

    For each attempt, the lab is restored and broken. After the break, no task may be done; the solution must pass,
    and wrong attempts must fail. halab must see each entry of `fail_if` in one of the wrong attempts. Drills that this
    lab cannot run are skipped. Exit code: 0 all drills are good, 1 one is not, 3 error, or all were skipped.

    \b
    Example:
      halab drill prove ./mine.yml
      halab drill prove unreachable-api does-not-come-back
      halab drill prove --all
    """
    from halab.cli.console import progress
    from halab.cli.verdicts import exit_code
    from halab.drill import library
    from halab.drill import prove as proving

    if bool(names) == is_all:
        raise click.UsageError("name drills, or use --all")
    lab_dir = lab_dir_of(file)
    proofs: list[Proof] = []

    def show() -> None:
        if as_json and proofs:
            print_json([_as_data(proof) for proof in proofs])

    # after Ctrl-C or an error, too: a proof takes minutes
    with reset_named(lab_dir), afterwards(show):
        for proof in proving.prove_all(
            lab_dir, names or library.names(), progress(), seed=seed, times=times
        ):
            proofs.append(proof)
            if not as_json:
                echo("\n".join(_lines(proof)))
    return exit_code([str(proof.verdict) for proof in proofs])


def _lines(proof: Proof) -> Iterator[str]:
    """The attempts of a drill with their tasks, below the drill and its verdict."""
    marks = {"pass": "✓", "skip": "-"}
    yield f"{marks.get(proof.verdict, '✗')} {proof.drill} (seed {proof.seed}): {proof.verdict}"
    if proof.reason:
        yield f"    {proof.reason}"
    for trial in proof.trials:
        yield f"  {'✗' if trial.problem else '✓'} {trial.name}: {trial.grade.score} %"
        if trial.problem:
            yield f"      {trial.problem}"
        for task in trial.grade.tasks:
            yield f"      {task.name}: {task.state}{f' ({task.seen})' if task.seen else ''}"
        for name, sighting in trial.grade.violations.items():
            yield f"      {name}: {sighting.state}{f' ({sighting.seen})' if sighting.seen else ''}"


def _as_data(proof: Proof) -> dict[str, object]:
    from dataclasses import asdict

    from halab.drill import proof_record

    return asdict(proof_record.draw_of(proof))


@contextmanager
def reset_named(lab_dir: LabDir) -> Iterator[None]:
    """If the command fails or is interrupted while the lab is not restored, name the command that does it."""
    try:
        yield
    except BaseException as error:
        is_named = isinstance(error, HalabError) and "halab drill reset" in (error.hint or "")
        if lab_dir.work.has_drill and not is_named:
            echo("`halab drill reset` ends the drill and restores the lab", err=True)
        raise
