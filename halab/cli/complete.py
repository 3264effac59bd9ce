"""Shell completion with names that exist. It never fails and never contacts a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: Callable[[click.Context], Iterable[str]]) -> Completer:
    """Completes names by prefix. Completes nothing if the names are unknown, for example with a broken lab file."""

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        from halab.errors import HalabError

        try:
            return [CompletionItem(name) for name in names(context) if name.startswith(typed)]
        except (HalabError, OSError):
            return []

    return complete


def scenario_names(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Built-in scenarios, or files as soon as the word looks like a path."""
    from halab.scenario.run import library

    if "/" in typed or typed.startswith("."):
        return [CompletionItem(typed, type="file")]
    return [CompletionItem(name) for name in library.names() if name.startswith(typed)]


def _bugs(context: click.Context) -> list[str]:
    from halab.bugs import library

    return library.names()


def _drills(context: click.Context) -> list[str]:
    from halab.drill import library

    return library.names()


def _tags(context: click.Context) -> list[str]:
    from halab.scenario.run import library

    return sorted({tag for name in library.names() for tag in library.find(name).scenario.tags})


def _faults(context: click.Context) -> list[str]:
    from halab.faults.catalogue import FAULTS

    return sorted(FAULTS)


def _options(context: click.Context) -> list[str]:
    """Options of the fault on the command line, each with its equals sign."""
    from halab.faults.catalogue import FAULTS

    # while an option still lacks its value, click has not assigned the arguments yet: they are in context.args
    words = [context.params.get("fault"), *context.args]
    fault = next((FAULTS[word] for word in words if word in FAULTS), None)
    return [f"{name}=" for name in sorted(fault.options)] if fault else []


def _targets(context: click.Context) -> list[str]:
    from halab.config.targets import ROLES

    return [*_machines(context), *ROLES]


def _machines(context: click.Context) -> list[str]:
    from halab.lifecycle import lab as labs

    lab = labs.allocated(labs.open_file(_file(context)))
    return [machine.name for machine in lab.machines]


def _open_faults(context: click.Context) -> list[str]:
    from halab.faults.journal import Journal
    from halab.lifecycle import lab as labs

    entries = Journal(labs.open_file(_file(context)).work.journal).open_faults()
    return sorted({entry.fault for entry in entries})


def _file(context: click.Context) -> Path:
    return Path(context.params.get("file") or "lab.yml")


bug_names = _completer(_bugs)
drill_names = _completer(_drills)
tags = _completer(_tags)
fault_names = _completer(_faults)
fault_options = _completer(_options)
targets = _completer(_targets)
machines = _completer(_machines)
open_faults = _completer(_open_faults)
