"""Labs that have lost their work folder: it was removed, moved or copied while the lab was up.

The labels of a machine have the name of its lab and the path of its work folder, and never change. Without the keys in
that folder, nobody can log in to the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from halab.errors import LabProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info
from halab.lifecycle.lab import LabDir
from halab.machines.host import allocation, identity, inventory
from halab.machines.provider import MachineInfo, Provider
from halab.machines.work import Work
from halab.progress import Progress


def reclaim(lab_dir: LabDir, provider: Provider, progress: Progress) -> None:
    """Make room for a lab before `up` creates anything: remove machines of this work folder whose keys are lost.

    Raises LabProblem if a lab of another folder has the same name, or if somebody may still use the machines.
    """
    machines = _of_this_host(provider.machines(None, lab_dir.work))
    if not machine_info.has_keys(lab_dir.work):
        _require_not_of_another_host(lab_dir, provider)
        if machines:
            _remove(lab_dir, provider, machines, progress)
    elif machines and allocation.of(lab_dir.work.path) is None:
        raise LabProblem(
            f"the lab {lab_dir.name} is up, but this user has no network allocated for it",
            hint="run the command as the user who built the lab, or rebuild it with `halab down && halab up`",
        )
    moved = machine_info.moved_from(lab_dir.work)
    if moved and provider.machines(None, moved):
        raise labs.moved(lab_dir, moved)
    for machine in provider.machines(lab_dir.name):
        if machine.work != str(lab_dir.work):
            raise _name_taken(lab_dir, machine)


def names(lab_dir: LabDir, provider: Provider, work: Work) -> list[str]:
    """The names of all labs built from a work folder, the current one first: the name in a lab file may change."""
    held = allocation.of(work.path)
    built = sorted(machine.lab for machine in _of_this_host(provider.machines(None, work)))
    return list(dict.fromkeys([held.name if held else lab_dir.name, *built]))


def _of_this_host(machines: Iterable[MachineInfo]) -> list[MachineInfo]:
    """Leave out machines of other hosts, which may share the provider and have work folders with the same path."""
    return [machine for machine in machines if machine.host in ("", identity.of_this_host())]


def _require_not_of_another_host(lab_dir: LabDir, provider: Provider) -> None:
    machines = provider.machines(lab_dir.name, lab_dir.work)
    foreign = [machine.host_name for machine in machines if machine not in _of_this_host(machines)]
    if foreign:
        raise LabProblem(
            f"another host created these machines from a work folder with the same path, {lab_dir.work.path}, and this "
            f"host does not have their keys: {', '.join(foreign)}",
            hint=f"remove them with `halab down` if nobody uses them any more, or {_rename_hint(lab_dir)}",
        )


def _rename_hint(lab_dir: LabDir) -> str:
    return f"give this lab another name in {lab_dir.file} (`name: auto` chooses one)"


def _remove(
    lab_dir: LabDir, provider: Provider, machines: Sequence[MachineInfo], progress: Progress
) -> None:
    labs_here = sorted({machine.lab for machine in machines})
    snapshots = {saved.snapshot for lab in labs_here for saved in provider.saved(lab, lab_dir.work)}
    progress.say(
        f"the keys of {', '.join(machine.host_name for machine in machines)} are missing from {lab_dir.work.path}; "
        f"nobody can log in to these machines, so halab rebuilds the lab"
        + (f" without its snapshots: {', '.join(sorted(snapshots))}" if snapshots else "")
    )
    with progress.step("remove the machines without keys", limit_seconds=120) as step:
        step.done(", ".join(removed for lab in labs_here for removed in provider.remove(lab, lab_dir.work)))
    # the lab may have a new name now
    allocation.release(lab_dir.work.path)


def _name_taken(lab_dir: LabDir, machine: MachineInfo) -> LabProblem:
    folder = Path(machine.work).parent
    if machine.host not in ("", identity.of_this_host()):
        return LabProblem(
            f"another host already has a lab called {machine.lab}, in its folder {folder}",
            hint=_rename_hint(lab_dir),
        )
    if inventory.is_there(machine.work):
        hint = f"{_rename_hint(lab_dir)}, or remove the other lab with `cd {folder} && halab down`"
        return LabProblem(f"another lab on this host is called {machine.lab}: {folder}", hint=hint)
    return LabProblem(
        f"the lab {machine.lab} is up, but its work folder is gone: {machine.work}",
        hint="if the folder was moved, move it back; if it was removed, remove the machines with `halab gc`",
    )
