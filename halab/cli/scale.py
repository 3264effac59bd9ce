"""The command that changes the size of a lab."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo
from halab.cli.options import file_option, json_option, lab_dir_of, print_json

if TYPE_CHECKING:
    from halab.config.lab_size import LabSize
    from halab.lifecycle.lab import LabDir


@click.command("scale")
@click.argument("sizes", nargs=-1, metavar="[control_planes=N] [workers=N]")
@file_option
@json_option
def scale_command(sizes: tuple[str, ...], file: Path, as_json: bool) -> None:
    """Add machines to the lab that is up, or remove the ones with the highest numbers.

    Without a size, continue an interrupted scale. New machines join the cluster one after another. A machine that
    leaves is taken out of the load balancer, drained, reset with kubeadm and destroyed. The lab keeps its size until
    `halab down`; the lab file does not change.

    \b
    Example:
      halab scale control_planes=5
      halab scale control_planes=3 workers=2
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import rescale, scale

    lab_dir = lab_dir_of(file)
    size = scale.wanted(lab_dir, sizes)
    _warn(lab_dir, size)
    if rescale.built(lab_dir).joined(size) != rescale.built(lab_dir):
        for result in doctor.require(replace(lab_dir, size=size)):
            echo(f"warning: {result.name}: {result.seen}\n  fix: {result.fixes[0]}", err=True)
    with doctor.explained(lab_dir):
        done = scale.scale(lab_dir, size, progress())
    lab, added, removed = done.changes.lab, done.changes.added, done.changes.removed
    if as_json:
        print_json({"lab": lab.name, "control_planes": len(lab.control_planes), "workers": len(lab.workers),
                    "added": added, "removed": removed, "leaders": done.seen.leaders})  # fmt: skip
        return
    echo(f"the lab {lab.name} is steady with {size}; {done.changes}", err=True)


def _warn(lab_dir: LabDir, size: LabSize) -> None:
    from halab.config.lab_rules import even_members
    from halab.config.lab_size import resized

    if warning := even_members(resized(lab_dir.written, size)):
        echo(f"warning: {warning}", err=True)
