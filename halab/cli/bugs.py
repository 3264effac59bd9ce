"""`halab bugs`: public reports as files, each with a lab and a scenario that reproduce it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.complete import bug_names
from halab.cli.console import echo
from halab.cli.options import CommandGroup, json_option, print_json

if TYPE_CHECKING:
    from halab.bugs.library import Bug
    from halab.bugs.versions import BugAt
    from halab.campaign.outcome import CampaignOutcome, CampaignRun

# For a single run, by what it shows.
_IN_WORDS = {
    True: "the bug was reproduced",
    False: "the bug was not reproduced",
    None: "the run ended in an error or was skipped",
}


@click.group("bugs", cls=CommandGroup, invoke_without_command=True)
@json_option
@click.pass_context
def bugs_command(context: click.Context, as_json: bool) -> None:
    """List public bug reports, show one, and reproduce it.

    Without a subcommand, list all bugs.

    \b
    Example:
      halab bugs
      halab bugs reproduce kubelet-not-enabled
    """
    if not context.invoked_subcommand:
        context.invoke(list_command, as_json=as_json)


@bugs_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List all bugs.

    The column REPRODUCED says in how many of the recorded runs a bug was reproduced. `not run` means that there is no
    recorded run. The column VERSIONS is for bugs that belong to versions of a component: `-` means that the cause is
    something else, such as a configuration.

    \b
    Example:
      halab bugs list
      halab bugs list --json
    """
    from halab.bugs import library
    from halab.cli.console import table
    from halab.config.bug import issue_of

    bugs = [library.find(name) for name in library.names()]
    if as_json:
        print_json([library.as_data(bug) for bug in bugs])
        return
    table(
        ["NAME", "REPORT", "REPRODUCED", "TITLE", "VERSIONS"],
        [
            (
                bug.name,
                issue_of(bug.written.references[0]) or "-",
                bug.written.reproduced,
                bug.written.title,
                "; ".join(map(str, bug.written.affects)) or "-",
            )
            for bug in bugs
        ],
    )


@bugs_command.command("show")
@click.argument("name", shell_complete=bug_names)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a bug: its reports, its symptom, its lab, its scenario, and what was measured.

    NAME is a bug of the list, its report such as etcd#22214, or the path of a folder with a `bug.yml`.

    \b
    Example:
      halab bugs show apiserver-away-for-a-minute
      halab bugs show ./mine
    """
    from halab.bugs import library
    from halab.cli.scenario import description_lines, wrapped
    from halab.scenario.run import description

    bug = library.find(name)
    script = bug.script
    if as_json:
        print_json({**library.as_data(bug), "lab": bug.lab, "scenario": description.as_data(script)})
        return
    echo("\n".join([*wrapped(paragraphs(bug)), "", "Scenario", *description_lines(script)]))


@bugs_command.command("reproduce")
@click.argument("name", shell_complete=bug_names)
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Run the scenario this many times.",
)
@click.option(
    "--until-shown", is_flag=True,
    help="Stop after the first run that reproduces the bug; --repeat is the most runs.",
)  # fmt: skip
@click.option(
    "--fixed", "is_fixed", is_flag=True,
    help="Use the first version without the bug: it must not be reproduced.",
)  # fmt: skip
@click.option(
    "--version", metavar="VERSION",
    help="Use this version of the component of the bug. If it is fixed, the bug must not be reproduced.",
)  # fmt: skip
@click.option(
    "--in", "folder", type=click.Path(path_type=Path),
    help="Use this folder for the lab.  [default: ./NAME, or ./NAME-VERSION for another version]",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Use this seed to choose random targets.")
@click.option("--keep", is_flag=True, help="Keep the lab instead of removing it.")
@json_option
def reproduce(
    name: str,
    repeat: int,
    until_shown: bool,
    is_fixed: bool,
    version: str | None,
    folder: Path | None,
    seed: int | None,
    keep: bool,
    as_json: bool,
) -> int:
    """Build the lab of a bug, run its scenario, and remove the lab.

    NAME is a bug of the list, its report such as etcd#22214, or the path of a folder with a `bug.yml`.

    The last line says whether the bug was reproduced. The files of the bug are copied into a folder of their own, where
    the recorded runs stay. The lab has a name and a network of its own, so other labs can run at the same time. Exit
    code: 0 the bug was reproduced in every run, 1 at least one run did not reproduce it, 3 a run ended in an error or
    was skipped, 130 interrupted. If several apply, 130 takes precedence over 3, and 3 over 1.

    With `--until-shown`, exit code 0 means that the last run reproduced the bug, whatever the runs before it did.

    With `--fixed` or `--version`, the same lab has another version of the component that has the bug. If that version
    is fixed, exit code 0 means that the bug was not reproduced in any run, and 1 that it was.

    \b
    Example:
      halab bugs reproduce apiserver-away-for-a-minute
      halab bugs reproduce etcd#22214 --repeat 5 --in /tmp/bug
      halab bugs reproduce promotion-answered-too-late --repeat 10 --until-shown
      halab bugs reproduce member-update-forgets-learner --fixed
    """
    from halab.bugs import library, reproduction, versions
    from halab.cli.console import progress
    from halab.cli.lab import temporary_deps
    from halab.cli.run import Choice, run_campaign
    from halab.cli.verdicts import print_result

    if is_fixed and version:
        raise click.UsageError(
            "use only one of --fixed and --version: --fixed means the first version that is fixed"
        )
    bug = library.find(name)
    at = versions.at(bug, version) if is_fixed or version else None
    _ = bug.script  # a wrong scenario is reported before the lab is built
    folder = folder or Path(f"{bug.name}-{at.version}" if at else bug.name)
    scenario = str(bug.scenario_in(folder))
    choice = Choice(
        bug.lab_in(folder), (scenario,), False, (), seed, fail_fast=False, keep=False, as_json=as_json
    )
    deps = temporary_deps(keep=keep)

    def show_run(run: CampaignRun) -> None:
        print_result(run.folder, run.result)

    def has_shown(runs: Sequence[CampaignRun]) -> bool:
        return until_shown and any(bug.written.is_reproduced_by(run.result.verdict) for run in runs)

    with reproduction.lab_of(bug, folder, progress(), deps, keep=keep, at=at):
        outcome = run_campaign(choice, show_run, repeat=repeat, is_enough=has_shown)
    return _report(bug, outcome, at, until_shown=until_shown, as_json=as_json)


def _report(
    bug: Bug, outcome: CampaignOutcome, at: BugAt | None, *, until_shown: bool, as_json: bool
) -> int:
    """Print whether the bug was reproduced, and return the exit code."""
    from halab.cli.run import exit_code_of
    from halab.cli.verdicts import as_data

    is_fixed = at is not None and at.is_fixed
    answers = [bug.written.is_reproduced_by(run.result.verdict) for run in outcome.runs]
    if as_json:
        runs = [
            {"showed": showed, **as_data(run.folder, run.result)}
            for showed, run in zip(answers, outcome.runs, strict=True)
        ]
        counts = {"runs": len(answers), "showed": answers.count(True)}
        print_json({"bug": bug.name, "is_fixed": is_fixed, **counts, "results": runs})
    else:
        echo(f"{bug.name}: {f'{at}: ' if at else ''}{_in_words(answers)}")
    if until_shown and True in answers:
        answers = [True]
    names = {not is_fixed: "pass", is_fixed: "fail", None: "error"}
    return exit_code_of(outcome, [names[answer] for answer in answers])


def _in_words(answers: Sequence[bool | None]) -> str:
    """`the bug was reproduced in 2 of 3 runs; 1 ended in an error or was skipped`."""
    match answers:
        case []:
            return "no run took place"
        case [answer]:
            return _IN_WORDS[answer]
    words = f"the bug was reproduced in {answers.count(True)} of {len(answers)} runs"
    if silent := answers.count(None):
        words += f"; {silent} ended in an error or {'was' if silent == 1 else 'were'} skipped"
    return words


def paragraphs(bug: Bug) -> Iterator[tuple[str, Sequence[str]]]:
    """The bug for people: headings with sentences."""
    from halab.config.bug import issue_of

    written = bug.written
    yield f"{bug.name}: {written.title}", [written.symptom]
    yield "Reports", [f"{issue_of(url)}: {url}" if issue_of(url) else url for url in written.references]
    yield "Versions", [written.versions, *map(str, written.affects)]
    if written.differs:
        yield "What differs from the report", [written.differs]
    for measurement in written.measured:
        count = f"the bug was reproduced in {measurement.shown} of {measurement.runs} runs"
        fixed = " (fixed)" if measurement.is_fixed else ""
        yield f"Measured: {measurement.on}{fixed}", [count, *measurement.figures]
    if not written.measured:
        yield "Measured", ["not run yet"]
    yield "The bug is reproduced if", [f"its scenario has the verdict {written.shows}"]
    yield "Lab", bug.lab.splitlines()
