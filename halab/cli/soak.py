"""`halab soak`: random faults on the lab, round after round, until the time is over or a round fails."""

from __future__ import annotations

import secrets
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo
from halab.cli.options import file_option, json_option, lab_dir_of

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignOutcome, CampaignRun


@click.command("soak")
@file_option
@click.option(
    "--for", "duration", metavar="TIME", required=True,
    help="Run rounds for this time, such as 30m or 2h; the last one is played to its end.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0),
    help="Use this seed. The same command on the same lab, with the same seed and the same version of halab, has "
    "the same rounds.",
)  # fmt: skip
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME", help="Inject only this fault (repeatable).",
)  # fmt: skip
@click.option(
    "--most-faults", type=click.IntRange(1, 9), default=3, show_default=True,
    help="Inject at most this many faults in a round.",
)  # fmt: skip
@json_option
def soak_command(
    file: Path, duration: str, seed: int | None, faults: tuple[str, ...], most_faults: int, as_json: bool
) -> int:
    """Inject random faults, round after round, and check after each round that the data is safe.

    A round hits no more machines than the lab may lose: etcd keeps its majority, and one API server stays. It is played
    as a scenario, whose steps the seed draws. It fails if an acknowledged write is lost, if the etcd members hold
    different data, if a revision falls, if a resumed watch misses a write or reports it twice, if reads and writes of a
    few keys are not linearizable (checked if the host has Go), if a fault has no effect, or if the lab is not steady
    within 8 minutes.

    The soak ends with the first round that fails. Its scenario is in the folder of the run, and halab prints the
    command that plays it again. A round that ends in an error is no failure: halab repairs the lab and goes on. After
    three such rounds in a row, the soak ends, too. Exit code: 0 all rounds passed, 1 one failed, 3 a round ended in an
    error, 130 interrupted. If several apply, 130 takes precedence over 3, and 3 over 1.

    \b
    Example:
      halab soak --for 2h
      halab soak --for 30m --seed 42 --fault kill-process --fault partition
    """
    from halab.campaign.outcome import write_overview
    from halab.cli.console import progress
    from halab.cli.fault import print_open_faults
    from halab.cli.run import exit_code_of
    from halab.cli.verdicts import print_result, print_results
    from halab.config.quantities import seconds_of
    from halab.soak.play import choices_of, play

    try:
        seconds = seconds_of(duration)
    except ValueError as error:
        raise click.UsageError(f"--for: {error}") from error
    lab_dir = lab_dir_of(file)
    seed = secrets.randbelow(10**6) if seed is None else seed
    shown = progress()

    def show(run: CampaignRun) -> None:
        if not as_json:
            print_result(run.folder, run.result)

    choices = choices_of(lab_dir, shown, faults, seed=seed, most_faults=most_faults)
    shown.say(f"soak for {duration} with seed {seed}")
    outcome = play(lab_dir, choices, shown, seed=seed, seconds=seconds, on_run=show)
    if outcome.was_interrupted:
        print_open_faults(lab_dir)
    if not choices.linearizable:
        echo("no round has looked for stale reads: this host cannot check them", err=True)
    if as_json:
        print_results([(run.folder, run.result) for run in outcome.runs])
    if outcome.needs_overview:
        echo(f"report of all rounds: {write_overview(lab_dir, outcome)}", err=True)
    _say_how_to_repeat(outcome)
    return exit_code_of(outcome, [str(run.result.verdict) for run in outcome.runs])


def _say_how_to_repeat(outcome: CampaignOutcome) -> None:
    from halab.config.twin import Verdict

    for number, run in enumerate(outcome.runs, 1):
        if run.result.verdict is Verdict.FAIL:
            words = ["halab", "run", str(run.folder.scenario), "--seed", str(run.planned.seed)]
            echo(f"round {number} failed; to play it again: {shlex.join(words)}", err=True)
            echo(f"to make it smaller: {shlex.join(['halab', 'shrink', str(run.folder.path)])}", err=True)
