"""Several runs as one report: a page with a row for every scenario, one JUnit file, one JSON file."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halab import templates
from halab.config.quantities import format_duration
from halab.config.twin import Verdict
from halab.files import replace
from halab.report import junit, wording
from halab.report.campaign import CLIENTS, GRAVEST, RECOVERY, Campaign, Spread, Tally, gravest
from halab.report.page import Tile

SCHEMA = 1
PAGE, JUNIT, JSON = "overview.html", "junit.xml", "campaign.json"
MEANINGS = {
    Verdict.PASS: "Every run came out as it had to.",
    Verdict.FAIL: "A promise was broken, or a losing twin did not lose.",
    Verdict.ERROR: "Not all of it is known: something was not run, or could not be judged.",
    Verdict.SKIP: "This lab can do none of it.",
}


@dataclass(frozen=True)
class Amount:
    """A figure as it is shown: one value, or p50 and p95 of several; how far it comes to its bound."""

    value: str
    note: str
    filled: float | None = None
    is_over: bool = False


def write(folder: Path, campaign: Campaign) -> Path:
    """Write the merged report into a folder; the path of its page."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(folder / JSON, text(folder, campaign))
    replace(folder / JUNIT, junit.merged(campaign))
    replace(folder / PAGE, html(folder, campaign))
    return folder / PAGE


def html(folder: Path, campaign: Campaign) -> str:
    """The page, with links to the pages of the runs relative to its folder."""

    def link(run: Path) -> str:
        return Path(os.path.relpath(run, folder)).as_posix()

    meta = campaign.meta
    return templates.page(
        "overview.html",
        campaign=campaign,
        # what needs a look comes first, else in the order in which it was played
        tallies=sorted(campaign.tallies, key=lambda tally: GRAVEST.index(gravest(tally.against_expected))),
        meta=meta,
        versions=[] if meta is None else wording.versions(meta),
        verdicts=[(verdict, count) for verdict, count in campaign.totals.items() if count],
        tiles=list(_tiles(campaign)),
        verdict=campaign.verdict,
        meaning=MEANINGS[campaign.verdict],
        colour=lambda tally: gravest(tally.against_expected),
        command=shlex.join(meta.command) if meta else "",
        link=link,
        clients=lambda tally: _amount(tally.spread(CLIENTS)),
        recovery=lambda tally: _amount(tally.spread(RECOVERY)),
        amount=wording.amount,
        duration=format_duration,
        started=campaign.started.replace("T", " at ", 1),
    )


def text(folder: Path, campaign: Campaign) -> str:
    """The same for programs."""
    meta = campaign.meta
    values = {
        "schema": SCHEMA,
        "name": campaign.name,
        "seed": campaign.seed,
        "order": list(campaign.order),
        "started": campaign.started,
        "seconds": round(campaign.seconds, 3),
        "lab": meta.lab if meta else None,
        "versions": {} if meta is None else dict(wording.versions(meta)),
        "totals": {str(verdict): count for verdict, count in campaign.totals.items()},
        "scenarios": [_scenario(folder, tally) for tally in campaign.tallies],
        "not_run": [{"scenario": each.name, "why": each.why} for each in campaign.not_run],
        "repairs": list(campaign.repairs),
    }
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def _scenario(folder: Path, tally: Tally) -> dict[str, Any]:
    return {
        "scenario": tally.scenario,
        "title": tally.title,
        "is_twin": tally.is_twin,
        "verdict": str(tally.verdict),
        "expected": str(tally.expected),
        "runs": [
            {
                "folder": Path(os.path.relpath(run.path, folder)).as_posix(),
                "verdict": str(result.verdict),
                "reasons": list(result.reasons),
                "seconds": round(result.seconds, 3),
                "recovery_seconds": result.recovery_seconds,
            }
            for run, result in tally.runs
        ],
        "figures": [
            {
                "name": each.name, "what": each.promised, "unit": str(each.unit), "least": each.least,
                "most": each.most, "p50": each.p50, "p95": each.p95, "worst": each.worst,
                "values": list(each.values),
            }
            for each in tally.spreads
        ],
    }  # fmt: skip


def _tiles(campaign: Campaign) -> Iterator[Tile]:
    tallies = campaign.tallies
    good = sum(tally.as_expected == len(tally.runs) for tally in tallies)
    skipped = sum(tally.verdict is Verdict.SKIP for tally in tallies)
    left = {planned.name for planned in campaign.not_run} - {str(tally) for tally in tallies}
    judged = len(tallies) - skipped + len(left)
    twins = bool(tallies) and all(tally.is_twin for tally in tallies)
    name = "twins that lost as they must" if twins else "scenarios that came out as they must"
    notes = [f"{skipped} skipped"] * bool(skipped) + [f"{len(left)} not run"] * bool(left)
    yield Tile(name, f"{good} of {judged}", ", ".join(notes), "good" if good == judged > 0 else "bad")
    if campaign.is_repeated:
        yield Tile("runs", str(len(campaign.runs)), f"of {len(tallies)} scenarios")
    outages = [(spread.worst, tally) for tally in tallies if (spread := tally.spread(CLIENTS))]
    if outages and not twins:
        worst, tally = max(outages, key=lambda each: each[0])
        yield Tile(CLIENTS, format_duration(worst) if worst else "none", tally.scenario)
    recoveries = [(spread.worst, tally) for tally in tallies if (spread := tally.spread(RECOVERY))]
    if recoveries and not twins:
        worst, tally = max(recoveries, key=lambda each: each[0])
        yield Tile("longest recovery", format_duration(worst), tally.scenario)
    yield Tile(
        "time in all", format_duration(campaign.seconds), f"begun {campaign.started.replace('T', ' at ', 1)}"
    )


def _amount(spread: Spread | None) -> Amount | None:
    if spread is None:
        return None
    notes = [f"p95 {wording.amount(spread.unit, spread.p95)}"] * (len(spread.values) > 1)
    notes += [f"bound {spread.bounds}"] * bool(spread.bounds)
    filled = min(1.0, spread.worst / spread.most) if spread.most else None
    is_over = spread.most is not None and spread.worst > spread.most
    return Amount(wording.amount(spread.unit, spread.p50), ", ".join(notes), filled, is_over)
