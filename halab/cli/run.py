"""Commands that run scenarios: `run` judges the lab, `prove` judges the scenarios."""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.complete import scenario_names, tags
from halab.cli.console import echo, echo_raw
from halab.cli.fault import print_open_faults
from halab.cli.options import file_option, json_option, lab_dir_of, print_json
from halab.errors import HalabError

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignOutcome, CampaignRun
    from halab.scenario.run.library import Script


@dataclass(frozen=True)
class Choice:
    """Options of both commands: which scenarios to run and how to continue after each."""

    file: Path
    names: tuple[str, ...]
    run_all: bool
    tags: tuple[str, ...]
    seed: int | None
    fail_fast: bool
    keep: bool
    as_json: bool


# Options that select scenarios, as parameters `names`, `run_all`, `tags` and `seed`.
SELECTION = (
    click.argument("names", nargs=-1, shell_complete=scenario_names),
    click.option("--all", "run_all", is_flag=True, help="Run every built-in scenario in random order."),
    click.option(
        "--tag", "tags", multiple=True, shell_complete=tags, help="Run scenarios with this tag (repeatable)."
    ),
    click.option(
        "--seed", type=click.IntRange(min=0), help="Use this seed for the order and to choose random targets."
    ),
)  # fmt: skip

_OPTIONS = (
    file_option,
    *SELECTION,
    click.option("--fail-fast", is_flag=True, help="Stop at the first unexpected verdict."),
    click.option("--keep", is_flag=True, help="Stop without repairing if a scenario leaves the lab broken."),
    json_option,
)  # fmt: skip


def _choosing(command: Callable[..., int]) -> Callable[..., int]:
    """Add the common options to a command, which gets them as one Choice before its own options."""

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
    "--repeat", type=click.IntRange(min=1), default=1, show_default=True,
    help="Run the selection this many times.",
)  # fmt: skip
@click.option(
    "--twin",
    is_flag=True,
    help="Run the losing twin instead, which must not pass. A twin that fails as declared gives exit code 1 here, "
    "and 0 with `halab prove`.",
)
def run_command(choice: Choice, repeat: int, twin: bool) -> int:
    """Run scenarios on the lab, selected by name, by file or by tag.

    If a scenario leaves the lab broken, halab repairs the lab before the next one: it heals faults, starts machines,
    restores the snapshot or rebuilds the lab. Several runs get one common report. Exit code: 0 all passed, 1 one
    failed, 3 a run ended in an error or nothing ran, 130 interrupted. If several apply, 130 takes precedence
    over 3, and 3 over 1.

    \b
    Example:
      halab run kill-etcd-member stop-apiserver
      halab run ./mine.yml --repeat 5
      halab run --all --seed 42
    """
    from halab.cli.verdicts import print_result, print_results

    def show(run: CampaignRun) -> None:
        print_result(run.folder, run.result)

    outcome = run_campaign(choice, show, repeat=repeat, twin=twin)
    if choice.as_json:
        print_results([(run.folder, run.result) for run in outcome.runs])
    return exit_code_of(outcome, [str(run.result.verdict) for run in outcome.runs])


@click.command("prove")
@_choosing
def prove_command(choice: Choice) -> int:
    """Run the losing twins of scenarios to prove that the scenarios can fail.

    The command succeeds only if every run ends with the verdict that its twin declares. Exit code: 0 all ended as
    declared, 1 one did not, 3 a run ended in an error or nothing ran, 130 interrupted. If several apply, 130 takes
    precedence over 3, and 3 over 1.

    \b
    Example:
      halab prove kill-etcd-member
      halab prove --all
    """
    from halab.cli.verdicts import Proof, print_proof

    def show(run: CampaignRun) -> None:
        print_proof(Proof(run), run.folder)

    outcome = run_campaign(choice, show, twin=True, proving=True)
    proofs = [Proof(run) for run in outcome.runs]
    if choice.as_json:
        print_json([proof.as_json() for proof in proofs])
    return exit_code_of(outcome, [proof.verdict for proof in proofs])


def run_campaign(
    choice: Choice,
    show: Callable[[CampaignRun], None],
    *,
    repeat: int = 1,
    twin: bool = False,
    proving: bool = False,
    scripts: Sequence[Script] = (),
    is_enough: Callable[[Sequence[CampaignRun]], bool] = lambda runs: False,
) -> CampaignOutcome:
    """Run the chosen scenarios, or `scripts`, and show each run as soon as it ends. JSON is printed at the end.

    No more runs take place if `is_enough` says so.
    """
    from halab.campaign.outcome import write_overview
    from halab.campaign.plan import announcement, planned_runs
    from halab.campaign.play import CampaignOptions, as_halab_error, play
    from halab.cli.console import progress
    from halab.report import table

    lab_dir = lab_dir_of(choice.file)
    scripts = scripts or scripts_of(choice)
    seed = secrets.randbelow(10**6) if choice.seed is None else choice.seed
    planned = planned_runs(scripts, seed, repeat=repeat, twin=twin, shuffled=not choice.names)
    shown = progress()
    if len(planned) > 1:
        shown.say(announcement(planned, seed, lab_dir.written.patience))
    options = CampaignOptions(choice.fail_fast, choice.keep, proving, is_enough=is_enough)
    outcome = play(
        lab_dir, planned, shown, options, seed=seed, on_run=(lambda run: None) if choice.as_json else show
    )
    if outcome.was_interrupted:
        print_open_faults(lab_dir)
    if outcome.needs_overview:
        try:
            page = write_overview(lab_dir, outcome)
        except (HalabError, OSError) as error:
            outcome.error = outcome.error or as_halab_error(error)
            return outcome
        if not choice.as_json:
            echo_raw(table.overview(outcome.campaign))
        echo(f"report of all runs: {page}", err=True)
    return outcome


def scripts_of(choice: Choice) -> list[Script]:
    """The chosen scenarios: by name, all, or by tag. BadUsage if none or more than one of these ways is given."""
    from halab.config.loading import nearest
    from halab.errors import BadUsage
    from halab.scenario.run import library

    selectors = {"names of scenarios": choice.names, "--all": choice.run_all, "--tag": choice.tags}
    given = [selector for selector, value in selectors.items() if value]
    if not given:
        hint = "name one (`halab scenarios` lists them), or use --tag or --all"
        raise BadUsage("no scenario selected", hint=hint)
    if len(given) > 1:
        raise BadUsage(f"use only one of these: {', '.join(given)}")
    scripts = library.find_all(choice.names or library.names())
    known = sorted({tag for script in scripts for tag in script.scenario.tags})
    for tag in choice.tags:
        if tag not in known:
            raise BadUsage(f"no scenario has the tag {tag}{nearest(tag, known)}")
    return [script for script in scripts if not choice.tags or set(choice.tags) & set(script.scenario.tags)]


def exit_code_of(outcome: CampaignOutcome, verdicts: Sequence[str]) -> int:
    """The exit code of a campaign. If an error ended it early, raise that error."""
    from halab.cli.verdicts import exit_code

    if outcome.was_interrupted:
        echo("halab: interrupted", err=True)
    elif outcome.error:
        raise outcome.error
    return exit_code(verdicts, was_interrupted=outcome.was_interrupted)
