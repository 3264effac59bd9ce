"""`halab bisect-step`: one commit of a checkout, for `git bisect run`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.bisect_lab import deciding, on_lab, play
from halab.cli.complete import scenario_names
from halab.cli.console import echo
from halab.cli.options import file_option, lab_dir_of, rule_of
from halab.errors import HalabError

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignRun
    from halab.config.component_settings import SourceState
    from halab.lifecycle.lab import LabDir
    from halab.trials.rule import Rule

# For `git bisect run`: this commit cannot be tested; and stop, because no commit can be.
_SKIP, _ABORT = 125, 128
_STEPS = "bisect-steps.jsonl"


class _StepCommand(click.Command):
    """A command whose exit codes mean to `git bisect run` what they should: most would mean a bad commit."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.show()
            ctx.exit(_ABORT)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except HalabError as error:
            error.exit_code = _ABORT  # type: ignore[assignment]  # the codes are those of git
            raise
        except click.ClickException as error:
            error.show()
            ctx.exit(_ABORT)
        except Exception as error:
            # a defect of halab, of a library or of this host says nothing about a commit
            failure = HalabError(f"{type(error).__name__}: {error}")
            failure.exit_code = _ABORT  # type: ignore[assignment]
            raise failure from error


@click.command("bisect-step", cls=_StepCommand)
@file_option
@click.argument("scenario", shell_complete=scenario_names)
@deciding
def bisect_step_command(
    file: Path, scenario: str, repeat: int, at_least: int, shows: str, seed: int | None
) -> int:
    """Test the present commit of a checkout, for `git bisect run`.

    The lab file says with `source` which component is built from the checkout. halab builds the component and the lab,
    runs the scenario, removes the lab, and adds a line to bisect-steps.jsonl beside the lab file. Exit code: 0 the
    commit is good, 1 it is bad, 125 it cannot be tested (it does not compile, the lab does not come up, the runs end in
    errors), 128 no commit can be tested (a mistake in a file or an option, a problem of this host), 130 interrupted.
    git skips a commit after 125. It stops after 128 and 130: the same `git bisect run` goes on from there.

    \b
    Example:
      cd etcd && git bisect start v3.6.8 v3.6.4
      git bisect run halab bisect-step /lab/stale-reads.yml -f /lab/lab.yml --repeat 3
    """
    return _step(file, scenario, rule_of(repeat, at_least, shows), seed)


def _step(file: Path, scenario: str, rule: Rule, seed: int | None) -> int:
    from halab.scenario.run import library
    from halab.trials.rule import Answer

    lab_dir, script = lab_dir_of(file), library.find(scenario)
    _require_source(lab_dir)
    states = _states(lab_dir)

    def is_enough(runs: Sequence[CampaignRun]) -> bool:
        return rule.answer([run.result.verdict for run in runs]) is not None

    outcome, why = on_lab(file, lambda: play(file, script, rule, is_enough, seed=seed))
    verdicts = [run.result.verdict for run in outcome.runs] if outcome else []
    answer = rule.answer(verdicts) or Answer.SKIPPED
    why = why or str(rule.count(verdicts))
    line = {
        "sources": {name: asdict(state) for name, state in states.items()},
        "answer": answer,
        "why": why,
        "runs": [str(run.folder.path) for run in outcome.runs] if outcome else [],
    }
    with (lab_dir.file.parent / _STEPS).open("a") as log:
        log.write(json.dumps(line, ensure_ascii=False) + "\n")
    # not to standard output: if a full disk loses its data, the exit code is another one
    echo(f"{'; '.join(map(str, states.values())) or 'the commit'}: {answer}, {why}", err=True)
    return {Answer.GOOD: 0, Answer.BAD: 1, Answer.SKIPPED: _SKIP}[answer]


def _require_source(lab_dir: LabDir) -> None:
    """Raise BadUsage if the lab builds nothing from a checkout, and LabProblem if it is up."""
    from halab.errors import BadUsage, LabProblem
    from halab.machines.host import allocation

    if not lab_dir.written.source.by_name:
        raise BadUsage(
            f"{lab_dir.file} builds no component from a checkout",
            hint="name the checkout in it: `source: {etcd: ./etcd}`",
        )
    if allocation.of(lab_dir.work.path):
        raise LabProblem(
            f"the lab {lab_dir.name} exists already, and halab builds it for each commit",
            hint="remove it first: `halab down`",
        )


def _states(lab_dir: LabDir) -> dict[str, SourceState]:
    """The checkouts as they are now; empty if one cannot be read, which the build reports."""
    from halab.lifecycle import components

    try:
        needed = components.needed(lab_dir)
    except HalabError:
        return {}
    return {wanted.name: wanted.checkout.state for wanted in needed if wanted.checkout}
