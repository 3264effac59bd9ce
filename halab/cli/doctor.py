"""`halab doctor`: whether this host can run the lab, and what to do where it cannot."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo_as_it_is
from halab.cli.lab import json_option, print_json
from halab.printable import brief, printable

if TYPE_CHECKING:
    from halab.doctor import Report
    from halab.doctor.check import CheckResult
    from halab.lifecycle.lab import LabDir

_MARKS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}
_COLORS = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": None}
# The longest of a guest that does not come to its end.
_LIMIT_SECONDS = 15


@click.command("doctor")
@click.option(
    "-f", "--file", "file", type=click.Path(path_type=Path), default=None,
    help="The lab file.  [default: lab.yml, or a lab of defaults where there is none]",
)  # fmt: skip
@json_option
def doctor_command(file: Path | None, as_json: bool) -> int:
    """Look whether this host can run the lab, and say what to do where it cannot (exit 3).

    \b
    Example:
      halab doctor --json | jq '.checks[] | select(.state == "failed")'
    """
    from halab.cli.console import progress
    from halab.doctor import examine

    place = _place(file)
    with progress().step("look at this host", limit_seconds=_LIMIT_SECONDS):
        report = examine(place)
    if as_json:
        print_json(report.as_json())
    else:
        for line in report_lines(report, _width()):
            echo_as_it_is(line, color=False if os.environ.get("NO_COLOR") else None)
    return 0 if report.could_run else 3


def _width() -> int:
    return max(40, min(shutil.get_terminal_size().columns, 100))


def _place(file: Path | None) -> LabDir:
    from halab.config.lab import LabFile
    from halab.lifecycle.lab import LabDir, open_file
    from halab.machines.work import Work

    usual = Path("lab.yml")
    if file or usual.exists():
        return open_file(file or usual)
    work = Work.beside(usual)
    work.require_own()
    return LabDir(usual, LabFile(), work)


def report_lines(report: Report, width: int) -> Iterator[str]:
    """What the lab needs first, then what it does not; a fix may be longer than the width."""
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
    yield _summary(report)


def _result_lines(result: CheckResult, names: int, width: int) -> Iterator[str]:
    """What was seen and, where it is not well, why that matters and what to do."""
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
    # a fix stays on one line, however long, so that it can be pasted
    for word, fix in zip(("fix:", *[" or:"] * len(result.fixes)), result.fixes, strict=False):
        yield f"{below}{word} {printable(fix)}"


def _summary(report: Report) -> str:
    from halab.doctor.check import CheckState

    warnings, failures = report.count(CheckState.WARNING), report.count(CheckState.FAILED)
    noted = f", {warnings} to look at" if warnings else ""
    if report.hidden:
        noted += f"; not looked at without root: {', '.join(report.hidden)}"
    if report.could_run:
        return f"this host can run the lab {report.lab}{noted}"
    return f"this host cannot run the lab {report.lab}: {failures} to put right{noted}"
