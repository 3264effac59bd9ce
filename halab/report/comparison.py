"""The same scenarios on several labs, side by side: what was measured, and whether a difference is more than noise."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from halab import templates
from halab.config.quantities import format_duration
from halab.config.twin import Verdict
from halab.files import replace
from halab.report import wording
from halab.report.campaign import CLIENTS, RECOVERY, Campaign, Spread, Tally
from halab.report.difference import FEWEST_RUNS, Difference, difference
from halab.report.run_entries import relative
from halab.scenario.record.folder import Meta

SCHEMA = 1
PAGE, JSON = "comparison.html", "comparison.json"
# Only these runs are sound evidence; the others count as runs without a figure.
_JUDGED = (Verdict.PASS, Verdict.FAIL)
_MOST_RUNS = 1000


@dataclass(frozen=True)
class ComparedLab:
    """One lab of a comparison: its settings as people write them, and its runs; `why_not_run` if it has none."""

    name: str
    settings: str
    campaign: Campaign | None
    why_not_run: str = ""

    @cached_property
    def tallies(self) -> dict[str, Tally]:
        """Scenario → its judged runs."""
        tallies = self.campaign.tallies if self.campaign else []
        judged = {
            str(tally): tuple((folder, result) for folder, result in tally.runs if result.verdict in _JUDGED)
            for tally in tallies
        }
        return {str(tally): Tally(tally.scenario, tally.is_twin, judged[str(tally)]) for tally in tallies}

    def runs_of(self, scenario: str) -> tuple[int, int]:
        """How many runs of a scenario passed, and how many took place."""
        verdicts = [result.verdict for _, result in self._runs if result.scenario == scenario]
        return verdicts.count(Verdict.PASS), len(verdicts)

    @property
    def _runs(self) -> Sequence[Any]:
        return self.campaign.runs if self.campaign else ()


@dataclass(frozen=True)
class Row:
    """One figure of one scenario on one lab. `difference` is that to the first lab, if both measured the figure."""

    lab: str
    passed: int
    runs: int
    spread: Spread | None
    difference: Difference | None = None

    @property
    def is_clear(self) -> bool:
        return self.difference is not None and self.difference.is_clear

    @property
    def against_first(self) -> str:
        """The difference as people read it; empty without one."""
        return in_words(self.difference, self.spread) if self.difference and self.spread else ""

    @property
    def p50(self) -> str:
        return wording.amount(self.spread.unit, self.spread.p50) if self.spread else ""

    @property
    def worst(self) -> str:
        return wording.amount(self.spread.unit, self.spread.worst) if self.spread else ""


@dataclass(frozen=True)
class Block:
    """One figure of one scenario, with a row for each lab."""

    scenario: str
    title: str
    figure: str
    rows: tuple[Row, ...]

    @property
    def is_main(self) -> bool:
        """True for what every scenario measures: what clients lost, and the recovery."""
        return self.figure in (CLIENTS, RECOVERY)


@dataclass(frozen=True)
class Comparison:
    """All labs of a comparison, the first of which the others are compared with. `command` made it."""

    labs: Sequence[ComparedLab]
    command: Sequence[str]
    started: str
    seconds: float

    @cached_property
    def blocks(self) -> list[Block]:
        return [
            block for scenario in self._scenarios for block in _blocks(scenario, self.labs) if block.rows
        ]

    @property
    def main_blocks(self) -> list[Block]:
        return [block for block in self.blocks if block.is_main]

    @property
    def other_blocks(self) -> list[Block]:
        return [block for block in self.blocks if not block.is_main]

    @property
    def _scenarios(self) -> list[str]:
        return list(dict.fromkeys(scenario for lab in self.labs for scenario in lab.tallies))


def write(folder: Path, comparison: Comparison) -> Path:
    """Write the page and the JSON file into a folder, and return the path of the page."""
    replace(folder / JSON, text(folder, comparison))
    replace(folder / PAGE, html(folder, comparison))
    return folder / PAGE


def html(folder: Path, comparison: Comparison) -> str:
    """The page. Its links to the pages of the runs are relative to `folder`."""

    def links(lab: ComparedLab, scenario: str) -> list[tuple[str, str]]:
        runs = lab.campaign.runs if lab.campaign else ()
        return [
            (relative(run.page, folder), str(result.verdict))
            for run, result in runs
            if result.scenario == scenario
        ]

    metas = [lab.campaign.meta for lab in comparison.labs if lab.campaign and lab.campaign.meta]
    return templates.page(
        "comparison.html",
        comparison=comparison,
        command=shlex.join(comparison.command),
        how_to_repeat=wording.how_to_repeat(comparison.command),
        duration=format_duration,
        links=links,
        in_common=_in_common(metas),
        started=comparison.started.replace("T", " at ", 1),
    )


def _in_common(metas: Sequence[Meta]) -> list[tuple[str, str]]:
    """The provider and the versions that all labs have. A version that is compared is a setting of its lab."""
    facts = [[("provider", meta.provider), *wording.versions(meta)] for meta in metas]
    return [fact for fact in facts[0] if all(fact in others for others in facts)] if facts else []


def text(folder: Path, comparison: Comparison) -> str:
    """The same report as JSON, for programs."""
    values = {
        "schema": SCHEMA,
        "command": list(comparison.command),
        "started": comparison.started,
        "seconds": round(comparison.seconds, 3),
        "labs": [
            {"name": lab.name, "settings": lab.settings, "not_run": lab.why_not_run or None}
            for lab in comparison.labs
        ],
        "figures": [
            {
                "scenario": block.scenario,
                "figure": block.figure,
                "labs": [_row_as_data(row) for row in block.rows],
            }
            for block in comparison.blocks
        ],
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _row_as_data(row: Row) -> dict[str, Any]:
    spread, seen = row.spread, row.difference
    return {
        "lab": row.lab,
        "passed": row.passed,
        "runs": row.runs,
        "unit": str(spread.unit) if spread else None,
        "p50": spread.p50 if spread else None,
        "worst": spread.worst if spread else None,
        "values": list(spread.values) if spread else [],
        "difference": seen
        and {
            "shift": seen.shift,
            "low": seen.low,
            "high": seen.high,
            "is_clear": seen.is_clear,
            "runs_needed": seen.runs_needed,
        },
    }


def _blocks(scenario: str, labs: Sequence[ComparedLab]) -> Iterator[Block]:
    """The figures of a scenario that at least one lab measured."""
    tallies = [lab.tallies.get(scenario) for lab in labs]
    measured = [(tally.spreads if tally and tally.runs else []) for tally in tallies]
    title = next((tally.title for tally in tallies if tally and tally.runs), "")
    names = dict.fromkeys((spread.name, spread.promised) for spreads in measured for spread in spreads)
    for name, promised in names:
        spreads = [
            next((spread for spread in of_lab if (spread.name, spread.promised) == (name, promised)), None)
            for of_lab in measured
        ]
        rows = [
            _row(lab, scenario, spread, spreads[0] if number else None)
            for number, (lab, spread) in enumerate(zip(labs, spreads, strict=True))
        ]
        figure = name if name in (CLIENTS, RECOVERY) else ": ".join(filter(None, (name, promised)))
        yield Block(scenario, title, figure, tuple(rows))
    if not names:
        yield Block(scenario, title, CLIENTS, tuple(_row(lab, scenario, None, None) for lab in labs))


def _row(lab: ComparedLab, scenario: str, spread: Spread | None, first: Spread | None) -> Row:
    passed, runs = lab.runs_of(scenario)
    seen = difference(first.values, spread.values) if first and spread else None
    return Row(lab.name, passed, runs, spread, seen)


def in_words(seen: Difference, spread: Spread) -> str:
    """The difference to the first lab as people read it."""

    def signed(value: float) -> str:
        return ("+" if value > 0 else "−" if value < 0 else "") + wording.amount(spread.unit, abs(value))

    if seen.low is None or seen.high is None:
        return f"{signed(seen.shift)}; too few runs: at least {FEWEST_RUNS} of each lab are needed"
    interval = f"{signed(seen.low)} to {signed(seen.high)}"
    if seen.is_clear:
        return f"{signed(seen.shift)} ({interval})"
    if seen.runs_needed is None:
        return "no difference" if seen.low == seen.high == 0 else f"no clear difference ({interval})"
    many = f"more than {_MOST_RUNS}" if seen.runs_needed > _MOST_RUNS else f"about {seen.runs_needed}"
    return (
        f"no clear difference ({interval}): to show {signed(seen.shift)}, {many} runs of each lab are needed"
    )
