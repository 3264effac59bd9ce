"""`halab shrink`: a smaller scenario that fails in the same way."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.console import echo, echo_raw
from halab.cli.options import file_option, json_option, lab_dir_of, print_json, rule_of
from halab.errors import ExitCode
from halab.printable import counted

if TYPE_CHECKING:
    from halab.shrink.candidate import Candidate
    from halab.shrink.session import Shrinking


@click.command("shrink")
@file_option
@click.argument("what", metavar="RUN|SCENARIO")
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, show_default=True,
    help="Run each smaller scenario up to this many times.",
)  # fmt: skip
@click.option(
    "--at-least", type=click.IntRange(min=1), default=1, show_default=True,
    help="Take a smaller scenario if it fails in at least this many runs.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0),
    help="Use this seed to choose random targets.  [default: that of the run]",
)  # fmt: skip
@click.option(
    "--in", "folder", type=click.Path(path_type=Path),
    help="Use this folder for the log and the result.  [default: ./shrink-SCENARIO]",
)  # fmt: skip
@json_option
def shrink_command(
    file: Path,
    what: str,
    repeat: int,
    at_least: int,
    seed: int | None,
    folder: Path | None,
    as_json: bool,
) -> int:
    """Find a smaller scenario that fails in the same way: fewer faults, fewer steps, shorter waits.

    The argument is the folder of a failed run, or a scenario. halab plays it again and then tries smaller scenarios on
    the lab, until no fault and no step can be left out, and no wait can be halved. A smaller one counts only if it
    breaks one of the promises that the run broke. A run that ends in an error is no answer: halab repairs the lab, and
    the run takes place again. Every run is in a log: after an interruption, the same command goes on from there.

    The result is a scenario file, with the seed and the figures in a comment. Exit code: 0 a scenario was made, 3 the
    given one did not fail often enough, 130 interrupted.

    \b
    Example:
      halab shrink .halab/runs/20261130-041500-soak-42-7
      halab shrink ./mine.yml --repeat 5 --at-least 2
    """
    import hashlib

    from halab.cli.console import progress
    from halab.shrink.play import start_of, test, write
    from halab.shrink.session import Shrinking, planned_seed
    from halab.trials.log import locked

    rule, lab_dir, shown = rule_of(repeat, at_least, "fail"), lab_dir_of(file), progress()
    start = start_of(what)
    folder = folder or Path(f"shrink-{start.script.name}")
    with locked(folder):
        given = (seed, start.seed, planned_seed(folder), secrets.randbelow(10**6))
        chosen = next(number for number in given if number is not None)
        lab = hashlib.sha256(lab_dir.content).hexdigest()
        shrinking = Shrinking(
            start.candidate, start.promises, rule, chosen, folder, lab=lab, scenario=start.script.digest
        )
        if shrinking.runs:
            shown.say(f"go on with {shrinking.path}: {counted(len(shrinking.runs), 'run')} so far")

        def play(candidate: Candidate, is_enough: Callable[[], bool]) -> None:
            test(shrinking, candidate, start.script, lab_dir, shown, is_enough)

        try:
            smallest = shrinking.run(play, shown)
        except KeyboardInterrupt:
            shown.say("the same command goes on from here")
            raise
        result = folder / f"{start.script.name}.yml"
        if smallest:
            write(shrinking, smallest, start.script, what, result)
    if as_json:
        print_json(_as_data(shrinking, smallest, result))
    elif smallest:
        echo_raw(result.read_text())
        echo(f"written: {result}", err=True)
    else:
        echo(f"the scenario did not fail often enough: {shrinking.in_words(shrinking.start)}", err=True)
    return ExitCode.PASSED if smallest else ExitCode.ERROR


def _as_data(shrinking: Shrinking, smallest: Candidate | None, result: Path) -> dict[str, Any]:
    return {
        "file": str(result) if smallest else None,
        "seed": shrinking.seed,
        "promises": list(shrinking.promises),
        "faults": len(smallest.faults) if smallest else None,
        "steps": len(smallest.steps) if smallest else None,
        "faults_before": len(shrinking.start.faults),
        "steps_before": len(shrinking.start.steps),
        "scenarios": shrinking.tried,
        "runs": len(shrinking.runs),
        "log": str(shrinking.path),
    }
