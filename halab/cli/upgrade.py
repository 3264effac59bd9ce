"""The command that upgrades Kubernetes."""

from __future__ import annotations

from pathlib import Path

import click

from halab.cli.console import duration, echo
from halab.cli.options import file_option, json_option, lab_dir_of, print_json


@click.command("upgrade")
@click.argument("version", required=False)
@file_option
@json_option
def upgrade_command(version: str | None, file: Path, as_json: bool) -> None:
    """Upgrade Kubernetes in the lab that is up. Without a version, continue an interrupted upgrade.

    As in kubeadm's guide, halab upgrades one machine after another: it runs `kubeadm upgrade apply` on the first
    control plane, `kubeadm upgrade node` on the other machines, and then starts the new kubelet. It waits until the
    lab is steady before the next machine. In a lab with workers, each machine is drained before its kubelet changes.
    The lab file does not change.

    \b
    Example:
      halab bundle build --kubernetes 1.37
      halab upgrade 1.37
    """
    from halab import doctor
    from halab.cli.console import progress
    from halab.lifecycle import upgrade, version_change

    lab_dir = lab_dir_of(file)
    release = version_change.wanted(lab_dir, version)
    with doctor.explained(lab_dir):
        done = upgrade.upgrade(lab_dir, release, progress())
    change = done.change
    if as_json:
        machines = [
            {"name": machine.name, "seconds": _rounded(machine.seconds)} for machine in change.machines
        ]
        print_json({"lab": change.lab.name, "before": change.before, "kubernetes": release.kubernetes,
                    "machines": machines, "leaders": done.seen.leaders})  # fmt: skip
        return
    for machine in change.machines:
        echo(f"{machine.name}: {duration(round(machine.total_seconds))} ({machine})", err=True)
    echo(
        f"the lab {change.lab.name} is steady with Kubernetes {release.kubernetes}; before, it had {change.before}",
        err=True,
    )


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {part: round(value, 1) for part, value in seconds.items()}
