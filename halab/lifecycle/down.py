"""`halab down`: remove everything that `up` created. Recorded runs stay."""

from __future__ import annotations

import os
from dataclasses import replace

from halab.errors import HostProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import machine_info, orphans, providers, workfiles
from halab.lifecycle.lab import LabDir, Unfinished
from halab.machines.host import allocation
from halab.machines.provider import Provider
from halab.machines.work import Work
from halab.progress import Progress


def down(lab_dir: LabDir, progress: Progress, *, runs: bool = False) -> list[str]:
    """Remove the machines, the network and the work folder of a lab. Return the names of what was removed.

    Machines are found by their label and not only by Vagrant's records, which may be lost or older than an interrupted
    `up`. The work folder may be lost too. For a moved work folder, the machines of its old path are removed as well.
    """
    # the machines are at the provider that created them, whatever the file says now
    held = allocation.of(lab_dir.work.path)
    kind = machine_info.provider(lab_dir.work) or (held.provider if held else labs.provider_of(lab_dir))
    lab_dir = replace(lab_dir, written=lab_dir.written.model_copy(update={"provider": kind}))
    if held:
        labs.require_same_host(lab_dir, held)
    try:
        provider = providers.connect(lab_dir)
    except HostProblem:
        if held or lab_dir.work.path.exists():
            raise
        progress.say(
            f"{kind} does not answer: if it has machines of this lab, start it and run the command again"
        )
        return []
    with labs.locked(lab_dir, f"down, process {os.getpid()}", despite=Unfinished.ANYTHING):
        removed = down_locked(lab_dir, provider, progress, runs=runs)
    lab_dir.work.remove_if_empty()
    return removed


def down_locked(lab_dir: LabDir, provider: Provider, progress: Progress, *, runs: bool = False) -> list[str]:
    """Like `down`, for a caller that holds the lab's lock. The empty work folder stays."""
    with progress.step("remove the machines", limit_seconds=120) as step:
        old_work = machine_info.moved_from(lab_dir.work)
        works = [lab_dir.work, *([old_work] if old_work else [])]
        removed = [name for work in works for name in _remove(lab_dir, provider, work)]
        step.done(", ".join(removed) or "there are none")
    workfiles.clear(lab_dir, runs=runs)
    for work in works:
        allocation.release(work.path)
    return removed


def _remove(lab_dir: LabDir, provider: Provider, work: Work) -> list[str]:
    return [
        removed for lab in orphans.names(lab_dir, provider, work) for removed in provider.remove(lab, work)
    ]
