"""What several commands share: their options, the lab that these name, and output as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.console import echo_raw

if TYPE_CHECKING:
    from halab.lifecycle.lab import LabDir

file_option = click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path),
    default="lab.yml",
    show_default=True,
    help="Use this lab file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

# Longer than any summary.
_SUMMARY_CHARACTERS = 1000


class CommandGroup(click.Group):
    """A group whose help has the complete summary of each command; click would cut it off at the end of the line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(_SUMMARY_CHARACTERS))
                    for name, command in commands.items()
                    if command
                ]
            )


def lab_dir_of(file: Path) -> LabDir:
    from halab.lifecycle.lab import open_file

    return open_file(file)


def print_json(value: Any) -> None:
    echo_raw(json.dumps(value, indent=2))
