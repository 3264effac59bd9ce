"""`halab list` and `halab gc`: show what labs own, and remove what belongs to no existing lab."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo
from halab.cli.options import json_option, print_json
from halab.errors import ExitCode

if TYPE_CHECKING:
    from halab.lifecycle.inventory import Inventory, Removal
    from halab.lifecycle.ownership import OwnedResource

_COLUMNS = ["KIND", "NAME", "LAB", "STATE", "AGE", "SIZE", "ON", "WORK FOLDER"]


@click.command("list")
@json_option
def list_command(as_json: bool) -> int:
    """List the machines, networks, disks and other resources of all labs.

    A resource is `living` while the work folder of its lab exists. Without the work folder it is `orphaned`, and
    `halab gc` removes it. The state `elsewhere` means that another host created the resource; halab does not touch it.

    \b
    Example:
      halab list --json | jq '.[] | select(.state == "orphaned") | .name'
    """
    from halab.lifecycle.inventory import read_inventory
    from halab.lifecycle.ownership import Ownership

    inventory = read_inventory()
    _warn_of_silent_providers(inventory)
    of_labs = [owned for owned in inventory.resources if owned.ownership is not Ownership.UNUSED]
    if as_json:
        print_json(_as_json(of_labs))
    elif of_labs:
        _show(of_labs)
    else:
        echo("no lab owns anything on this host", err=True)
    return ExitCode.ERROR if inventory.is_blind else ExitCode.PASSED


@click.command("gc")
@click.option("--boxes", is_flag=True, help="Also remove the copies of boxes that no lab uses.")
@click.option("--yes", is_flag=True, help="Remove without asking.")
@json_option
def gc_command(boxes: bool, yes: bool, as_json: bool) -> int:
    """Show what belongs to no existing lab, and remove it after a confirmation.

    The command removes only resources that have halab's label, and disks of machines that an interrupted `halab up`
    left. Boxes and bundles in the cache belong to no lab and stay. For virtual machines, Vagrant and libvirt have a
    copy of each box: halab shows the copies that no lab uses, and removes them with --boxes. The next lab with such a
    box copies it again.

    \b
    Example:
      halab gc
      halab gc --yes
      halab gc --boxes
    """
    from halab.lifecycle.inventory import read_inventory, remove
    from halab.lifecycle.ownership import Ownership

    inventory = read_inventory()
    _warn_of_silent_providers(inventory)
    orphaned = [owned for owned in inventory.resources if owned.ownership is Ownership.ORPHANED]
    unused = [owned for owned in inventory.resources if owned.ownership is Ownership.UNUSED]
    if not as_json and (orphaned or unused):
        _show([*orphaned, *unused])
    chosen = [*inventory.orphaned, *(inventory.unused if boxes else [])]
    removals: list[Removal] = []
    if not chosen:
        echo("nothing to remove", err=True)
    elif yes or (not as_json and _confirmed(len(chosen))):
        for removal in remove(chosen):
            removals.append(removal)
            echo(_removal_line(removal), err=True)
    if unused and not boxes:
        size = _size(sum(owned.resource.size_bytes or 0 for owned in unused))
        echo(f"no lab uses these copies of boxes ({size}); `halab gc --boxes` removes them", err=True)
    if as_json:
        print_json({
            "orphaned": _as_json(orphaned), "unused": _as_json(unused),
            "removals": [_removal_as_json(removal) for removal in removals],
        })  # fmt: skip
    failed = inventory.is_blind or any(removal.problem for removal in removals)
    return ExitCode.ERROR if failed else ExitCode.PASSED


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        echo("nothing was removed: no terminal to ask for a confirmation; use `halab gc --yes`", err=True)
        return False
    what = "this resource" if count == 1 else f"these {count} resources"
    if click.confirm(f"remove {what}?", err=True):
        return True
    echo("nothing was removed", err=True)
    return False


def _warn_of_silent_providers(inventory: Inventory) -> None:
    for holder, problem in inventory.silent.items():
        echo(f"warning: resources of {holder} are not included: {problem.message}", err=True)


def _show(resources: Sequence[OwnedResource]) -> None:
    from halab.cli.console import table

    now = datetime.now(UTC)
    rows = []
    for owned in resources:
        resource = owned.resource
        rows.append((
            resource.kind, resource.name, resource.lab or "-", owned.ownership, _age(resource.created, now),
            _size(resource.size_bytes), resource.holder, resource.work or "-",
        ))  # fmt: skip
    table(_COLUMNS, rows)


def _removal_line(removal: Removal) -> str:
    what = f"{removal.resource.kind} {removal.resource.name}"
    if removal.problem:
        return f"not removed: {what}: {removal.problem.with_hint}"
    if removal.spared:
        return f"not removed: {what}: its lab is up again"
    return f"removed {what}"


def _as_json(resources: Sequence[OwnedResource]) -> list[dict[str, object]]:
    now = datetime.now(UTC)
    records: list[dict[str, object]] = []
    for owned in resources:
        resource, created = owned.resource, owned.resource.created
        records.append({
            "kind": resource.kind, "name": resource.name, "on": resource.holder, "key": resource.key,
            "lab": resource.lab or None, "machine": resource.machine or None, "snapshot": resource.snapshot or None,
            "state": owned.ownership, "work": resource.work or None, "host": resource.host or None,
            "created": created.astimezone(UTC).isoformat(timespec="seconds") if created else None,
            "age_seconds": round((now - created).total_seconds()) if created else None,
            "size_bytes": resource.size_bytes,
        })  # fmt: skip
    return records


def _removal_as_json(removal: Removal) -> dict[str, object]:
    resource = removal.resource
    return {
        "kind": resource.kind,
        "name": resource.name,
        "on": resource.holder,
        "key": resource.key,
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
