"""What several commands share: their options, the lab that these name, and output as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.console import echo_raw

if TYPE_CHECKING:
    from halab.lifecycle.lab import LabDir
    from halab.trials.rule import Rule

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
                    if command and not command.hidden
                ]
            )


class FileGroup(CommandGroup):
    """A group with a command whose name can be left out before a file: `halab gameday FILE`, without `play`."""

    def __init__(self, *args: Any, for_files: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._for_files = for_files

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # no command has a dot or a slash in its name
        if "." in args[0] or "/" in args[0]:
            return self._for_files, self.commands[self._for_files], args
        return super().resolve_command(ctx, args)


def lab_dir_of(file: Path) -> LabDir:
    from halab.lifecycle.lab import open_file

    return open_file(file)


def print_json(value: Any) -> None:
    echo_raw(json.dumps(value, indent=2))


def rule_of(repeat: int, at_least: int, shows: str) -> Rule:
    """The rule of these options. Raises BadUsage if they contradict each other."""
    from halab.config.twin import Verdict
    from halab.errors import BadUsage
    from halab.trials.rule import Rule

    if at_least > repeat:
        raise BadUsage(f"--at-least {at_least} is more than --repeat {repeat}")
    return Rule(repeat, at_least, Verdict(shows))
