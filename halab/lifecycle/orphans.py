"""Labs and work folders that have lost each other: removed, moved or copied under a lab that is up.

A machine carries the name of its lab and the path of its work folder, and keeps both for good. Whoever has not the keys
that lie in that folder does not get into it any more.
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


def reclaim(place: LabDir, provider: Provider, progress: Progress) -> None:
    """Make room for the lab of a place, before anything of it is made.

    Its machines without keys are removed. LabProblem where its name belongs to a lab of another folder, or where it is
    not sure that nobody can use what is there.
    """
    machines = _made_here(provider.machines(None, place.work))
    if not machine_info.opens(place.work):
        _require_nobody_elses(place, provider)
        if machines:
            _remove(place, provider, machines, progress)
    elif machines and allocation.of(place.work.path) is None:
        raise LabProblem(
            f"the lab {place.name} is up, and this user holds no network for it",
            hint="give the command as the user who brought it up, or make it anew: `halab down && halab up`",
        )
    moved = machine_info.moved_from(place.work)
    if moved and provider.machines(None, moved):
        raise labs.moved(place, moved)
    for each in provider.machines(place.name):
        if each.work != str(place.work):
            raise _taken(place, each)


def names(place: LabDir, provider: Provider, work: Work) -> list[str]:
    """The labs that machines of a work folder belong to, its present one first: a name in a lab file may change."""
    held = allocation.of(work.path)
    found = sorted(each.lab for each in _made_here(provider.machines(None, work)))
    return list(dict.fromkeys([held.name if held else place.name, *found]))


def _made_here(machines: Iterable[MachineInfo]) -> list[MachineInfo]:
    """Other hosts that share a provider may have work folders of the same path."""
    return [each for each in machines if each.host in ("", identity.of_this_host())]


def _require_nobody_elses(place: LabDir, provider: Provider) -> None:
    machines = provider.machines(place.name, place.work)
    elsewhere = [each.host_name for each in machines if each not in _made_here(machines)]
    if elsewhere:
        raise LabProblem(
            f"another host has made these machines, from a work folder of the same path, {place.work.path}, and this "
            f"one has not their keys: {', '.join(elsewhere)}",
            hint=f"`halab down` removes them, if nobody uses them any more; or {_rename(place)}",
        )


def _rename(place: LabDir) -> str:
    return f"give this lab another name in {place.file} (`name: auto` makes one up)"


def _remove(place: LabDir, provider: Provider, machines: Sequence[MachineInfo], progress: Progress) -> None:
    known = sorted({each.lab for each in machines})
    snapshots = {saved.snapshot for name in known for saved in provider.saved(name, place.work)}
    progress.say(
        f"the keys of {', '.join(each.host_name for each in machines)} are not in {place.work.path}: nobody can log in "
        f"to them any more, and the lab is made anew"
        + (f", without its snapshots: {', '.join(sorted(snapshots))}" if snapshots else "")
    )
    with progress.step("remove the machines without keys", limit_seconds=120) as step:
        step.done(", ".join(one for name in known for one in provider.remove(name, place.work)))
    # it may be called otherwise now
    allocation.release(place.work.path)


def _taken(place: LabDir, machine: MachineInfo) -> LabProblem:
    folder = Path(machine.work).parent
    if machine.host not in ("", identity.of_this_host()):
        return LabProblem(
            f"another host has a lab called {machine.lab} there: {folder}", hint=_rename(place)
        )
    if inventory.is_there(machine.work):
        hint = f"{_rename(place)}, or take the other one down: `cd {folder} && halab down`"
        return LabProblem(f"another lab on this host is called {machine.lab}: {folder}", hint=hint)
    return LabProblem(
        f"the lab {machine.lab} is up, and the work folder that it was made from is gone: {machine.work}",
        hint="if the folder was moved, move it back; if it was removed, `halab gc` removes the machines",
    )
