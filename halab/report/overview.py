"""One report of several runs: a page with a row per scenario, a JUnit file, a JSON file."""

from __future__ import annotations

import json
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
from halab.report.campaign import BY_SEVERITY, CLIENTS, RECOVERY, Campaign, Spread, Tally, most_severe
from halab.report.page import Tile
from halab.report.run_entries import entries, relative

SCHEMA = 1
PAGE, JUNIT, JSON = "overview.html", "junit.xml", "campaign.json"
MEANINGS = {
    Verdict.PASS: "Every run ended as expected.",
    Verdict.FAIL: "A promise was broken, or a losing twin did not lose.",
    Verdict.ERROR: "The result is incomplete: a run did not take place, or could not be judged.",
    Verdict.SKIP: "This lab cannot run any of these scenarios.",
}


@dataclass(frozen=True)
class Amount:
    """A figure on the page: one value, or p50 and p95 of several. `filled`: the worst value divided by its bound."""

    value: str
    note: str
    filled: float | None = None
    is_over: bool = False


def write(folder: Path, campaign: Campaign) -> Path:
    """Write the report of all runs into a folder, and return the path of its page."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace(folder / JSON, text(folder, campaign))
    replace(folder / JUNIT, junit.merged(campaign))
    replace(folder / PAGE, html(folder, campaign))
    return folder / PAGE


def html(folder: Path, campaign: Campaign) -> str:
    """The page. Its links to the pages of the runs are relative to `folder`."""

    def link(run: Path) -> str:
        return relative(run, folder)

    meta = campaign.meta
    return templates.page(
        "overview.html",
        campaign=campaign,
        # unexpected verdicts come first; the sort keeps the order of the runs otherwise
        tallies=sorted(
            campaign.tallies, key=lambda tally: BY_SEVERITY.index(most_severe(tally.compared_with_expected))
        ),
        meta=meta,
        versions=[] if meta is None else wording.versions(meta),
        verdicts=[(verdict, count) for verdict, count in campaign.totals.items() if count],
        tiles=list(_tiles(campaign)),
        verdict=campaign.verdict,
        meaning=MEANINGS[campaign.verdict],
        colour=lambda tally: most_severe(tally.compared_with_expected),
        command=shlex.join(meta.command) if meta else "",
        how_to_repeat=wording.how_to_repeat(meta.command) if meta else "",
        link=link,
        clients=lambda tally: _amount(tally.spread(CLIENTS)),
        recovery=lambda tally: _amount(tally.spread(RECOVERY)),
        amount=wording.amount,
        duration=format_duration,
        started=campaign.started.replace("T", " at ", 1),
    )


def text(folder: Path, campaign: Campaign) -> str:
    """The same report as JSON, for programs."""
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
        "not_run": [{"scenario": run.name, "why": run.why} for run in campaign.not_run],
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
        "runs": entries(tally.runs, folder),
        "figures": [
            {
                "name": spread.name, "what": spread.promised, "unit": str(spread.unit), "least": spread.least,
                "most": spread.most, "p50": spread.p50, "p95": spread.p95, "worst": spread.worst,
                "values": list(spread.values),
            }
            for spread in tally.spreads
        ],
    }  # fmt: skip


def _tiles(campaign: Campaign) -> Iterator[Tile]:
    tallies = campaign.tallies
    expected = sum(tally.as_expected_count == len(tally.runs) for tally in tallies)
    skipped = sum(tally.verdict is Verdict.SKIP for tally in tallies)
    missing = {run.name for run in campaign.not_run} - {str(tally) for tally in tallies}
    judged = len(tallies) - skipped + len(missing)
    are_twins = bool(tallies) and all(tally.is_twin for tally in tallies)
    name = "losing twins that lost as expected" if are_twins else "scenarios that ended as expected"
    notes = [f"{skipped} skipped"] * bool(skipped) + [f"{len(missing)} not run"] * bool(missing)
    yield Tile(
        name, f"{expected} of {judged}", ", ".join(notes), "good" if expected == judged > 0 else "bad"
    )
    if campaign.is_repeated:
        yield Tile("runs", str(len(campaign.runs)), f"of {len(tallies)} scenarios")
    outages = [(spread.worst, tally) for tally in tallies if (spread := tally.spread(CLIENTS))]
    if outages and not are_twins:
        worst, tally = max(outages, key=lambda outage: outage[0])
        yield Tile(CLIENTS, format_duration(worst) if worst else "none", tally.scenario)
    recoveries = [(spread.worst, tally) for tally in tallies if (spread := tally.spread(RECOVERY))]
    if recoveries and not are_twins:
        worst, tally = max(recoveries, key=lambda recovery: recovery[0])
        yield Tile("longest recovery", format_duration(worst), tally.scenario)
    yield Tile(
        "total time",
        format_duration(campaign.seconds),
        f"started {campaign.started.replace('T', ' at ', 1)}",
    )


def _amount(spread: Spread | None) -> Amount | None:
    if spread is None:
        return None
    notes = [f"p95 {wording.amount(spread.unit, spread.p95)}"] * (len(spread.values) > 1)
    notes += [f"bound {spread.bounds}"] * bool(spread.bounds)
    filled = min(1.0, spread.worst / spread.most) if spread.most else None
    is_over = spread.most is not None and spread.worst > spread.most
    return Amount(wording.amount(spread.unit, spread.p50), ", ".join(notes), filled, is_over)
