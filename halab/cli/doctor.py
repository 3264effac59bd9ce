"""`halab doctor`: check whether this host can run the lab and suggest fixes."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo_raw
from halab.cli.options import json_option, print_json
from halab.errors import BadUsage, ExitCode
from halab.printable import brief, counted, printable

if TYPE_CHECKING:
    from halab.doctor import Report
    from halab.doctor.check import Check, HostCheckResult
    from halab.lifecycle.lab import LabDir

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}
_COLORS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": None}
# How long the test guest of a check may take.
_LIMIT_SECONDS = 15


@click.command("doctor")
@click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), default=None,
    help="Check this lab file.  [default: lab.yml, or a lab with defaults if it does not exist]",
)  # fmt: skip
@click.option("--only", "name", default=None, metavar="CHECK", help="Run only this check, such as kvm.")
@json_option
def doctor_command(file: Path | None, name: str | None, as_json: bool) -> int:
    """Check whether this host can run the lab and suggest fixes (exit 3 if it cannot).

    \b
    Example:
      halab doctor --json | jq '.checks[] | select(.state == "failed")'
    """
    from halab.cli.console import progress
    from halab.doctor import examine

    lab_dir, checks = _place(file), _checks(name)
    with progress().step("check this host", limit_seconds=_LIMIT_SECONDS):
        report = examine(lab_dir, checks=checks)
    if as_json:
        print_json(report.as_json())
    else:
        for line in report_lines(report, _width(), is_complete=name is None):
            echo_raw(line, color=False if os.environ.get("NO_COLOR") else None)
    is_good = (
        report.could_run if name is None else all(result.state != "failed" for result in report.results)
    )
    return ExitCode.PASSED if is_good else ExitCode.ERROR


def _checks(name: str | None) -> Sequence[Check]:
    """All checks, or the one of that name."""
    from halab.doctor.run_checks import CHECKS

    chosen = [check for check in CHECKS if name in (None, check.name)]
    if not chosen:
        raise BadUsage(
            f"no such check: {name}", hint=f"the checks are {', '.join(check.name for check in CHECKS)}"
        )
    return chosen


def _width() -> int:
    return max(40, min(shutil.get_terminal_size().columns, 100))


def _place(file: Path | None) -> LabDir:
    from halab.config.lab import LabFile
    from halab.lifecycle.lab import LabDir, open_file
    from halab.machines.work import Work

    default = Path("lab.yml")
    if file or default.exists():
        return open_file(file or default)
    work = Work.beside(default)
    work.require_own()
    return LabDir(default, LabFile(), work)


def report_lines(report: Report, width: int, *, is_complete: bool = True) -> Iterator[str]:
    """The report as lines: first the checks that the lab needs, then the others. A fix may exceed the width.

    A report that is not complete has only one check, so it does not tell whether the host can run the lab.
    """
    names = max(len(result.name) for result in report.results)
    needed = [result for result in report.results if result.needed]
    others = [result for result in report.results if not result.needed]
    for result in needed:
        yield from _result_lines(result, names, width)
    if others:
        yield ""
        yield f"not needed by a lab on {report.provider}:"
        for result in others:
            yield from _result_lines(result, names, width)
    yield ""
    if report.libvirt_would_work:
        yield "virtual machines would work too; for them, write `provider: libvirt` in the lab file"
    yield _summary(report) if is_complete else _summary_of_one(report)


def _result_lines(result: HostCheckResult, names: int, width: int) -> Iterator[str]:
    """One result as lines: what was seen and, unless it is ok, why it matters and how to fix it."""
    mark = click.style(_MARKS[result.state], fg=_COLORS[result.state])
    indent = " " * (names + 4)
    below = " " * 4
    seen = textwrap.wrap(brief(result.seen), width - len(indent), break_on_hyphens=False) or [""]
    yield f"{mark} {result.name.ljust(names)}  {seen[0]}"
    for line in seen[1:]:
        yield indent + line
    if result.state == "ok" or not result.fixes:
        return
    yield from textwrap.wrap(
        f"why: {result.why}", width, initial_indent=below, subsequent_indent=f"{below}     "
    )
    # a fix stays on one line, whatever its length, so that it can be pasted
    for word, fix in zip(("fix:", *[" or:"] * len(result.fixes)), result.fixes, strict=False):
        yield f"{below}{word} {printable(fix)}"


def _summary(report: Report) -> str:
    from halab.doctor.check import HostCheckState

    warnings, failures = report.count(HostCheckState.WARNING), report.count(HostCheckState.FAILED)
    details = f", {counted(warnings, 'warning')}" if warnings else ""
    if report.hidden:
        details += f"; not checked without root: {', '.join(report.hidden)}"
    if report.could_run:
        return f"this host can run the lab {report.lab}{details}"
    return f"this host cannot run the lab {report.lab}: {counted(failures, 'problem')} to fix{details}"


def _summary_of_one(report: Report) -> str:
    [result] = report.results
    ending = {
        "ok": "passed",
        "warning": "passed, with a warning",
        "failed": "failed",
        "skipped": "was skipped",
    }
    return f"the check {result.name} {ending[result.state]}; the other checks were not run"
