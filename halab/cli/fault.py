"""Commands that list, inject and heal single faults by hand."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.complete import fault_names, fault_options, open_faults, targets
from halab.cli.console import echo
from halab.cli.options import file_option, json_option, lab_dir_of, print_json
from halab.errors import ExitCode, HalabError

if TYPE_CHECKING:
    from halab.faults.fault import Fault, Option
    from halab.lifecycle.lab import LabDir

_WIDTH = 100


@click.command("faults")
@click.argument("names", nargs=-1, shell_complete=fault_names)
@json_option
def faults_command(names: tuple[str, ...], as_json: bool) -> None:
    """List the faults with their options, their targets and what they need.

    NAMES are names of faults. Without NAMES, list all faults.

    \b
    Example:
      halab faults
      halab faults partition lose-packets
    """
    from halab.faults.catalogue import FAULTS

    wanted = [FAULTS[_require_known(name)] for name in names] or sorted(
        FAULTS.values(), key=lambda fault: fault.name
    )
    if as_json:
        print_json([_as_json(fault) for fault in wanted])
        return
    for fault in wanted:
        for line in fault_lines(fault):
            echo(line)


@click.command("inject")
@file_option
@click.argument("fault", shell_complete=fault_names)
@click.option(
    "--on", "on", multiple=True, required=True, shell_complete=targets,
    help="Select a machine by name or by role: cp2, lb, etcd-leader, any-cp … (repeatable).",
)  # fmt: skip
@click.option(
    "--with", "options", multiple=True, metavar="NAME=VALUE", shell_complete=fault_options,
    help="Set an option of the fault (repeatable).",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), help="Use this seed to choose random targets.")
@json_option
def inject_command(
    file: Path, fault: str, on: tuple[str, ...], options: tuple[str, ...], seed: int | None, as_json: bool
) -> None:
    """Inject one fault by hand and leave it open until `halab heal`.

    \b
    Example:
      halab inject kill-process --on etcd-leader --with process=etcd
      halab inject hold-static-pod --on cp2 --with pod=kube-apiserver
    """
    from halab.cli.console import progress
    from halab.faults.catalogue import FAULTS
    from halab.scenario.run import by_hand

    given = dict(_pair(option) for option in options)
    lab_dir = lab_dir_of(file)
    _require_known(fault)
    with _print_open_faults_on_error(lab_dir):
        injected = by_hand.inject(lab_dir, progress(), fault, on, given, seed=seed)
    is_open = FAULTS[fault].facts.is_lasting
    if as_json:
        print_json([
            {"id": entry.id, "fault": entry.fault, "machine": entry.machine, "options": entry.options,
             "seen": seen, "is_open": is_open}
            for entry, seen in injected
        ])  # fmt: skip
        return
    for entry, seen in injected:
        echo(f"{entry}: {seen}")
    if not is_open:
        echo("the fault is already over; there is nothing to heal", err=True)
    elif injected:
        echo(f"heal it with `halab heal {fault}`", err=True)


@contextmanager
def _print_open_faults_on_error(lab_dir: LabDir) -> Iterator[None]:
    """If the injection fails or is interrupted, print the faults that are open and how to heal them."""
    try:
        yield
    except BaseException:
        print_open_faults(lab_dir)
        raise


def print_open_faults(lab_dir: LabDir) -> None:
    from halab.faults.journal import Journal, in_words

    # the error that ended the command is shown next: an unreadable journal must not replace it
    with suppress(HalabError):
        for fault in in_words(Journal(lab_dir.work.journal).open_faults()):
            echo(f"a fault is open: {fault} (heal it with `halab heal`)", err=True)


@click.command("heal")
@file_option
@click.argument("names", nargs=-1, shell_complete=open_faults)
def heal_command(file: Path, names: tuple[str, ...]) -> int:
    """Heal open faults: those injected by hand and those left by a killed run.

    Without NAMES, heal all open faults, newest first. A name is the name of a fault, or the beginning of its id:
    `halab status` shows ids if several open faults have the same name.

    \b
    Example:
      halab status || halab heal
      halab heal hold-static-pod
    """
    from halab.cli.console import progress
    from halab.scenario.run import by_hand

    failed = by_hand.heal(lab_dir_of(file), progress(), names)
    for entry, error in failed:
        echo(f"not healed: {entry}: {error.with_hint}", err=True)
    return ExitCode.ERROR if failed else ExitCode.PASSED


def fault_lines(fault: Fault) -> Iterator[str]:
    """A fault as lines: name, target, needs, what it does, and its options."""
    needs = f", needs {', '.join(sorted(fault.needs))}" if fault.needs else ""
    lasts = "" if fault.facts.is_lasting else ", nothing to heal"
    yield f"{fault.name}  (on {fault.place}{needs}{lasts})"
    yield from textwrap.wrap(fault.does, _WIDTH, initial_indent="    ", subsequent_indent="    ")
    given = {name: f"{name}={option.default or ''}" for name, option in fault.options.items()}
    width = max(map(len, given.values()), default=0)
    for name, option in fault.options.items():
        description = textwrap.wrap(_describe(option), max(40, _WIDTH - width - 10)) or [""]
        yield f"        {given[name].ljust(width)}  {description[0]}".rstrip()
        for line in description[1:]:
            yield f"        {' ' * width}  {line}"


def _describe(option: Option) -> str:
    example = f", such as {option.example}" if option.example else ""
    return f"{option.means}{example}{' (required)' if option.default is None else ''}"


def _as_json(fault: Fault) -> dict[str, Any]:
    return {
        "name": fault.name,
        "does": fault.does,
        "place": fault.place,
        "needs": sorted(fault.needs),
        "is_lasting": fault.facts.is_lasting,
        "options": {
            name: {
                "means": option.means,
                "example": option.example,
                "default": option.default,
                "is_target": option.is_target,
            }
            for name, option in fault.options.items()
        },
    }


def _require_known(name: str) -> str:
    """The name, or BadUsage if the catalogue has no fault with this name."""
    from halab.config.loading import similar
    from halab.errors import BadUsage
    from halab.faults.catalogue import FAULTS

    if name not in FAULTS:
        raise BadUsage(f"no such fault: {name}{similar(name, FAULTS)}", hint="`halab faults` lists them")
    return name


def _pair(option: str) -> tuple[str, str]:
    from halab.errors import BadUsage

    name, sign, value = option.partition("=")
    if not sign or not name:
        raise BadUsage(f"--with expects NAME=VALUE, such as process=etcd: {option}")
    return name, value
