"""Commands that need no lab: list scenarios, and judge a recorded run again."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.complete import scenario_names
from halab.cli.console import echo, echo_raw
from halab.cli.options import json_option, print_json

if TYPE_CHECKING:
    from halab.scenario.run.library import Script


_WIDTH = 100


@click.command("scenarios")
@click.argument("names", nargs=-1, shell_complete=scenario_names)
@json_option
def scenarios_command(names: tuple[str, ...], as_json: bool) -> None:
    """List the built-in scenarios, or describe the scenarios with these names or paths.

    \b
    Example:
      halab scenarios
      halab scenarios kill-etcd-member
      halab scenarios ./mine.yml --json
    """
    from halab.cli.console import table
    from halab.scenario.run import description, library

    scripts = library.find_all(names or library.names())
    if as_json:
        print_json([description.as_data(script) for script in scripts])
    elif names:
        echo("\n\n".join("\n".join(description_lines(script)) for script in scripts))
    else:
        table(
            ["NAME", "TITLE", "TAGS"],
            [(s.name, s.scenario.title, ", ".join(s.scenario.tags)) for s in scripts],
        )


def description_lines(script: Script) -> Iterator[str]:
    """A scenario in prose, wrapped to lines."""
    from halab.scenario.run import description

    return wrapped(description.paragraphs(script))


def wrapped(paragraphs: Iterable[tuple[str, Sequence[str]]]) -> Iterator[str]:
    """Headings with sentences, wrapped to lines."""
    for number, (heading, sentences) in enumerate(paragraphs):
        if number:
            yield ""
        if heading:
            yield heading
        indent = "  " if heading else ""
        for sentence in sentences:
            # later lines of a numbered step are indented to its first word
            number_of_step = re.match(r"\d+\. ", sentence)
            below = indent + " " * (number_of_step.end() if number_of_step else 0)
            yield from textwrap.wrap(
                sentence, _WIDTH, initial_indent=indent, subsequent_indent=below,
                break_on_hyphens=False, break_long_words=False,
            )  # fmt: skip


@click.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@json_option
def report_command(folder: Path, as_json: bool) -> int:
    """Judge a recorded run or campaign again and rewrite its reports. No lab is needed.

    Exit code: 0 all passed, 1 one failed, 3 one ended in an error or all were skipped. A losing twin that ended as it
    declares counts as passed in a campaign.

    \b
    Example:
      halab report .halab/runs/20261123-101500-stop-apiserver
      halab report .halab/runs/20261123-101500-campaign
    """
    from halab.cli.verdicts import exit_code, print_result, print_results
    from halab.report import table
    from halab.report.recorded_campaign import is_campaign, render_campaign
    from halab.report.render import render
    from halab.scenario.record.folder import RunFolder

    if is_campaign(folder):
        campaign = render_campaign(folder)
        if as_json:
            print_results(campaign.runs)
        else:
            echo_raw(table.overview(campaign))
        return exit_code([str(verdict) for verdict in campaign.compared_with_expected])
    run = RunFolder.existing(folder)
    result = render(run)
    if as_json:
        print_results([(run, result)])
    else:
        print_result(run, result)
    return exit_code([str(result.verdict)])
