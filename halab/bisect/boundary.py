"""The runs of the two versions at the boundary, side by side, as a report for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from halab.bisect.session import Bisection
from halab.report import comparison
from halab.report.campaign import Campaign
from halab.report.comparison import ComparedLab, Comparison
from halab.report.render import render
from halab.scenario.record.folder import RunFolder


def report(bisection: Bisection, folder: Path, command: Sequence[str]) -> Path:
    """Judge the recorded runs of both versions, write their comparison into `folder`, and return its page."""
    search = bisection.search
    labs = [_lab(bisection, version, folder) for version in (search.last_good, search.first_bad)]
    campaigns = [lab.campaign for lab in labs if lab.campaign]
    return comparison.write(
        folder,
        Comparison(
            labs,
            tuple(command),
            min(campaign.started for campaign in campaigns),
            sum(campaign.seconds for campaign in campaigns),
        ),
    )


def _lab(bisection: Bisection, version: str, folder: Path) -> ComparedLab:
    places = [RunFolder(folder / run.folder) for run in bisection.log.runs if run.version == version]
    runs = [(place, render(place)) for place in places]
    campaign = Campaign(
        name=f"{bisection.component} {version}",
        seed=places[0].read_meta().seed,
        order=[result.scenario for _, result in runs],
        runs=runs,
        started=runs[0][1].started,
        seconds=sum(result.seconds for _, result in runs),
    )
    return ComparedLab(version, f"{bisection.component}={version}", campaign)
