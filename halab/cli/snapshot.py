"""Commands that save the state of a lab and restore it."""

from __future__ import annotations

from pathlib import Path

import click

from halab.cli.console import echo
from halab.cli.options import CommandGroup, file_option, json_option, lab_dir_of, print_json


@click.group("snapshot", cls=CommandGroup)
def snapshot_command() -> None:
    """Save the state of the whole lab and restore it later.

    A save freezes all machines, saves them and lets them continue, so a snapshot shows all of them at the same moment.
    After a restore, virtual machines continue where they were; containers boot from the disks of that moment.

    \b
    Example:
      halab snapshot save before-lunch
      halab snapshot restore before-lunch
    """


@snapshot_command.command("save")
@file_option
@click.argument("name")
def save_command(file: Path, name: str) -> None:
    """Save the lab under a name and wait until it is steady again.

    \b
    Example:
      halab snapshot save before-lunch
    """
    from halab.cli.console import progress
    from halab.lifecycle import snapshot

    snapshot.save(lab_dir_of(file), name, progress())


@snapshot_command.command("list")
@file_option
@json_option
def list_command(file: Path, as_json: bool) -> None:
    """List the lab's snapshots, oldest first.

    \b
    Example:
      halab snapshot list
    """
    from halab.cli.console import table
    from halab.lifecycle import snapshot

    snapshots = snapshot.of_lab(lab_dir_of(file))
    if as_json:
        print_json(
            [
                {
                    "name": saved.name,
                    "created": saved.created.isoformat(timespec="seconds"),
                    "missing": saved.missing,
                    "removed": saved.removed,
                }
                for saved in snapshots
            ]
        )
        return
    rows = [
        (
            saved.name,
            f"{saved.created.astimezone():%Y-%m-%d %H:%M:%S}",
            "yes" if saved.is_complete else f"no: it {saved.problem}",
        )
        for saved in snapshots
    ]
    table(["SNAPSHOT", "SAVED", "COMPLETE"], rows)


@snapshot_command.command("restore")
@file_option
@click.argument("name")
def restore_command(file: Path, name: str) -> None:
    """Restore a snapshot and wait until the lab is steady. Later changes are lost.

    \b
    Example:
      halab snapshot restore before-lunch
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import snapshot

    lab_dir = lab_dir_of(file)
    with doctor.explained(lab_dir):
        snapshot.restore(lab_dir, name, progress())


@snapshot_command.command("delete")
@file_option
@click.argument("name")
def delete_command(file: Path, name: str) -> None:
    """Delete a snapshot of the lab.

    \b
    Example:
      halab snapshot delete before-lunch
    """
    from halab.lifecycle import snapshot

    snapshot.delete(lab_dir_of(file), name)
    echo(f"deleted the snapshot {name}", err=True)


@click.command("reset")
@file_option
def reset_command(file: Path) -> None:
    """Restore the state that `halab up` saved and wait until the lab is steady.

    \b
    Example:
      halab reset
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import snapshot

    lab_dir = lab_dir_of(file)
    with doctor.explained(lab_dir):
        snapshot.reset(lab_dir, progress())
