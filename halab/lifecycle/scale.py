"""`halab scale`: gives a lab that is up another size, and waits until it is steady."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from halab.cluster.steady import Observation
from halab.config import lab_size
from halab.config.lab_size import LabSize
from halab.errors import BadUsage, HalabError
from halab.faults.journal import Journal
from halab.lifecycle import kubeadm_check, providers, rescale, sizes, snapshot
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir, Unfinished
from halab.lifecycle.rescale import Rescaled
from halab.lifecycle.wait_steady import wait_steady
from halab.machines.host import allocation
from halab.progress import Progress


@dataclass(frozen=True)
class ScaleResult:
    """What has changed, and the observation of the lab when it was steady."""

    changes: Rescaled
    seen: Observation


def wanted(lab_dir: LabDir, words: Sequence[str]) -> LabSize:
    """The size that words such as `control_planes=5` ask for; without any, the size of an interrupted scale.

    Raises BadUsage if the words or the size are wrong, and LabProblem if the lab is not up.
    """
    before = rescale.built(lab_dir)
    unfinished = sizes.target(allocation.of(lab_dir.work.path))
    if not words and unfinished is None:
        raise BadUsage(
            f"no size was given, and no scale was interrupted: the lab has {before}",
            hint="for example: `halab scale control_planes=5 workers=2`",
        )
    size = (unfinished or before).changed(words)
    problems = list(lab_size.problems(lab_dir.written, size))
    if problems:
        raise BadUsage(f"the lab of {lab_dir.file} cannot have {size}: {'; '.join(problems)}")
    return size


def scale(lab_dir: LabDir, size: LabSize, progress: Progress) -> ScaleResult:
    """Change the size of the lab and wait until it is steady. After an interruption, the next call continues."""
    kubeadm_check.require(lab_dir)
    with labs.locked(lab_dir, f"scale, process {os.getpid()}", despite=Unfinished.SCALE):
        labs.require_not_kept(lab_dir)
        Journal(lab_dir.work.journal).require_no_fault()
        try:
            changes = rescale.rescale(lab_dir, size, progress)
        except HalabError as error:
            if sizes.target(allocation.of(lab_dir.work.path)):
                hint = "continue with `halab scale`, go back with the old size, or remove everything with `halab down`"
                error.hint = "\n".join(filter(None, (error.hint, hint)))
            raise
        hint = f"the lab has its new size, {size}; `halab status` shows what it lacks"
        seen = wait_steady(lab_dir, changes.lab, progress, hint=hint)
        machines = providers.machines(lab_dir, changes.lab)
        snapshot.save_after_up(lab_dir, machines, progress, changed=changes.changed)
        return ScaleResult(changes, seen)
