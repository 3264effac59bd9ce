"""Runs that say whether one version or one commit has a bug, on a lab of its own: for `bisect` and `bisect-step`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.options import lab_dir_of
from halab.errors import HalabError, HostProblem

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignOutcome, CampaignRun
    from halab.scenario.run.library import Script
    from halab.trials.rule import Rule

_RULE = (
    click.option(
        "--repeat", type=click.IntRange(min=1), default=1, show_default=True,
        help="Run the scenario up to this many times with each version or commit.",
    ),
    click.option(
        "--at-least", type=click.IntRange(min=1), default=1, show_default=True,
        help="Take a version or commit as bad if the bug shows in at least this many runs.",
    ),
    click.option(
        "--shows", type=click.Choice(["fail", "pass"]), default="fail", show_default=True,
        help="Take the bug as shown in a run with this verdict.",
    ),
    click.option("--seed", type=click.IntRange(min=0), help="Use this seed to choose random targets."),
)  # fmt: skip


def deciding(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that say what the runs of a version or a commit mean."""
    for option in reversed(_RULE):
        command = option(command)
    return command


def on_lab(file: Path, runs: Callable[[], CampaignOutcome]) -> tuple[CampaignOutcome | None, str]:
    """Build a lab, run scenarios on it, and remove it. Return what took place, and why runs are missing.

    Raises HostProblem, which other versions and commits would meet, too.
    """
    from halab.cli.console import progress
    from halab.cli.lab import temporary_deps
    from halab.lifecycle.temporary_lab import removed_afterwards

    lab_dir, shown = lab_dir_of(file), progress()
    outcome = None
    deps = replace(temporary_deps(keep=False), removed_hint="halab has removed the lab; its runs stay")
    try:
        with removed_afterwards(lab_dir, shown, deps, keep=False):
            deps.up(lab_dir, shown)
            outcome = runs()
    except HalabError as error:
        if outcome is None and isinstance(error, HostProblem):
            raise
        shown.say("\n".join(filter(None, (error.message, error.hint))))
        if outcome is None:
            return None, error.message
        # the lab could not be removed: its runs are an answer all the same
    if outcome.was_interrupted:
        raise KeyboardInterrupt
    if isinstance(outcome.error, HostProblem):
        raise outcome.error
    return outcome, outcome.error.message if outcome.error else ""


def play(
    file: Path,
    script: Script,
    rule: Rule,
    is_enough: Callable[[Sequence[CampaignRun]], bool],
    *,
    seed: int | None,
) -> CampaignOutcome:
    """Run a scenario until its runs say enough."""
    from halab.cli.run import Choice, run_campaign

    choice = Choice(file, (script.name,), False, (), seed, fail_fast=False, keep=False, as_json=True)
    return run_campaign(
        choice, lambda run: None, repeat=rule.most_runs, scripts=[script], is_enough=is_enough
    )
