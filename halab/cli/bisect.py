"""`halab bisect`: which released version brought a bug in."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.bisect_lab import deciding, on_lab, play
from halab.cli.complete import scenario_names
from halab.cli.console import echo
from halab.cli.options import file_option, json_option, lab_dir_of, print_json, rule_of
from halab.errors import ExitCode, HalabError
from halab.printable import counted

if TYPE_CHECKING:
    from halab.bisect.log import Log
    from halab.bisect.session import Bisection
    from halab.campaign.outcome import CampaignOutcome, CampaignRun
    from halab.config.twin import Verdict
    from halab.lifecycle.lab import LabDir
    from halab.scenario.run.library import Script
    from halab.trials.rule import Rule

_OTHER_ENDS = (
    "give an older --good or a later --bad; if the bug does not show in every run, give a higher --repeat; both need "
    "another folder: --in FOLDER"
)


@click.command("bisect")
@file_option
@click.argument("scenario", shell_complete=scenario_names)
@click.option(
    "--component", required=True,
    type=click.Choice(["etcd", "coredns", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]),
    help="Test versions of this component.",
)  # fmt: skip
@click.option(
    "--good", required=True, metavar="VERSION", help="Use this version as the one without the bug."
)
@click.option(
    "--bad", required=True, metavar="VERSION", help="Use this later version as the one with the bug."
)
@click.option(
    "--also", multiple=True, metavar="VERSION",
    help="Also take this version into the search, because Go's module proxy has it and does not list it (repeatable).",
)  # fmt: skip
@deciding
@click.option(
    "--in", "folder", type=click.Path(path_type=Path),
    help="Use this folder for the labs, the log and the report.  [default: ./bisect-SCENARIO-COMPONENT]",
)  # fmt: skip
@json_option
def bisect_command(
    file: Path,
    scenario: str,
    component: str,
    good: str,
    bad: str,
    also: tuple[str, ...],
    repeat: int,
    at_least: int,
    shows: str,
    seed: int | None,
    folder: Path | None,
    as_json: bool,
) -> int:
    """Find the released version of a component that brought a bug in.

    For each version that it tests, halab builds the lab of the lab file with that version of the component, runs the
    scenario and removes the lab. The versions are those that Go's module proxy lists, with pre-releases. Both given
    versions are tested first. A run that ends in an error is no answer: it takes place again. A lab that does not come
    up is built once more. A version without answers is skipped. Every run is in a log: after an interruption, the same
    command goes on from there.

    The result is stated with a confidence, which comes from the number of runs: use --repeat for a bug that does not
    show in every run. Exit code: 0 the version was found, 3 it was not, 130 interrupted.

    \b
    Example:
      halab bisect ./stale-reads.yml --component etcd --good 3.6.4 --bad 3.6.8
      halab bisect ./reproduce.yml --shows pass --component etcd --good 3.6.0-rc.0 --bad 3.6.8 --repeat 5
      halab bisect ./reproduce.yml --shows fail --component etcd --good 3.6.8 --bad 3.6.12 --also 3.6.9
    """
    from halab.bisect.session import Bisection
    from halab.cli.console import progress
    from halab.scenario.run import library
    from halab.trials.log import locked

    rule, lab_dir, script = rule_of(repeat, at_least, shows), lab_dir_of(file), library.find(scenario)
    folder = folder or Path(f"bisect-{script.name}-{component}")
    _require_versions(lab_dir, component, good, bad, also)
    seed = secrets.randbelow(10**6) if seed is None else seed
    shown = progress()
    with locked(folder):
        versions = _versions(folder, component, good, bad, also)
        bisection = Bisection(
            component, versions, rule, _log(folder, component, versions, rule, lab_dir, script)
        )
        if bisection.log.runs:
            shown.say(f"go on with {bisection.log.path}: {counted(len(bisection.log.runs), 'run')} so far")

        def test(version: str, is_enough: Callable[[Sequence[Verdict]], bool]) -> None:
            _test_version(bisection, lab_dir, script, folder, version, is_enough, seed=seed)

        try:
            bisection.run(test, shown)
        except KeyboardInterrupt:
            shown.say("the same command goes on from here")
            raise
        return _report(bisection, folder, as_json=as_json)


def _require_versions(lab_dir: LabDir, component: str, good: str, bad: str, also: tuple[str, ...]) -> None:
    """Raise BadUsage for versions that cannot be searched, before the proxy is asked."""
    from halab.bisect import versions
    from halab.errors import BadUsage

    if path := lab_dir.written.source.by_name.get(component):
        raise BadUsage(
            f"{lab_dir.file} builds {component} from {path}, which has one version",
            hint="remove this `source`; to search in commits, use `git bisect run halab bisect-step`",
        )
    versions.between(good, bad, (), also)


def _versions(folder: Path, component: str, good: str, bad: str, also: tuple[str, ...]) -> tuple[str, ...]:
    """The versions between two; those that the log in the folder has, if it is of the same search."""
    from halab.bisect import log, versions
    from halab.images import component as components

    # there may be new releases since, or no network
    planned = log.planned_versions(folder)
    if planned and planned == versions.between(good, bad, planned, also):
        return planned
    return versions.between(good, bad, components.released(component), also)


def _log(
    folder: Path, component: str, versions: tuple[str, ...], rule: Rule, lab_dir: LabDir, script: Script
) -> Log:
    import hashlib

    from halab.bisect.log import Log, Plan

    lab = hashlib.sha256(lab_dir.content).hexdigest()
    return Log(folder, Plan(component, versions, rule.repeat, rule.at_least, rule.shows, lab, script.digest))


def _test_version(
    bisection: Bisection,
    lab_dir: LabDir,
    script: Script,
    folder: Path,
    version: str,
    is_enough: Callable[[Sequence[Verdict]], bool],
    *,
    seed: int,
) -> None:
    """Build the lab with a version, run the scenario until its runs say enough, and remove the lab."""
    from halab.campaign import lab_folders
    from halab.config import component_versions, lab_variants

    setting = ".".join(component_versions.setting(bisection.component))
    text = lab_dir.content.decode("utf-8-sig")
    variant = lab_variants.variants(text, [lab_variants.fixed(setting, version)])
    (file,) = lab_folders.prepare(lab_dir.file, variant, folder, again=True)
    _remove_left(file)
    before = list(bisection.log.verdicts(version))

    def are_enough(runs: Sequence[CampaignRun]) -> bool:
        # asked once after each run
        run = runs[-1]
        # the folder of the search may be moved
        path = os.path.relpath(run.folder.path, folder)
        bisection.record(version, run.result.verdict, path)
        return is_enough(bisection.log.verdicts(version))

    def runs() -> CampaignOutcome:
        return play(file, script, bisection.rule, are_enough, seed=seed + len(before))

    _, why = on_lab(file, runs)
    if why and not is_enough(bisection.log.verdicts(version)):
        raise HalabError(why)


def _remove_left(file: Path) -> None:
    """Remove the lab of a version that is still up: its runs were cut off, and faults may be open."""
    from halab.cli.console import progress
    from halab.cli.lab import temporary_deps
    from halab.machines.host import allocation

    lab_dir, shown = lab_dir_of(file), progress()
    if allocation.of(lab_dir.work.path):
        shown.say(f"remove the lab {lab_dir.name}, which is still up: an earlier halab was killed")
        temporary_deps(keep=False).down(lab_dir, shown)


def _report(bisection: Bisection, folder: Path, *, as_json: bool) -> int:
    from halab.bisect import boundary
    from halab.trials.rule import Answer

    search = bisection.search
    is_found = not search.problem and len(search.suspects) == 1
    page = None
    if not search.problem:
        try:
            page = boundary.report(bisection, folder, ("halab", *sys.argv[1:]))
        except (HalabError, OSError) as error:
            # such as runs that were removed: what is known of the versions is in the log
            echo(f"the runs at the boundary cannot be shown side by side: {error}", err=True)
    if as_json:
        print_json(
            {
                "component": bisection.component,
                "first_bad": search.first_bad if is_found else None,
                "last_good": None if search.problem else search.last_good,
                "suspects": [] if search.problem else list(search.suspects),
                "confidence": None if search.problem else round(bisection.confidence, 3),
                "problem": search.problem or None,
                "versions": [_as_data(bisection, version) for version in search.answers],
                "log": str(bisection.log.path),
            }
        )
    else:
        for version in search.versions:
            if version in search.answers:
                echo(bisection.in_words(version))
        echo(_conclusion(bisection))
        skipped = [version for version, answer in search.answers.items() if answer is Answer.SKIPPED]
        if skipped:
            echo(
                f"to test {', '.join(skipped)} again, remove the lines of {bisection.log.path} about it",
                err=True,
            )
        elif search.problem:
            echo(_OTHER_ENDS, err=True)
    echo(f"log: {bisection.log.path}", err=True)
    if page:
        echo(f"the runs at the boundary side by side: {page}", err=True)
    return ExitCode.PASSED if is_found else ExitCode.ERROR


def _conclusion(bisection: Bisection) -> str:
    """The result in one sentence."""
    search, component = bisection.search, bisection.component
    if search.problem:
        return f"no search is possible: {search.problem}"
    sure = f"confidence {bisection.confidence:.0%}"
    if len(search.suspects) == 1:
        return f"the bug came with {component} {search.first_bad} ({sure})"
    return (
        f"the bug came with one of {component} {', '.join(search.suspects)}: those before {search.first_bad} could "
        f"not be tested ({sure})"
    )


def _as_data(bisection: Bisection, version: str) -> dict[str, Any]:
    count = bisection.count(version)
    return {
        "version": version,
        "answer": bisection.answer(version),
        "shown": count.shown,
        "judged": count.judged,
        "errors": count.lost,
        "why": bisection.why_skipped(version) or None,
        "runs": [run.folder for run in bisection.log.runs if run.version == version],
    }
