"""`halab pack` and `halab replay`: a run as one file, judged and run again elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo
from halab.cli.options import json_option, print_json

if TYPE_CHECKING:
    from halab.campaign.outcome import CampaignOutcome, CampaignRun
    from halab.scenario.record.folder import RunFolder
    from halab.scenario.verdict.result import Result


@click.command("pack")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), help="Write this file.  [default: ./RUN.tar.gz]")
@json_option
def pack_command(folder: Path, output: Path | None, as_json: bool) -> None:
    """Write a recorded run to one file, to attach it to a bug report.

    The file has everything that the folder of the run has: scenario, lab, the files that they name, versions, samples,
    timeline, logs and report. Private keys, tokens, certificate keys and passwords are removed from it. Read the logs
    before you publish it: halab does not know other secrets. The images that the lab imports are not in it.

    \b
    Example:
      halab pack .halab/runs/20261123-101500-stop-apiserver
    """
    from halab.archive import archive
    from halab.errors import BadUsage
    from halab.printable import counted
    from halab.report.recorded_campaign import is_campaign
    from halab.scenario.record.folder import RunFolder

    if is_campaign(folder):
        raise BadUsage(
            f"{folder} is a campaign", hint="pack one of its runs: they are in the folders beside it"
        )
    packed = archive.pack(RunFolder.existing(folder), output)
    if as_json:
        print_json({"file": str(packed.path), "removed": dict(packed.contents.removed)})
        return
    for path, count in packed.contents.removed.items():
        echo(f"removed {counted(count, 'secret')} from {path}", err=True)
    echo(str(packed.path))


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--in", "folder", type=click.Path(path_type=Path), help="Use this folder for the run.  [default: ./RUN]"
)
@click.option("--again", is_flag=True, help="Build the lab, and run the scenario again with the same seed.")
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Run it this many times (needs --again).",
)
@click.option("--keep", is_flag=True, help="Keep the lab instead of removing it (needs --again).")
@json_option
def replay_command(
    file: Path, folder: Path | None, again: bool, repeat: int, keep: bool, as_json: bool
) -> int:
    """Judge the run of an archive on this host. With --again, also run it again.

    FILE is an archive that `halab pack` made. Judging needs no lab: the exit code is the same as for `halab report`.
    With --again, halab builds the lab of the run under another name, runs the scenario, shows which promises have
    another result, and removes the lab. Exit code: 0 every verdict is the same as in the archive, 1 one is different, 3
    a run ended in an error, 130 interrupted.

    The files of an archive can run any command on the machines of the lab, and its checks run on this host. Run an
    archive again only if you trust its author.

    \b
    Example:
      halab replay 20261123-101500-stop-apiserver.tar.gz
      halab replay 20261123-101500-stop-apiserver.tar.gz --again --repeat 3
    """  # fmt: skip
    from halab.archive import archive
    from halab.cli.verdicts import as_data, exit_code, print_result
    from halab.report.render import render

    if not again and (repeat > 1 or keep):
        raise click.UsageError("--repeat and --keep need --again")
    run, contents = archive.unpack(file, folder)
    result = render(run)
    comparison = _compared(contents.verdict, str(result.verdict))
    if not as_json:
        print_result(run, result)
        echo(comparison, err=True)
    if again:
        return _play_again(run, result, repeat=repeat, keep=keep, as_json=as_json)
    if as_json:
        print_json({**as_data(run, result), "recorded_verdict": contents.verdict})
    return exit_code([str(result.verdict)])


def _compared(recorded: str | None, judged: str) -> str:
    from halab import __version__

    if recorded is None:
        return f"the archive has no verdict; halab {__version__} judges: {judged}"
    if recorded == judged:
        return f"the verdict of the archive is the same: {recorded}"
    return f"the verdict of the archive is {recorded}; halab {__version__} judges: {judged}"


def _play_again(run: RunFolder, recorded: Result, *, repeat: int, keep: bool, as_json: bool) -> int:
    from halab.archive import replay
    from halab.cli.console import progress
    from halab.cli.lab import temporary_deps
    from halab.cli.run import Choice, exit_code_of, run_campaign
    from halab.cli.verdicts import as_data, print_result

    script, meta = replay.script_of(run), run.read_meta()

    def show(again: CampaignRun) -> None:
        print_result(again.folder, again.result)
        lines = replay.other_sources(meta, again.folder.read_meta())
        for line in [*lines, *replay.differences(recorded, again.result)]:
            echo(line, err=True)

    with replay.lab_of(run, progress(), temporary_deps(keep=keep), keep=keep) as lab_dir:
        choice = Choice(
            lab_dir.file, (script.name,), False, (), meta.seed, fail_fast=False, keep=False, as_json=as_json
        )
        outcome = run_campaign(choice, show, repeat=repeat, twin=meta.is_twin, scripts=[script])
    if as_json:
        print_json(
            {
                "archive": as_data(run, recorded),
                "again": [
                    {
                        **as_data(each.folder, each.result),
                        "differences": replay.differences(recorded, each.result),
                    }
                    for each in outcome.runs
                ],
            }
        )
    else:
        echo(_in_words(str(recorded.verdict), outcome))
    return exit_code_of(outcome, [_as_recorded(recorded, each.result) for each in outcome.runs])


def _as_recorded(recorded: Result, again: Result) -> str:
    """`pass` if the verdict is the same as in the archive, otherwise `fail`; an error or a skip shows no difference."""
    if again.verdict is recorded.verdict:
        return "pass"
    return str(again.verdict) if again.verdict in ("error", "skip") else "fail"


def _in_words(recorded: str, outcome: CampaignOutcome) -> str:
    """`fail in the archive; run again: fail, pass`."""
    again = ", ".join(str(each.result.verdict) for each in outcome.runs) or "no run took place"
    return f"{recorded} in the archive; run again: {again}"
