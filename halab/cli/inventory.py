"""`halab list` and `halab gc`: what labs have, and what is left of those that are gone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo
from halab.cli.lab import json_option, print_json
from halab.errors import ExitCode

if TYPE_CHECKING:
    from halab.lifecycle.inventory import Inventory, Removal
    from halab.lifecycle.ownership import OwnedResource

_COLUMNS = ["KIND", "NAME", "LAB", "STATE", "AGE", "SIZE", "ON", "WORK FOLDER"]


@click.command("list")
@json_option
def list_command(as_json: bool) -> int:
    """List all that labs have: machines, volumes, networks, snapshots, allocations, work folders.

    A lab is living while its work folder exists; what has none is orphaned, and `halab gc` removes it. What another
    host has made is elsewhere, and left alone.

    \b
    Example:
      halab list --json | jq '.[] | select(.state == "orphaned") | .name'
    """
    from halab.lifecycle import inventory

    listed = inventory.look()
    _say_who_is_silent(listed)
    if as_json:
        print_json(_as_json(listed.found))
    elif listed.found:
        _show(listed.found)
    else:
        echo("no lab has anything here", err=True)
    return ExitCode.ERROR if listed.is_blind else ExitCode.PASSED


@click.command("gc")
@click.option("--yes", is_flag=True, help="Remove it without a question.")
@json_option
def gc_command(yes: bool, as_json: bool) -> int:
    """Remove what belongs to no living lab, after showing it.

    Only what carries a label of halab is touched. Boxes and bundles in the cache are no lab's, and stay.

    \b
    Example:
      halab gc
      halab gc --yes
    """
    from halab.lifecycle import inventory
    from halab.lifecycle.ownership import Ownership

    listed = inventory.look()
    _say_who_is_silent(listed)
    orphaned = [each for each in listed.found if each.standing is Ownership.ORPHANED]
    if not as_json and orphaned:
        _show(orphaned)
    removals: list[Removal] = []
    if not orphaned:
        echo("nothing is left of labs that are gone", err=True)
    elif yes or (not as_json and _confirmed(len(orphaned))):
        for removal in inventory.remove(listed.orphaned):
            removals.append(removal)
            echo(_became(removal), err=True)
    if as_json:
        print_json(
            {"orphaned": _as_json(orphaned), "removals": [_removal_as_json(each) for each in removals]}
        )
    failed = listed.is_blind or any(each.problem for each in removals)
    return ExitCode.ERROR if failed else ExitCode.PASSED


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        echo("nothing was removed: `halab gc --yes` removes it", err=True)
        return False
    things = "this" if count == 1 else f"these {count}"
    if click.confirm(f"remove {things}?", err=True):
        return True
    echo("nothing was removed", err=True)
    return False


def _say_who_is_silent(listed: Inventory) -> None:
    for holder, problem in listed.silent.items():
        echo(f"not asked: {holder}: {problem.message}", err=True)


def _show(found: Sequence[OwnedResource]) -> None:
    from halab.cli.console import table

    now = datetime.now(UTC)
    rows = []
    for each in found:
        thing = each.belonging
        rows.append((
            thing.kind, thing.name, thing.lab, each.standing, _age(thing.created, now), _size(thing.size_bytes),
            thing.holder, thing.work or "-",
        ))  # fmt: skip
    table(_COLUMNS, rows)


def _became(removal: Removal) -> str:
    what = f"{removal.belonging.kind} {removal.belonging.name}"
    if removal.problem:
        return f"not removed: {what}: {removal.problem.message}"
    if removal.spared:
        return f"not removed: {what}: its lab has come back"
    return f"removed {what}"


def _as_json(found: Sequence[OwnedResource]) -> list[dict[str, object]]:
    now = datetime.now(UTC)
    shown: list[dict[str, object]] = []
    for each in found:
        thing = each.belonging
        age = None if thing.created is None else round((now - thing.created).total_seconds())
        shown.append({
            "kind": thing.kind, "name": thing.name, "on": thing.holder, "key": thing.key,
            "lab": thing.lab, "machine": thing.machine or None, "snapshot": thing.snapshot or None,
            "state": each.standing, "work": thing.work or None, "host": thing.host or None,
            "created": thing.created.astimezone(UTC).isoformat(timespec="seconds") if thing.created else None,
            "age_seconds": age, "size_bytes": thing.size_bytes,
        })  # fmt: skip
    return shown


def _removal_as_json(removal: Removal) -> dict[str, object]:
    thing = removal.belonging
    return {
        "kind": thing.kind,
        "name": thing.name,
        "on": thing.holder,
        "key": thing.key,
        "removed": removal.problem is None and not removal.spared,
        "problem": removal.problem.message if removal.problem else None,
    }


def _age(created: datetime | None, now: datetime) -> str:
    """`40 s`, `5 min`, `3 h`, `12 days`."""
    if created is None:
        return "-"
    seconds = max(0, round((now - created).total_seconds()))
    for unit, length, until in (("s", 1, 120), ("min", 60, 120 * 60), ("h", 3600, 48 * 3600)):
        if seconds < until:
            return f"{seconds // length} {unit}"
    return f"{seconds // 86400} days"


def _size(size: int | None) -> str:
    """`0 B`, `12 kB`, `1.5 GB`."""
    if size is None:
        return "-"
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= length:
            return f"{size / length:.1f} {unit}" if size < 10 * length else f"{size / length:.0f} {unit}"
    return f"{size} B"
