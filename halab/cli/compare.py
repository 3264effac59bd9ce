"""`halab compare`: the same scenarios on labs that differ in one setting or more."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo, echo_raw
from halab.cli.options import file_option, json_option, lab_dir_of
from halab.cli.run import SELECTION, Choice, run_campaign, scripts_of
from halab.errors import ExitCode

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignOutcome
    from halab.campaign.temporary_campaign import TemporaryCampaign
    from halab.config.lab_variants import Variant
    from halab.progress import Progress
    from halab.report.comparison import ComparedLab


def _selecting(command: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(SELECTION):
        command = option(command)
    return command


@click.command("compare")
@file_option
@click.option(
    "--set", "settings", multiple=True, required=True, metavar="SETTING=VALUE,VALUE",
    help="Use these values of a setting of the lab file, one lab for each (repeatable: every combination).",
)  # fmt: skip
@_selecting
@click.option(
    "--repeat", type=click.IntRange(min=1), default=5, show_default=True,
    help="Run the selection this many times on each lab.",
)  # fmt: skip
@click.option(
    "--in", "folder", type=click.Path(path_type=Path), default="comparison", show_default=True,
    help="Use this folder for the labs and the report.",
)  # fmt: skip
@json_option
def compare_command(
    file: Path,
    settings: tuple[str, ...],
    names: tuple[str, ...],
    run_all: bool,
    tags: tuple[str, ...],
    seed: int | None,
    repeat: int,
    folder: Path,
    as_json: bool,
) -> int:
    """Run the same scenarios on labs that differ in a setting, and compare what clients saw.

    For each value, halab builds a lab, runs the scenarios and removes the lab. The report says for each figure whether
    the difference from the first lab is more than noise, and how many runs are needed to tell. At least 4 runs for each
    lab are needed. Values are YAML, as in the lab file. Exit code: the same as for `halab run`, and 3 if a lab did not
    come up.

    \b
    Example:
      halab compare --set load_balancer.kind=haproxy,nginx stop-apiserver kill-etcd-member
      halab compare --set load_balancer.check=readyz,tcp --repeat 10 black-hole-backend
      halab compare --set 'kubernetes.version="1.36","1.37"' --tag first --in /tmp/versions
    """
    from halab.campaign import lab_folders
    from halab.cli.console import progress
    from halab.config import lab_variants
    from halab.report.comparison import ComparedLab
    from halab.report.difference import FEWEST_RUNS

    text = lab_dir_of(file).content.decode("utf-8-sig")
    variants = lab_variants.variants(text, [lab_variants.axis(setting) for setting in settings])
    seed = secrets.randbelow(10**6) if seed is None else seed
    choice = Choice(file, names, run_all, tags, seed, fail_fast=False, keep=False, as_json=True)
    scripts_of(choice)  # a wrong scenario is reported before anything is built
    files = lab_folders.prepare(file, variants, folder)
    if repeat < FEWEST_RUNS:
        progress().say(
            f"no difference can be shown with fewer than {FEWEST_RUNS} runs on each lab: use --repeat {FEWEST_RUNS} "
            "or more"
        )
    begun, started = time.monotonic(), datetime.now().astimezone()
    labs: list[ComparedLab] = []
    was_interrupted = False
    for number, (variant, lab_file) in enumerate(zip(variants, files, strict=True), 1):
        progress().say(f"lab {number} of {len(variants)}: {variant.settings}")
        played = _run_on(variant, replace(choice, file=lab_file), repeat, progress())
        has_runs = played.outcome is not None and bool(played.outcome.runs)
        campaign = played.outcome.campaign if played.outcome is not None and has_runs else None
        labs.append(ComparedLab(variant.name, variant.settings, campaign, played.why))
        was_interrupted = played.was_interrupted
        if was_interrupted:
            break
    return _report(
        folder,
        labs,
        started,
        time.monotonic() - begun,
        seed,
        as_json=as_json,
        was_interrupted=was_interrupted,
    )


def _run_on(variant: Variant, choice: Choice, repeat: int, shown: Progress) -> TemporaryCampaign:
    """Build a lab, run the scenarios and remove the lab.

    A lab that does not come up has no runs; the comparison goes on with the others.
    """
    from halab.campaign.temporary_campaign import play_on
    from halab.cli.lab import temporary_deps

    hint = f"halab has removed the lab; to look at it, build it with `halab up -f {choice.file}`"
    deps = replace(temporary_deps(keep=False), removed_hint=hint)

    def play() -> CampaignOutcome:
        return run_campaign(choice, lambda run: None, repeat=repeat)

    return play_on(lab_dir_of(choice.file), variant.name, shown, deps, play)


def _report(
    folder: Path,
    labs: list[ComparedLab],
    started: datetime,
    seconds: float,
    seed: int,
    *,
    as_json: bool,
    was_interrupted: bool,
) -> int:
    from halab.cli.verdicts import exit_code
    from halab.report import comparison, table
    from halab.report.comparison import Comparison
    from halab.scenario.record.command import repeatable

    command = repeatable(("halab", *sys.argv[1:]), seed)
    compared = Comparison(labs, command, started.isoformat(timespec="seconds"), seconds)
    page = comparison.write(folder, compared)
    if as_json:
        echo_raw(comparison.text(folder, compared).rstrip())
    else:
        echo_raw(table.comparison(compared))
    echo(f"report: {page}", err=True)
    verdicts = [str(result.verdict) for lab in labs if lab.campaign for _, result in lab.campaign.runs]
    verdicts += ["error" for lab in labs if lab.why_not_run or lab.campaign is None or lab.campaign.not_run]
    code = exit_code(verdicts, was_interrupted=was_interrupted)
    if code is ExitCode.INTERRUPTED:
        echo("halab: interrupted", err=True)
    return code
