"""`halab upgrade`: changes the version of Kubernetes in a lab that is up, and waits until the lab is steady."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from halab.cluster.steady import Observation
from halab.config.kubernetes import Release
from halab.errors import HalabError
from halab.faults.journal import Journal
from halab.lifecycle import access, providers, snapshot, versions
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir, Unfinished
from halab.lifecycle.version_change import VersionChange, change_version
from halab.lifecycle.wait_steady import wait_steady
from halab.machines.host import allocation
from halab.progress import Progress


@dataclass(frozen=True)
class UpgradeResult:
    """What has changed, and the observation of the lab when it was steady."""

    change: VersionChange
    seen: Observation


def upgrade(lab_dir: LabDir, release: Release, progress: Progress) -> UpgradeResult:
    """Upgrade the lab and wait until it is steady. After an interruption, the next call continues.

    Raises BadUsage or LabProblem before anything is changed if the lab cannot be upgraded in its state.
    """
    with labs.locked(lab_dir, f"upgrade, process {os.getpid()}", despite=Unfinished.UPGRADE):
        labs.require_not_kept(lab_dir)
        Journal(lab_dir.work.journal).require_no_fault()
        goal = labs.allocated(replace(lab_dir, version=release.kubernetes))
        with _explained(lab_dir, progress), access.api(lab_dir, goal) as api:
            change = change_version(lab_dir, release, access.guests(lab_dir), api, progress)
        hint = "the lab has its new version; `halab status` shows what it lacks"
        seen = wait_steady(lab_dir, change.lab, progress, hint=hint)
        machines = providers.machines(lab_dir, change.lab)
        snapshot.save_after_up(lab_dir, machines, progress, changed=True)
        return UpgradeResult(change, seen)


@contextmanager
def _explained(lab_dir: LabDir, progress: Progress) -> Iterator[None]:
    """Say at which machine an upgrade was interrupted, and how to continue."""
    try:
        yield
    except HalabError as error:
        held = allocation.of(lab_dir.work.path)
        if versions.target(held):
            hint = (
                f"{versions.interrupted(held, 'the upgrade')}; see the logs in {lab_dir.work.logs}, then continue "
                f"with `halab upgrade` or remove everything with `halab down`"
            )
            error.hint = "\n".join(filter(None, (error.hint, hint)))
        raise
    except KeyboardInterrupt:
        held = allocation.of(lab_dir.work.path)
        if versions.target(held):
            progress.say(f"{versions.interrupted(held, 'the upgrade')}: continue with `halab upgrade`")
        raise
