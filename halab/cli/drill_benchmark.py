"""`halab drill benchmark`: a program as the learner."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.complete import drill_names
from halab.cli.console import duration, echo, table
from halab.cli.drill_prove import reset_named, seed_option
from halab.cli.options import file_option, json_option, lab_dir_of, print_json
from halab.errors import afterwards

if TYPE_CHECKING:
    from halab.drill.benchmark import ResponderAttempt

_MARKS = {"pass": "✓", "fail": "✗", "error": "?", "skip": "-"}


@click.command("benchmark")
@file_option
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=drill_names)
@click.option(
    "--responder", required=True, metavar="COMMAND",
    help="Run this command for each attempt.",
)  # fmt: skip
@click.option(
    "--attempts", "count", type=click.IntRange(1, 1000), default=1, show_default=True,
    help="Run each drill this many times.",
)  # fmt: skip
@click.option("--limit", default="15m", show_default=True, help="Stop the responder after this time.")
@seed_option
@json_option
def benchmark(
    file: Path, names: Sequence[str], responder: str, count: int, limit: str, seed: int | None, as_json: bool
) -> int:
    """Run a program (the responder) that attempts drills, and grade it like a learner.

    For each attempt, halab restores the lab, breaks it and runs the responder in the folder of the lab. The responder
    gets the situation and the tasks as JSON on standard input. When it exits, or after the limit, halab grades what is
    done. With --seed, the attempts use that seed and the following ones. Drills that this lab cannot run are skipped.
    Exit code: 0 every attempt passed, 1 one failed, 3 one could not be started or graded, or all drills were skipped.

    \b
    Example:
      halab drill benchmark --responder ./responder.sh does-not-come-back
      halab drill benchmark --responder 'python agent.py' --attempts 5 --json unreachable-api does-not-come-back
    """
    from halab.cli.console import progress
    from halab.cli.verdicts import exit_code
    from halab.config.quantities import seconds_of
    from halab.drill import benchmark as benchmarking

    try:
        command = shlex.split(responder)
    except ValueError as error:
        raise click.UsageError(f"--responder: {error}") from error
    try:
        limit_seconds = seconds_of(limit)
    except ValueError as error:
        raise click.UsageError(f"--limit: {error}") from error
    if not command or limit_seconds == 0:
        raise click.UsageError("--responder needs a command, and --limit a time above 0")
    lab_dir = lab_dir_of(file)

    program = benchmarking.Responder(command, limit_seconds)
    program.require(lab_dir)
    made: list[ResponderAttempt] = []

    def show() -> None:
        if as_json and made:
            print_json([benchmarking.as_data(each) for each in made])
        elif made:
            _print_scores(made)

    # after Ctrl-C or an error, too: an attempt takes minutes
    with reset_named(lab_dir), afterwards(show):
        for each in benchmarking.benchmark(
            lab_dir, names, program.respond, progress(), count=count, seed=seed
        ):
            made.append(each)
            if not as_json:
                echo("\n".join(_lines(each)), err=True)
    return exit_code([str(each.verdict) for each in made])


def _lines(each: ResponderAttempt) -> Iterator[str]:
    """One attempt: its verdict and score, and where the output of the responder is."""
    from halab.drill import briefing

    outcome, response = each.outcome, each.response
    verdict = "skipped" if each.skipped else briefing.VERDICTS[each.verdict]
    score = f", {outcome.score} % after {duration(outcome.seconds)}" if outcome else ""
    yield f"{_MARKS[each.verdict]} {each.drill} (seed {each.seed}): {verdict}{score}"
    if each.reason:
        yield f"    {each.reason}"
    if response:
        ended = (
            "was stopped after its time limit"
            if response.code is None
            else f"exited with code {response.code}"
        )
        yield f"    the responder {ended}: {response.log}"


def _print_scores(made: Sequence[ResponderAttempt]) -> None:
    from halab.drill.benchmark import scores

    table(
        ["DRILL", "ATTEMPTS", "PASSED", "NOT GRADED", "MEDIAN SCORE", "MEDIAN TIME"],
        [
            (score.drill, score.attempts, score.passed, score.errors,
             "-" if score.median_score is None else f"{score.median_score:g} %",
             "-" if score.median_seconds is None else duration(score.median_seconds))
            for score in scores(made)
        ],
    )  # fmt: skip
