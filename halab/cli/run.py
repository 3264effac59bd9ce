"""Verbs that play scenarios: `run` judges the lab, `prove` judges the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from halab.cli.complete import scenario_names, tags
from halab.cli.lab import file_option, json_option, place_of

if TYPE_CHECKING:
    from halab.report.played import Played, Run
    from halab.report.playing import Manner
    from halab.scenario.library import Script

_INTERRUPTED = 130
_ERROR = 3
_FAILED = 1

Command = TypeVar("Command", bound=Callable[..., Any])


def _choice(command: Command) -> Command:
    """The arguments and options that say what is played, and how a campaign goes on."""
    for decorate in reversed((
        file_option,
        click.argument("names", nargs=-1, shell_complete=scenario_names),
        click.option("--all", "run_all", is_flag=True, help="Every scenario that halab carries, in a random order."),
        click.option("--tag", "wanted", multiple=True, shell_complete=tags, help="Those with a tag; again for more."),
        click.option("--seed", type=click.IntRange(min=0), help="Decides the order, and among equal targets."),
        click.option("--fail-fast", is_flag=True, help="End after the first that does not end as it should."),
        click.option("--keep", is_flag=True, help="End, and repair nothing, when one leaves the lab broken."),
        json_option,
    )):  # fmt: skip
        command = decorate(command)
    return command


@click.command("run")
@_choice
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Play all so many times."
)
@click.option("--twin", is_flag=True, help="Run the losing twin instead: its verdict must not be pass.")
def run_command(
    file: Path,
    names: tuple[str, ...],
    run_all: bool,
    wanted: tuple[str, ...],
    seed: int | None,
    fail_fast: bool,
    keep: bool,
    as_json: bool,
    repeat: int,
    twin: bool,
) -> int:
    """Run scenarios on the lab: by name, by tag, or a file of your own.

    A lab that one of them leaves broken is mended before the next: healed, switched on, or rebuilt. More than one run
    makes one report of all of them. Exit code: 0 all passed, 1 one failed, 3 nothing was learned, 130 interrupted.

    \b
    Example:
      halab run kill-etcd-member stop-apiserver
      halab run ./mine.yml --repeat 5
      halab run --all --seed 42
    """
    from halab.cli.verdicts import exit_code, print_result, print_results
    from halab.report.playing import Manner

    def ended(run: Run) -> None:
        # what is printed as JSON is printed at the end
        if not as_json:
            print_result(run.folder, run.result)

    manner = Manner(fail_fast, keep, ended=ended)
    played = _play(file, names, run_all, wanted, seed, manner, repeat=repeat, twin=twin)
    if as_json:
        print_results([(run.folder, run.result) for run in played.runs])
    return _ended(played, exit_code([str(run.result.verdict) for run in played.runs]))


@click.command("prove")
@_choice
def prove_command(
    file: Path,
    names: tuple[str, ...],
    run_all: bool,
    wanted: tuple[str, ...],
    seed: int | None,
    fail_fast: bool,
    keep: bool,
    as_json: bool,
) -> int:
    """Prove that scenarios can lose: run the losing twin of each.

    Succeeds only where each verdict is the one that the twin promises. Exit code: 0 all lost as promised, 1 one did
    not, 3 nothing was learned, 130 interrupted.

    \b
    Example:
      halab prove kill-etcd-member
      halab prove --all
    """
    from halab.cli.lab import print_json
    from halab.cli.verdicts import Proof, print_proof
    from halab.report.playing import Manner

    def ended(run: Run) -> None:
        if not as_json:
            print_proof(Proof(run), run.folder)

    manner = Manner(fail_fast, keep, proving=True, ended=ended)
    played = _play(file, names, run_all, wanted, seed, manner, twin=True)
    proofs = [Proof(run) for run in played.runs]
    if as_json:
        print_json([proof.as_json() for proof in proofs])
    if any(proof.holds is False for proof in proofs):
        return _ended(played, _FAILED)
    return _ended(played, 0 if any(proof.holds for proof in proofs) else _ERROR)


def _play(
    file: Path,
    names: Sequence[str],
    run_all: bool,
    wanted: Sequence[str],
    seed: int | None,
    manner: Manner,
    *,
    repeat: int = 1,
    twin: bool = False,
) -> Played:
    import secrets

    from halab.cli.console import progress
    from halab.report.played import merge
    from halab.report.playing import play
    from halab.report.turn import announcement, turns

    place = place_of(file)
    scripts = chosen(names, run_all, wanted)
    decided = secrets.randbelow(10**6) if seed is None else seed
    planned = turns(scripts, decided, repeat=repeat, twin=twin, shuffled=not names)
    show = progress()
    if len(planned) > 1:
        show.say(announcement(planned, decided, place.written.patience))
    played = play(place, planned, show, manner, seed=decided)
    page = merge(place, played)
    if page:
        show.say(f"report of all: {page}")
    return played


def chosen(names: Sequence[str], run_all: bool, wanted: Sequence[str]) -> list[Script]:
    """The scenarios that are asked for: by name, or all, or by tag."""
    from halab.config.loading import nearest
    from halab.errors import BadUsage
    from halab.scenario import library

    ways = [word for word, given in (("names", names), ("--all", run_all), ("--tag", wanted)) if given]
    if not ways:
        hint = "name one (`halab scenarios` lists them), or give --tag or --all"
        raise BadUsage("no scenario named", hint=hint)
    if len(ways) > 1:
        raise BadUsage(f"give one of {' and '.join(ways)}, not both")
    scripts = [library.find(name) for name in (names or library.names())]
    if not wanted:
        return scripts
    known = sorted({tag for script in scripts for tag in script.scenario.tags})
    for tag in wanted:
        if tag not in known:
            hint = f"the tags are {', '.join(known)}"
            raise BadUsage(f"no scenario has the tag {tag}{nearest(tag, known)}", hint=hint)
    return [script for script in scripts if set(wanted) & set(script.scenario.tags)]


def _ended(played: Played, code: int) -> int:
    """The exit code of a campaign: 130 before 3 before 1. What ended it before its time is raised, to be shown."""
    if played.was_interrupted:
        return _INTERRUPTED
    if played.ended_by:
        raise played.ended_by
    return code
