"""Results as tables for the terminal, readable without colour."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from halab.config.quantities import format_duration
from halab.config.twin import Verdict, twin_name
from halab.printable import counted, one_line, printable
from halab.report import wording
from halab.report.bounds import MeasuredBounds
from halab.report.campaign import CLIENTS, RECOVERY, Campaign, Spread
from halab.report.history import ScenarioHistory
from halab.report.matrix import CellState, MatrixReport
from halab.report.promise_bounds import FEWEST_RUNS, MeasuredPromise, Standing
from halab.scenario.verdict.result import PromiseKind, PromiseStatus, Result

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from halab.report.comparison import Comparison

_DEFAULT_WIDTH = 120
_STYLES = {
    PromiseStatus.KEPT: "green",
    PromiseStatus.BROKEN: "bold red",
    PromiseStatus.UNJUDGED: "yellow",
    PromiseStatus.LEFT_OUT: "dim",
}
_VERDICT_STYLES = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold yellow",
    Verdict.SKIP: "bold",
}
_CELL_STYLES = {
    CellState.FAIL: "bold red",
    CellState.FLAKY: "bold red",
    CellState.ERROR: "bold yellow",
    CellState.NOT_RUN: "dim",
    CellState.PASS: "bold green",
    CellState.SKIP: "bold",
}
# With more cells, only those that did not pass are printed.
_MOST_CELLS = 40
# So many of the newest runs are drawn in a line of a history.
_MOST_COLUMNS = 30
_STANDING_STYLES = {
    Standing.BROKEN: "bold red",
    Standing.TIGHT: "red",
    Standing.LOOSE: "yellow",
    Standing.FITS: "green",
    Standing.UNMEASURED: "dim",
}


def text(result: Result) -> str:
    """The verdict, all promises with what was seen, and the reasons if it is not a pass."""
    from rich.text import Text

    sink, console = _console()
    name = twin_name(result.scenario) if result.is_twin else result.scenario
    title = f"{name}: {result.title}, {format_duration(result.seconds)}"
    where = f", on {result.provider}" if result.provider else ""
    console.print(_verdict(result.verdict), _text(f"{title}{where}"))
    table = _table(("", "", "promised", "seen"), ("measured", "bound"))
    for outcome in result.outcomes:
        # there may be many checks: those that passed are only counted below
        if outcome.kind is PromiseKind.CHECK and outcome.standing is PromiseStatus.KEPT:
            continue
        mark = Text(f"{wording.MARKS[outcome.standing]} {outcome.standing}", _STYLES[outcome.standing])
        seen = one_line(outcome.seen)
        cells = (outcome.name, outcome.promised, seen, wording.measured(outcome), wording.limit(outcome))
        table.add_row(mark, *map(_text, cells))
    if result.outcomes:
        console.print(table)
    checks = [outcome for outcome in result.outcomes if outcome.kind is PromiseKind.CHECK]
    if checks:
        passed = sum(check.standing is PromiseStatus.KEPT for check in checks)
        console.print(Text(f"checks: {passed} of {len(checks)} passed"))
    for reason in result.reasons:
        console.print(_text(f"why: {reason}"))
    if note := wording.busy_host(result):
        console.print(_text(f"note: {note}"))
    return _stripped(sink)


def overview(campaign: Campaign) -> str:
    """A line per scenario, the reasons for unexpected verdicts, and the number of runs per verdict."""
    from rich.text import Text

    sink, console = _console()
    table = _table(("", "scenario"), ("runs", "outage", "p95", "recovery", "p95", "bound", "time"))
    for tally in campaign.tallies:
        twin = f" (its losing twin, expected: {tally.expected})" if tally.is_twin else ""
        outage, recovery = tally.spread(CLIENTS), tally.spread(RECOVERY)
        bound = recovery.bounds if recovery else ""
        cells = (
            f"{tally.scenario}{twin}",
            f"{tally.as_expected_count} of {len(tally.runs)}" if len(tally.runs) > 1 else "",
            *_amounts(outage),
            *_amounts(recovery),
            bound,
            format_duration(tally.seconds),
        )
        table.add_row(_verdict(tally.verdict), *map(_text, cells))
    for planned in campaign.not_run:
        table.add_row(Text("NOT RUN", "dim"), _text(f"{planned.name}: {planned.why}"))
    console.print(table)
    for tally in campaign.tallies:
        if tally.as_expected_count < len(tally.runs):
            for reason in tally.reasons:
                console.print(_text(f"why {tally.scenario}: {reason}"))
    totals = ", ".join(f"{count} {verdict}" for verdict, count in campaign.totals.items() if count)
    console.print(
        Text(f"runs: {totals or 'none'}, in {format_duration(campaign.seconds)}, seed {campaign.seed}")
    )
    return _stripped(sink)


def comparison(compared: Comparison) -> str:
    """A line per scenario, figure and lab: what clients lost, and the recovery."""
    from rich.text import Text

    sink, console = _console()
    first = compared.labs[0].name
    table = _table(("scenario", "figure", "lab"), ("passed", "p50", "worst"), (f"vs {first}",))
    for block in compared.main_blocks:
        for number, row in enumerate(block.rows):
            names = (block.scenario, block.figure) if number == 0 else ("", "")
            table.add_row(
                *map(_text, (*names, row.lab, f"{row.passed} of {row.runs}", row.p50, row.worst)),
                Text(row.against_first, "bold" if row.is_clear else "dim"),
            )
    console.print(table)
    for lab in compared.labs:
        if lab.why_not_run:
            what = "" if lab.campaign else " has no runs"
            console.print(_text(f"{lab.name}{what}: {lab.why_not_run}"))
    return _stripped(sink)


def matrix(report: MatrixReport) -> str:
    """A line per cell, or only for those that did not pass if there are many, the reasons, and the totals."""
    from rich.text import Text

    sink, console = _console()
    shown = [
        cell for cell in report.cells if len(report.cells) <= _MOST_CELLS or cell.state is not CellState.PASS
    ]
    table = _table(("", "scenario", "lab", "runs"), ())
    for cell in shown:
        state = Text(str(cell.state).upper(), _CELL_STYLES[cell.state])
        table.add_row(state, *map(_text, (cell.scenario, cell.lab.name, cell.in_words)))
    if shown:
        console.print(table)
    for cell in report.to_look_at:
        for reason in cell.reasons:
            console.print(_text(f"why {cell.scenario} on {cell.lab.name}: {reason}"))
    totals = ", ".join(f"{count} {state}" for state, count in report.totals.items())
    console.print(_text(f"cells: {totals}, in {format_duration(report.seconds)}, seed {report.seed}"))
    return _stripped(sink)


def bounds(measured: MeasuredBounds, only: Collection[str] = ()) -> str:
    """A table for each scenario and place, then the totals. `only` are the standings of the promises that are shown."""
    from rich.text import Text

    sink, console = _console()
    for each in measured.scenarios:
        promises = [promise for promise in each.promises if not only or promise.is_like(only)]
        if only and not promises:
            continue
        heading = Text(printable(each.scenario), "bold")
        console.print(heading.append(_text(f" behind {each.place_in_words}: {each.runs_in_words}")))
        table = _table(("", "promised"), ("runs", "p50", "p95", "worst"), ("bounds",))
        for promise in promises:
            cells = (promise.name, promise.promised, *_measured(promise))
            table.add_row(*map(_text, cells), _standing(promise))
        if promises:
            console.print(table)
        console.print()
    if measured.without_runs:
        console.print(_text(f"no runs: {', '.join(measured.without_runs)}"))
    totals = ", ".join(f"{count} {standing}" for standing, count in measured.totals.items() if count)
    console.print(_text(f"promises: {totals or 'none'}; with fewer than {FEWEST_RUNS} runs: {measured.few}"))
    return _stripped(sink)


def history(shown: ScenarioHistory) -> str:
    """For each place, the verdicts of its runs and a line for each figure. Drawings have the oldest run on the left."""
    from rich.text import Text

    sink, console = _console()
    console.print(Text(printable(shown.name), "bold").append(_text(f": {shown.title}")))
    for place in shown.places:
        console.print()
        console.print(_text(f"behind {place.in_words}"))
        table = _table(("", "promised"), ("runs", "p50", "p95", "worst", "newest"), ("over time",))
        marks = "".join(wording.VERDICT_MARKS[run.verdict] for run in place.runs[-_MOST_COLUMNS:])
        table.add_row("verdict", "", str(len(place.runs)), "", "", "", str(place.runs[-1].verdict), marks)
        for series in place.series:
            spread = series.spread
            amounts = (spread.p50, spread.p95, spread.worst, spread.values[-1])
            drawn = [figure.value if figure else None for figure in series.figures[-_MOST_COLUMNS:]]
            table.add_row(
                *map(_text, (spread.name, spread.promised, str(len(spread.values)))),
                *(_text(series.amount(value)) for value in amounts),
                wording.heights(drawn),
            )
        console.print(table)
    return _stripped(sink)


def _measured(promise: MeasuredPromise) -> tuple[str, str, str, str]:
    """The number of runs, p50, p95 and the worst."""
    spread, unit = promise.spread, promise.limit.unit
    if spread is None:
        return "0", "", "", ""
    amounts = [wording.amount(unit, value) for value in (spread.p50, spread.p95, spread.worst)]
    return str(len(promise.values)), amounts[0], amounts[1], amounts[2]


def _standing(promise: MeasuredPromise) -> Text:
    """`loose: propose 5s`, `broken in 2 runs`, `fits, 3 of 10 runs`."""
    from rich.text import Text

    words = str(promise.standing)
    if promise.broken:
        words += f" in {counted(promise.broken, 'run')}"
    if promise.proposal:
        words += f": propose {promise.proposal}"
    elif promise.is_few and promise.values:
        words += f", {len(promise.values)} of {FEWEST_RUNS} runs"
    return Text(printable(words), _STANDING_STYLES[promise.standing])


def _amounts(spread: Spread | None) -> tuple[str, str]:
    """The p50, and the p95 of several values."""
    if spread is None:
        return "", ""
    return format_duration(spread.p50), format_duration(spread.p95) if len(spread.values) > 1 else ""


def _text(text: str) -> Text:
    """Text that may come from a file or a machine: control characters are escaped."""
    from rich.text import Text

    return Text(printable(text))


def _verdict(verdict: Verdict) -> Text:
    from rich.text import Text

    return Text(str(verdict).upper(), _VERDICT_STYLES[verdict])


def _console() -> tuple[io.StringIO, Console]:
    from rich.console import Console

    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size((_DEFAULT_WIDTH, 0)).columns
    sink = io.StringIO()
    return sink, Console(file=sink, width=width, force_terminal=colour, no_color=not colour, highlight=False)


def _table(texts: Sequence[str], figures: Sequence[str], notes: Sequence[str] = ()) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", overflow="fold")
    for name in notes:
        table.add_column(name, overflow="fold")
    return table


def _stripped(sink: io.StringIO) -> str:
    return "\n".join(line.rstrip() for line in sink.getvalue().splitlines())
