"""Verbs that make, show and remove a lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from halab.cli.console import echo, echo_as_it_is

if TYPE_CHECKING:
    from halab.lifecycle.lab import LabDir

file_option = click.option(
    "-f",
    "--file",
    "file",
    type=click.Path(path_type=Path),
    default="lab.yml",
    show_default=True,
    help="The lab file.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def place_of(file: Path) -> LabDir:
    from halab.lifecycle.lab import open_file

    return open_file(file)


def print_json(value: Any) -> None:
    echo_as_it_is(json.dumps(value, indent=2))


@click.command("init")
@file_option
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def init_command(file: Path, force: bool) -> None:
    """Write a lab file with every setting explained.

    \b
    Example:
      halab init && halab up
    """
    from halab import templates
    from halab.errors import BadUsage

    if file.exists() and not force:
        raise BadUsage(
            f"there is a lab file already: {file}", hint="use it as it is, or replace it with --force"
        )
    from halab.config import kubernetes, schema

    file.with_name(schema.LAB_SCHEMA).write_text(schema.lab_schema())
    file.write_text(
        templates.text("lab.yml.j2", schema=schema.LAB_SCHEMA, versions=list(kubernetes.RELEASES))
    )
    echo(f"wrote {file}; bring it up with `halab up`", err=True)


@click.command("schema")
@click.argument("kind", type=click.Choice(["lab", "scenario"]))
def schema_command(kind: str) -> None:
    """Print the JSON Schema of a lab file or a scenario file.

    \b
    Example:
      halab schema lab > lab.schema.json
    """
    from halab.config import schema

    echo_as_it_is(schema.lab_schema() if kind == "lab" else schema.scenario_schema(), nl=False)


@click.command("render")
@file_option
@json_option
def render_command(file: Path, as_json: bool) -> None:
    """Write the Vagrantfile and the scripts of a lab; touch no machine and no other host.

    A lab that is not up yet has no network of its own: `up` may choose another one than is shown here.

    \b
    Example:
      halab render && less .halab/Vagrantfile
    """
    from halab.lifecycle.workfiles import preview

    place = place_of(file)
    lab, changed = preview(place)
    if as_json:
        print_json({"work": str(place.work.path), "network": str(lab.network), "changed": changed})
    else:
        echo(f"{place.work.path}: {len(changed)} files written, network {lab.network}", err=True)


@click.command("up")
@file_option
@json_option
def up_command(file: Path, as_json: bool) -> None:
    """Bring the lab up, and return when it is steady. A second `up` changes nothing.

    \b
    Example:
      halab up && halab kubectl -- get nodes
    """
    from halab import doctor
    from halab.cli.console import progress

    place = place_of(file)
    # before the rest is imported: it may be a library that is missing
    for result in doctor.require(place):
        echo(f"warning: {result.name}: {result.seen}\n  fix: {result.fixes[0]}", err=True)
    from halab.lifecycle import up

    with doctor.explained(place):
        brought = up.up(place, progress())
    if as_json:
        print_json({"lab": brought.lab.name, "endpoint": brought.lab.endpoint, "leaders": brought.seen.leaders,
                    "changes": brought.changes, "kubeconfig": str(place.work.kubeconfig)})  # fmt: skip
    else:
        changed = "nothing had to be changed" if brought.changes == 0 else f"{brought.changes} changes"
        echo(f"the lab {brought.lab.name} is steady behind {brought.lab.endpoint}; {changed}", err=True)


@click.command("start")
@file_option
def start_command(file: Path) -> None:
    """Start a stopped lab, and return when it is steady.

    \b
    Example:
      halab start
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import up

    place = place_of(file)
    with doctor.explained(place):
        up.start(place, progress())


@click.command("stop")
@file_option
def stop_command(file: Path) -> None:
    """Stop the machines of the lab for the night; their disks stay.

    \b
    Example:
      halab stop && halab start
    """
    from halab.cli.console import progress
    from halab.lifecycle import up

    up.stop(place_of(file), progress())


@click.command("down")
@file_option
@click.option("--runs", is_flag=True, help="Remove the recorded runs as well.")
def down_command(file: Path, runs: bool) -> None:
    """Remove the lab: machines, network, keys. What its runs recorded stays.

    \b
    Example:
      halab down
    """
    from halab.cli.console import progress
    from halab.lifecycle.down import down

    removed = down(place_of(file), progress(), runs=runs)
    echo(f"removed {', '.join(removed)}" if removed else "there was nothing to remove", err=True)


@click.command("status")
@file_option
@json_option
def status_command(file: Path, as_json: bool) -> int:
    """Show the machines, who leads, and what the lab lacks to be steady (exit 3 if it lacks something).

    \b
    Example:
      halab status --json | jq .leaders
    """
    from halab.cli.console import table
    from halab.lifecycle.status import look

    status = look(place_of(file))
    if as_json:
        print_json(status.as_json())
    else:
        table(["MACHINE", "ADDRESS", "STATE", "ROLES"], status.rows())
        for fault in status.open_faults:
            echo(f"a fault is open: {fault} (undo it with `halab heal`)")
        for line in status.missing:
            echo(f"not steady: {line}")
    return 0 if status.steady else 3
