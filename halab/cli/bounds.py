"""`halab bounds`: the bounds of scenarios against what recorded runs measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.complete import scenario_names
from halab.cli.console import echo, echo_raw, progress
from halab.cli.options import file_option, json_option, lab_dir_of
from halab.errors import ExitCode

if TYPE_CHECKING:
    from halab.config.scenario import Scenario
    from halab.report.bounds import MeasuredBounds
    from halab.report.recorded_runs import RecordedRuns, Refused


@click.command("bounds")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path), metavar="[FOLDER]...")
@file_option
@click.option(
    "--scenario", "names", multiple=True, metavar="NAME", shell_complete=scenario_names,
    help="Show only this scenario, by its name or the path of its file (repeatable).",
)  # fmt: skip
@click.option(
    "--only", "standings", multiple=True,
    type=click.Choice(["broken", "tight", "loose", "fits", "unmeasured", "few"]),
    help="Show only promises of this kind (repeatable).",
)  # fmt: skip
@click.option("--by-minor", is_flag=True, help="Show each minor version of Kubernetes separately.")
@click.option("--comments", is_flag=True, help="Print the figures as comments for the scenario files.")
@click.option(
    "--write", "writes", is_flag=True,
    help="Write the figures into the comments of the files that --scenario names. Bounds are not changed.",
)  # fmt: skip
@json_option
def bounds_command(
    folders: tuple[Path, ...],
    file: Path,
    names: tuple[str, ...],
    standings: tuple[str, ...],
    by_minor: bool,
    comments: bool,
    writes: bool,
    as_json: bool,
) -> int:
    """Check the bounds of scenarios against recorded runs, and propose better ones. No lab is needed.

    A FOLDER is a run, a campaign, or a folder with runs below it, such as the folder of a lab; by default the runs of
    the lab. halab judges all runs again. For each load balancer and provider it shows the promises with what was
    measured: the median (p50), p95 and the worst value. Runs that ended in an error do not count.

    A bound is loose if it is more than three times the worst value, and tight if the worst value is above two thirds
    of it. halab proposes another one if there are at least 10 runs. Exit code: 0, or 3 if a run cannot be judged.

    \b
    Example:
      halab bounds
      halab bounds --scenario stop-apiserver --by-minor
      halab bounds lab-haproxy lab-nginx --only loose --only tight
      halab bounds --scenario ./mine.yml --write
    """
    from halab.errors import BadUsage
    from halab.report import bounds, bounds_text, table

    if sum((comments, writes, as_json)) > 1:
        raise BadUsage("use only one of --comments, --write, --json", hint="the JSON has the comments, too")
    if writes:
        _require_own_files(names)
    today = _today(names)
    recorded = _recorded(folders or [_runs_of(file)], list(today) if names else ())
    measured = bounds.measure(recorded.runs, today, by_minor=by_minor)
    if as_json:
        echo_raw(bounds_text.to_json(measured, recorded))
    elif comments:
        echo(bounds_text.comments(measured))
    elif writes:
        _write(measured, names)
    else:
        echo_raw(table.bounds(measured, standings))
    print_left_out(recorded.left_out, recorded.refused)
    return ExitCode.ERROR if recorded.refused else ExitCode.PASSED


def _require_own_files(names: Sequence[str]) -> None:
    from halab.config.loading import is_own_file
    from halab.errors import BadUsage

    hint = "name the files in which the comments should be: halab bounds --scenario ./mine.yml --write"
    if not names:
        raise BadUsage("--write needs scenario files", hint=hint)
    for name in names:
        if not is_own_file(name):
            raise BadUsage(f"not the path of a scenario file: {name}", hint=hint)


def _write(measured: MeasuredBounds, names: Sequence[str]) -> None:
    """Write the figures into the comments of the files. Raises BadUsage for a file that has no place for them."""
    from halab.config.loading import text_of
    from halab.errors import BadUsage
    from halab.files import replace
    from halab.report import bounds_text
    from halab.report.scenario_comment import with_figures
    from halab.scenario.run import library

    for script in library.find_all(names):
        of_scenario = [each for each in measured.scenarios if each.scenario == script.name]
        blocks = [block for each in of_scenario if (block := list(bounds_text.comment(each)))]
        # a link stays a link
        path = script.path.resolve()
        before = text_of(path)
        try:
            after = with_figures(before, blocks) if blocks else before
        except ValueError as error:
            raise BadUsage(f"cannot write the figures into {script.path}: {error}") from error
        if after != before:
            replace(path, after, mode=path.stat().st_mode & 0o777)
        echo(f"{'written' if after != before else 'unchanged'}: {script.path}", err=True)


def _today(names: Sequence[str]) -> Mapping[str, Scenario]:
    """The scenarios as they are now: those that are named, or all that come with halab."""
    from halab.scenario.run import library

    return {script.name: script.scenario for script in library.find_all(names or library.names())}


def _runs_of(file: Path) -> Path:
    from halab.errors import BadUsage

    runs = lab_dir_of(file).work.runs
    if not runs.is_dir():
        hint = "run a scenario, or name folders with runs"
        raise BadUsage("this lab has no recorded runs", hint=hint)
    return runs


def _recorded(folders: Sequence[Path], names: Sequence[str]) -> RecordedRuns:
    """All runs in the folders, judged again; with names, only runs of these scenarios."""
    from halab.report.recorded_runs import RecordedRuns, find

    recorded = RecordedRuns()
    paths = find(folders)
    with progress().step(f"judge the recorded runs ({len(paths)})") as step:
        for number, path in enumerate(paths, 1):
            step.note(f"{number} of {len(paths)}: {path.name}")
            recorded.add(path, names)
    return recorded


def print_left_out(left_out: Mapping[str, int], refused: Sequence[Refused]) -> None:
    """Say on standard error which runs do not count, and which cannot be read."""
    if left_out:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in left_out.items())
        echo(f"runs that do not count: {reasons}", err=True)
    for each in refused:
        echo(f"cannot be judged: {each.folder}: {each.why}", err=True)
