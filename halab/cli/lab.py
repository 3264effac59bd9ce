"""Commands that build, show and remove a lab."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo, echo_raw
from halab.cli.options import file_option, json_option, lab_dir_of, print_json
from halab.errors import ExitCode
from halab.printable import counted

if TYPE_CHECKING:
    from halab.lifecycle.lab import LabDir
    from halab.lifecycle.temporary_lab import LabDeps
    from halab.lifecycle.up import UpResult
    from halab.progress import Progress


def _warn(lab_dir: LabDir) -> None:
    from halab.config.lab_rules import warnings

    for warning in warnings(lab_dir.written):
        echo(f"warning: {lab_dir.file}: {warning}", err=True)


def _say_known_bugs(lab_dir: LabDir) -> None:
    """Say in one line that versions of the lab have bugs of the list."""
    from halab.bugs import versions
    from halab.lifecycle import lab as labs

    if found := versions.known(labs.present_file(lab_dir)):
        echo(f"known bugs of {versions.in_words(found)} (`halab bugs show NAME`)", err=True)


@click.command("init")
@file_option
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def init_command(file: Path, force: bool) -> None:
    """Write a lab file with comments on the most important settings.

    It also writes the JSON Schema of lab files next to it, with which an editor completes and checks the settings.

    \b
    Example:
      halab init && halab up
    """
    from halab.errors import BadUsage

    if file.exists() and not force:
        raise BadUsage(
            f"the lab file already exists: {file}", hint="use it as it is, or overwrite it with --force"
        )
    if not file.parent.is_dir():
        raise BadUsage(
            f"no such folder: {file.parent}", hint=f"make it with `mkdir -p {shlex.quote(str(file.parent))}`"
        )
    from halab.config import schema
    from halab.files import writing
    from halab.topology import files

    with writing(file):
        file.with_name(schema.LAB_SCHEMA).write_text(schema.lab_schema())
        file.write_text(files.default_lab_file())
    echo(f"wrote {file}, and {schema.LAB_SCHEMA} for editors; build the lab with `halab up`", err=True)


@click.command("schema")
@click.argument("kind", type=click.Choice(["lab", "scenario", "drill", "game-day", "matrix"]))
def schema_command(kind: str) -> None:
    """Print the JSON Schema of lab, scenario, drill, game day or matrix files.

    \b
    Example:
      halab schema lab > lab.schema.json
    """
    from halab.config import schema

    schemas = {
        "lab": schema.lab_schema,
        "scenario": schema.scenario_schema,
        "drill": schema.drill_schema,
        "game-day": schema.game_day_schema,
        "matrix": schema.matrix_schema,
    }
    echo_raw(schemas[kind](), nl=False)


@click.command("render")
@file_option
@json_option
def render_command(file: Path, as_json: bool) -> None:
    """Write the lab's Vagrantfile and scripts without touching any machine or other host.

    If the lab is not up yet, no network is reserved for it: `halab up` may choose a different one.

    \b
    Example:
      halab render && less .halab/Vagrantfile
    """
    from halab.lifecycle.workfiles import preview

    lab_dir = lab_dir_of(file)
    _warn(lab_dir)
    lab, changed = preview(lab_dir)
    if as_json:
        print_json({"work": str(lab_dir.work.path), "network": str(lab.network), "changed": changed})
    else:
        written = counted(len(changed), "file")
        echo(f"{lab_dir.work.path}: {written} written, network {lab.network}", err=True)


@click.command("up")
@file_option
@json_option
def up_command(file: Path, as_json: bool) -> None:
    """Build the lab and wait until it is steady. A second `halab up` only applies what changed.

    \b
    Example:
      halab up && halab kubectl -- get nodes
    """
    from halab.cli.console import progress

    lab_dir = lab_dir_of(file)
    built = build(lab_dir, progress())
    if as_json:
        print_json({"lab": built.lab.name, "endpoint": built.lab.endpoint, "leaders": built.seen.leaders,
                    "changes": built.changes, "kubeconfig": str(lab_dir.work.kubeconfig)})  # fmt: skip
    else:
        changes = counted(built.changes, "change") if built.changes else "nothing to change"
        echo(f"the lab {built.lab.name} is steady behind {built.lab.endpoint}; {changes}", err=True)


def build(lab_dir: LabDir, progress: Progress, *, is_temporary: bool = False) -> UpResult:
    """Check the lab file and this host, and build the lab. The caller removes a temporary lab if that fails."""
    from halab import doctor
    from halab.lifecycle import components

    _warn(lab_dir)
    _say_known_bugs(lab_dir)
    # a wrong checkout is a mistake in the lab file, and not a problem of the host
    components.needed(lab_dir)
    # checked before the imports below, because a library may be missing
    for result in doctor.require(lab_dir):
        echo(f"warning: {result.name}: {result.seen}\n  fix: {result.fixes[0]}", err=True)
    from halab.lifecycle import up

    with doctor.explained(lab_dir):
        return up.up(lab_dir, progress, is_temporary=is_temporary)


def temporary_deps(*, keep: bool) -> LabDeps:
    """How a temporary lab comes up and is taken down. With `keep`, errors say how to continue with the lab."""
    from halab.lifecycle.temporary_lab import LabDeps

    def down(lab_dir: LabDir, shown: Progress) -> None:
        # imported only now: halab checks the host first, and a library may be missing
        from halab.lifecycle import down as downs

        downs.down(lab_dir, shown)

    return LabDeps(up=lambda lab_dir, shown: build(lab_dir, shown, is_temporary=not keep), down=down)


@click.command("start")
@file_option
def start_command(file: Path) -> None:
    """Start a stopped lab and wait until it is steady.

    \b
    Example:
      halab start
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import up

    lab_dir = lab_dir_of(file)
    with doctor.explained(lab_dir):
        up.start(lab_dir, progress())


@click.command("stop")
@file_option
def stop_command(file: Path) -> None:
    """Stop the lab's machines and keep their disks.

    \b
    Example:
      halab stop && halab start
    """
    from halab.cli.console import progress
    from halab.lifecycle import up

    up.stop(lab_dir_of(file), progress())


@click.command("down")
@file_option
@click.option("--runs", is_flag=True, help="Also remove the recorded runs.")
@click.option(
    "--keep",
    is_flag=True,
    help="Stop the machines and restore the state that `halab up` saved, so that the next `halab up` is quick.",
)
def down_command(file: Path, runs: bool, keep: bool) -> None:
    """Remove the lab's machines, network and keys. The recorded runs stay.

    \b
    Example:
      halab down
      halab down --keep && halab up
    """
    from halab.cli.console import progress
    from halab.lifecycle.down import down
    from halab.lifecycle.lab import open_file

    if keep:
        if runs:
            raise click.UsageError("--keep and --runs exclude each other: use one of them")
        from halab.lifecycle import kept_lab

        kept_lab.keep(lab_dir_of(file), progress())
        echo("the machines are off; `halab up` starts them again, `halab down` removes them", err=True)
        return
    removed = down(open_file(file, reads_own_files=False), progress(), runs=runs)
    echo(f"removed {', '.join(removed)}" if removed else "nothing to remove", err=True)


@click.command("status")
@file_option
@json_option
def status_command(file: Path, as_json: bool) -> int:
    """Show the machines, the leaders and why the lab is not steady (exit 3 if it is not).

    \b
    Example:
      halab status --json | jq .leaders
    """
    from halab.cli.console import table
    from halab.faults.journal import in_words
    from halab.lifecycle.status import read_status

    status = read_status(lab_dir_of(file))
    if as_json:
        print_json(status.as_json())
    else:
        table(["MACHINE", "ADDRESS", "STATE", "ROLES"], status.rows())
        for line in status.notes:
            echo(line)
        if status.drill_is_on:
            echo("a drill is running (see `halab drill status`)")
        if status.game_day_is_on:
            echo("a game day is running: open faults are not shown (`halab gameday heal` heals them)")
        for fault in in_words(status.open_faults):
            echo(f"a fault is open: {fault} (heal it with `halab heal`)")
        for line in status.missing:
            echo(f"not steady: {line}")
    return ExitCode.PASSED if status.steady else ExitCode.ERROR
