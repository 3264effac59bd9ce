"""Verbs that play scenarios: `run` judges the lab, `prove` judges the scenarios."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.complete import scenario_names, tags
from halab.cli.console import echo, echo_as_it_is
from halab.cli.fault import say_what_is_open
from halab.cli.lab import file_option, json_option, place_of, print_json
from halab.errors import HalabError

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignOutcome, CampaignRun
    from halab.scenario.run.library import Script


@dataclass(frozen=True)
class Choice:
    """What both verbs take: what is played, and how a campaign goes on."""

    file: Path
    names: tuple[str, ...]
    run_all: bool
    tags: tuple[str, ...]
    seed: int | None
    fail_fast: bool
    keep: bool
    as_json: bool


_OPTIONS = (
    file_option,
    click.argument("names", nargs=-1, shell_complete=scenario_names),
    click.option("--all", "run_all", is_flag=True, help="Every scenario that halab carries, in a random order."),
    click.option("--tag", "tags", multiple=True, shell_complete=tags, help="Those with a tag; again for more."),
    click.option("--seed", type=click.IntRange(min=0), help="Decides the order, and among equal targets."),
    click.option("--fail-fast", is_flag=True, help="End after the first that does not end as it should."),
    click.option("--keep", is_flag=True, help="End, and repair nothing, when one leaves the lab broken."),
    json_option,
)  # fmt: skip


def _choosing(command: Callable[..., int]) -> Callable[..., int]:
    """Gives a verb these options, as one Choice before its own."""

    @functools.wraps(command)
    def chosen(
        file: Path,
        names: tuple[str, ...],
        run_all: bool,
        tags: tuple[str, ...],
        seed: int | None,
        fail_fast: bool,
        keep: bool,
        as_json: bool,
        **own: Any,
    ) -> int:
        return command(Choice(file, names, run_all, tags, seed, fail_fast, keep, as_json), **own)

    return functools.reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), chosen)


@click.command("run")
@_choosing
@click.option(
    "--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Play all so many times."
)
@click.option("--twin", is_flag=True, help="Run the losing twin instead: its verdict must not be pass.")
def run_command(choice: Choice, repeat: int, twin: bool) -> int:
    """Run scenarios on the lab: by name, by tag, or a file of your own.

    A lab that one of them leaves broken is mended before the next: healed, switched on, put back, or rebuilt. More
    than one run makes one report of all of them. Exit code: 0 all passed, 1 one failed, 3 a run ended in an error or
    nothing ran, 130 interrupted; of several, 130 before 3 before 1.

    \b
    Example:
      halab run kill-etcd-member stop-apiserver
      halab run ./mine.yml --repeat 5
      halab run --all --seed 42
    """
    from halab.cli.verdicts import print_result, print_results

    def show(run: CampaignRun) -> None:
        print_result(run.folder, run.result)

    played = _play(choice, show, repeat=repeat, twin=twin)
    if choice.as_json:
        print_results([(run.folder, run.result) for run in played.runs])
    return _ended(played, [str(run.result.verdict) for run in played.runs])


@click.command("prove")
@_choosing
def prove_command(choice: Choice) -> int:
    """Prove that scenarios can lose: run the losing twin of each.

    Succeeds only where each verdict is the one that the twin promises. Exit code: 0 all lost as promised, 1 a twin did
    not, 3 a run ended in an error or nothing ran, 130 interrupted; of several, 130 before 3 before 1.

    \b
    Example:
      halab prove kill-etcd-member
      halab prove --all
    """
    from halab.cli.verdicts import Proof, print_proof

    def show(run: CampaignRun) -> None:
        print_proof(Proof(run), run.folder)

    played = _play(choice, show, twin=True, proving=True)
    proofs = [Proof(run) for run in played.runs]
    if choice.as_json:
        print_json([proof.as_json() for proof in proofs])
    return _ended(played, [proof.verdict for proof in proofs])


def _play(
    choice: Choice,
    show: Callable[[CampaignRun], None],
    *,
    repeat: int = 1,
    twin: bool = False,
    proving: bool = False,
) -> CampaignOutcome:
    """Play what was chosen, and show each run as soon as it has ended; JSON is printed at the end."""
    from halab.campaign.outcome import write_overview
    from halab.campaign.plan import announcement, planned_runs
    from halab.campaign.play import CampaignOptions, as_halab_error, play
    from halab.cli.console import progress
    from halab.report import table

    place = place_of(choice.file)
    scripts = scripts_of(choice)
    seed = secrets.randbelow(10**6) if choice.seed is None else choice.seed
    planned = planned_runs(scripts, seed, repeat=repeat, twin=twin, shuffled=not choice.names)
    shown = progress()
    if len(planned) > 1:
        shown.say(announcement(planned, seed, place.written.patience))
    options = CampaignOptions(choice.fail_fast, choice.keep, proving)
    played = play(
        place, planned, shown, options, seed=seed, on_run=(lambda run: None) if choice.as_json else show
    )
    if played.was_interrupted:
        say_what_is_open(place)
    if played.needs_overview:
        try:
            page = write_overview(place, played)
        except (HalabError, OSError) as error:
            played.error = played.error or as_halab_error(error)
            return played
        if not choice.as_json:
            echo_as_it_is(table.overview(played.campaign))
        echo(f"report of all: {page}", err=True)
    return played


def scripts_of(choice: Choice) -> list[Script]:
    """The scenarios that are asked for: by name, or all, or by tag."""
    from halab.config.loading import nearest
    from halab.errors import BadUsage
    from halab.scenario.run import library

    given = {"names": choice.names, "--all": choice.run_all, "--tag": choice.tags}
    ways = [way for way, value in given.items() if value]
    if not ways:
        hint = "name one (`halab scenarios` lists them), or give --tag or --all"
        raise BadUsage("no scenario named", hint=hint)
    if len(ways) > 1:
        raise BadUsage(f"give one of {', '.join(ways)}, not several")
    scripts = library.find_all(choice.names or library.names())
    known = sorted({tag for script in scripts for tag in script.scenario.tags})
    for tag in choice.tags:
        if tag not in known:
            raise BadUsage(f"no scenario has the tag {tag}{nearest(tag, known)}")
    return [each for each in scripts if not choice.tags or set(choice.tags) & set(each.scenario.tags)]


def _ended(played: CampaignOutcome, verdicts: Sequence[str]) -> int:
    """The exit code of a campaign. The error that ended it early is raised, to be shown."""
    from halab.cli.verdicts import exit_code

    if played.was_interrupted:
        echo("halab: interrupted", err=True)
    elif played.error:
        raise played.error
    return exit_code(verdicts, was_interrupted=played.was_interrupted)
