"""What the shell offers at the Tab key: names that exist. It never fails, and never asks a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _offering(names: Callable[[click.Context], Iterable[str]]) -> Completer:
    """The names that begin with what was typed; none where they cannot be known: a broken file is no matter here."""

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        from halab.errors import HalabError

        try:
            return [CompletionItem(name) for name in names(context) if name.startswith(typed)]
        except (HalabError, OSError):
            return []

    return complete


def scenario_names(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Those that halab carries; files once a path is begun."""
    from halab.scenario.run import library

    if "/" in typed or typed.startswith("."):
        return [CompletionItem(typed, type="file")]
    return [CompletionItem(name) for name in library.names() if name.startswith(typed)]


def _tags(context: click.Context) -> list[str]:
    from halab.scenario.run import library

    return sorted({tag for name in library.names() for tag in library.find(name).scenario.tags})


def _faults(context: click.Context) -> list[str]:
    from halab.faults.catalogue import FAULTS

    return sorted(FAULTS)


def _options(context: click.Context) -> list[str]:
    """The options of the fault that stands on the line already, up to the sign of equality."""
    from halab.faults.catalogue import FAULTS

    # an option whose value is still to come keeps click from assigning the arguments: they are as they were typed
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

    found = Journal(labs.open_file(_file(context)).work.journal).open_faults()
    return sorted({entry.fault for entry in found})


def _file(context: click.Context) -> Path:
    return Path(context.params.get("file") or "lab.yml")


tags = _offering(_tags)
fault_names = _offering(_faults)
fault_options = _offering(_options)
targets = _offering(_targets)
machines = _offering(_machines)
open_faults = _offering(_open_faults)
