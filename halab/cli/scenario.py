"""Verbs that need no lab: which scenarios there are, and what a recorded run came to."""

from __future__ import annotations

from pathlib import Path

import click

from halab.cli.console import echo_as_it_is
from halab.cli.lab import json_option, print_json


@click.command("scenarios")
@json_option
def scenarios_command(as_json: bool) -> None:
    """List the scenarios that halab carries.

    \b
    Example:
      halab scenarios
    """
    from halab.cli.console import table
    from halab.scenario import library

    found = [library.find(name) for name in library.names()]
    if as_json:
        print_json([{"name": each.name, "title": each.scenario.title, "tags": list(each.scenario.tags),
                     "teaches": each.scenario.teaches} for each in found])  # fmt: skip
    else:
        table(
            ["NAME", "TITLE", "TAGS"],
            [(s.name, s.scenario.title, ", ".join(s.scenario.tags)) for s in found],
        )


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def report_command(folder: Path, as_json: bool) -> int:
    """Judge a recorded run, or all of a campaign, again and write the reports anew; no lab is needed.

    \b
    Examples:
      halab report .halab/runs/20261123-101500-stop-apiserver
      halab report .halab/runs/20261123-101500-campaign
    """
    from halab.cli.verdicts import exit_code, print_result, print_results
    from halab.report import table
    from halab.report.render import render
    from halab.report.written import is_campaign, render_campaign
    from halab.scenario.folder import RunFolder

    if is_campaign(folder):
        campaign = render_campaign(folder)
        if as_json:
            print_results(campaign.runs)
        else:
            echo_as_it_is(table.overview(campaign))
        return exit_code([str(verdict) for verdict in campaign.against_expected])
    run = RunFolder.existing(folder)
    result = render(run)
    if as_json:
        print_results([(run, result)])
    else:
        print_result(run, result)
    return exit_code([str(result.verdict)])
