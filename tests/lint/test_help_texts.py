"""Help texts of the command line are imperative: "Stop the lab's machines and keep their disks."

The list below is reviewed by people. A new text begins with a word of the list, or the word is added on purpose.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import pytest

from halab.cli import cli

# The verbs with which the help of a command or of an option may begin.
VERBS = frozenset(
    {
        "Add", "Answer", "Build", "Check", "Delete", "End", "Find", "Heal", "Inject", "Judge", "Keep", "List", "Open",
        "Overwrite", "Practise", "Print", "Rebuild", "Remove", "Restore", "Run", "Save",
        "Select", "Set", "Show", "Start", "Stop", "Take", "Test", "Upgrade", "Use", "Watch", "Write",
    }
)  # fmt: skip


def commands(
    command: click.Command = cli, path: tuple[str, ...] = ("halab",)
) -> Iterator[tuple[str, click.Command]]:
    """The name and the object of the program, of every command, and of their subcommands."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            subcommand = command.get_command(context, name)
            assert subcommand is not None
            yield from commands(subcommand, (*path, name))


def options(command: click.Command) -> Iterator[click.Option]:
    yield from (parameter for parameter in command.params if isinstance(parameter, click.Option))
    help_option = command.get_help_option(click.Context(command))
    if help_option:
        yield help_option


def first_word(text: str) -> str:
    """The word of the list: of "Also remove the recorded runs." it is Remove."""
    return text.removeprefix("Also ").split()[0].capitalize()


def problems_of_summary(text: str | None) -> list[str]:
    """What is wrong with the help of a command: its first line is the summary."""
    if not text:
        return ["no help"]
    summary = inspect.cleandoc(text).split("\n\n")[0]
    problems = [] if first_word(summary) in VERBS else [f"does not begin with a verb of the list: {summary}"]
    return problems + ([] if summary.endswith(".") else [f"does not end with a period: {summary}"])


def problems_of_option(option: click.Option) -> list[str]:
    """What is wrong with the help of an option."""
    text = option.help
    if not text:
        return ["no help"]
    problems = [] if first_word(text) in VERBS else [f"does not begin with a listed word: {text}"]
    # click's own default follows the text; a default in words is written as `Text.  [default: …]`
    return problems + ([] if text.split("  [")[0].endswith(".") else [f"does not end with a period: {text}"])


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_imperative(name: str) -> None:
    command = COMMANDS[name]
    found = [f"{name}: {problem}" for problem in problems_of_summary(command.help)]
    for option in options(command):
        found += [f"{name} {option.opts[-1]}: {problem}" for problem in problems_of_option(option)]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "The base that machines start from: a distribution with Kubernetes inside.",
        "Puts the lab back.",
        "Stop the machines",
    ],
)
def test_a_command_with_another_kind_of_help_fails(text: str | None) -> None:
    assert problems_of_summary(text)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "Those with a tag; again for more.",
        "Decides among equal targets.",
        "The lab file.",
        "Use this seed",
        "Also the recorded runs.",
    ],
)
def test_an_option_with_another_kind_of_help_fails(text: str | None) -> None:
    assert problems_of_option(click.Option(["--option"], help=text))


def test_no_listed_word_is_unused() -> None:
    """A list that only grows would allow anything in the end."""
    texts = [command.help or "" for command in COMMANDS.values()]
    texts += [option.help or "" for command in COMMANDS.values() for option in options(command)]
    assert {first_word(text) for text in texts if text} >= VERBS
