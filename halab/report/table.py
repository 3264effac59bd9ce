"""A result as a table for the terminal, readable without colour."""

from __future__ import annotations

import io
import os
import shutil
import sys

from halab.config.quantities import spelled
from halab.report import page
from halab.scenario.result import Kind, Result, Standing

_WITHOUT_TERMINAL = 120
_STYLES = {
    Standing.KEPT: "green",
    Standing.BROKEN: "bold red",
    Standing.UNJUDGED: "yellow",
    Standing.LEFT_OUT: "dim",
}
_VERDICT_STYLES = {"pass": "bold green", "fail": "bold red", "error": "bold yellow", "skip": "bold"}


def text(result: Result) -> str:
    """The verdict, every promise with what was seen of it, and why where it is not a pass."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size((_WITHOUT_TERMINAL, 0)).columns
    sink = io.StringIO()
    console = Console(file=sink, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    verdict = Text(str(result.verdict).upper(), _VERDICT_STYLES[result.verdict])
    twin = " (its losing twin)" if result.is_twin else ""
    console.print(verdict, Text(f"{result.scenario}{twin}: {result.title}, {spelled(result.seconds)}"))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "", "promised", "seen"):
        table.add_column(name, overflow="fold")
    for name in ("measured", "bound"):
        table.add_column(name, justify="right", overflow="fold")
    for outcome in result.outcomes:
        # of many checks, those that passed are a number below
        if outcome.kind is Kind.CHECK and outcome.standing is Standing.KEPT:
            continue
        mark = Text(f"{page.MARKS[outcome.standing]} {outcome.standing}", _STYLES[outcome.standing])
        words = (outcome.name, outcome.promised, outcome.seen, page.measured(outcome), page.limit(outcome))
        table.add_row(mark, *map(Text, words))
    if result.outcomes:
        console.print(table)
    checks = [each for each in result.outcomes if each.kind is Kind.CHECK]
    if checks:
        passed = sum(each.standing is Standing.KEPT for each in checks)
        console.print(Text(f"checks: {passed} of {len(checks)} passed"))
    for reason in result.reasons:
        console.print(Text(f"why: {reason}"))
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines())
