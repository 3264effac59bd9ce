"""`halab down`: remove everything that `up` created. Recorded runs stay."""

from __future__ import annotations

import os
from dataclasses import replace

from halab.errors import HostProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, orphans, providers, workfiles
from halab.lifecycle.lab import LabDir
from halab.machines.host import allocation
from halab.machines.provider import Provider
from halab.machines.work import Work
from halab.progress import Progress


def down(place: LabDir, progress: Progress, *, runs: bool = False) -> list[str]:
    """Remove the machines, the network and the work folder of a lab. Return the names of what was removed.

    Machines are found by their label and not only by Vagrant's records, which may be lost or older than an interrupted
    `up`. The work folder may be lost too. For a moved work folder, the machines of its old path are removed as well.
    """
    # the machines are at the provider that created them, whatever the file says now
    held = allocation.of(place.work.path)
    kind = machine_info.provider(place.work) or (held.provider if held else labs.provider_of(place))
    place = replace(place, written=place.written.model_copy(update={"provider": kind}))
    if held:
        labs.require_same_host(place, held)
    try:
        provider = providers.connect(place)
    except HostProblem:
        if held or place.work.path.exists():
            raise
        progress.say(f"{kind} does not answer, so halab does not know whether it has machines of this lab")
        return []
    with labs.locked(place, f"down, process {os.getpid()}", amid_restore=True):
        with progress.step("remove the machines", limit_seconds=120) as step:
            old_work = machine_info.moved_from(place.work)
            works = [place.work, *([old_work] if old_work else [])]
            removed = [name for work in works for name in _remove(place, provider, work)]
            step.done(", ".join(removed) or "there are none")
        workfiles.clear(place, runs=runs)
        for work in works:
            allocation.release(work.path)
    place.work.remove_if_empty()
    return removed


def _remove(place: LabDir, provider: Provider, work: Work) -> list[str]:
    return [
        removed for lab in orphans.names(place, provider, work) for removed in provider.remove(lab, work)
    ]
