"""Verbs that keep a lab as it is, and put it back."""

from __future__ import annotations

from pathlib import Path

import click

from halab.cli.console import echo
from halab.cli.lab import file_option, json_option, place_of, print_json


@click.group("snapshot")
def snapshot_command() -> None:
    """Keep the whole lab as it is now, and put it back to that later.

    All machines are frozen, saved and go on, so that a snapshot has them at one moment. Virtual machines go on
    where they were; containers start again with the disks of that moment.

    \b
    Example:
      halab snapshot save before-lunch
      halab snapshot restore before-lunch
    """


@snapshot_command.command("save")
@file_option
@click.argument("name")
def save_command(file: Path, name: str) -> None:
    """Save the lab under a name, and return when it is steady again.

    \b
    Example:
      halab snapshot save before-lunch
    """
    from halab.cli.console import progress
    from halab.lifecycle import snapshot

    snapshot.save(place_of(file), name, progress())


@snapshot_command.command("list")
@file_option
@json_option
def list_command(file: Path, as_json: bool) -> None:
    """List the snapshots of the lab, the oldest first.

    \b
    Example:
      halab snapshot list
    """
    from halab.cli.console import table
    from halab.lifecycle import snapshot

    found = snapshot.of_lab(place_of(file))
    if as_json:
        print_json(
            [
                {
                    "name": each.name,
                    "created": each.created.isoformat(timespec="seconds"),
                    "missing": each.missing,
                }
                for each in found
            ]
        )
        return
    rows = [
        (
            each.name,
            f"{each.created.astimezone():%Y-%m-%d %H:%M:%S}",
            "yes" if each.is_whole else f"no: {', '.join(each.missing)} missing",
        )
        for each in found
    ]
    table(["SNAPSHOT", "SAVED", "WHOLE"], rows)


@snapshot_command.command("restore")
@file_option
@click.argument("name")
def restore_command(file: Path, name: str) -> None:
    """Put the lab back to a snapshot, and return when it is steady. What came after is lost.

    \b
    Example:
      halab snapshot restore before-lunch
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import snapshot

    place = place_of(file)
    with doctor.explained(place):
        snapshot.restore(place, name, progress())


@snapshot_command.command("delete")
@file_option
@click.argument("name")
def delete_command(file: Path, name: str) -> None:
    """Remove a snapshot of the lab.

    \b
    Example:
      halab snapshot delete before-lunch
    """
    from halab.lifecycle import snapshot

    snapshot.delete(place_of(file), name)
    echo(f"removed the snapshot {name}", err=True)


@click.command("reset")
@file_option
def reset_command(file: Path) -> None:
    """Put the lab back to how `halab up` left it, and return when it is steady.

    \b
    Example:
      halab reset
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import snapshot

    place = place_of(file)
    with doctor.explained(place):
        snapshot.reset(place, progress())
