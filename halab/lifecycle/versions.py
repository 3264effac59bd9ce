"""The present version of a lab's Kubernetes: that of its file, or that of the last `halab upgrade`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from halab.config import kubernetes
from halab.config.component_settings import Sources
from halab.config.lab import LabFile
from halab.errors import LabProblem
from halab.lifecycle import machine_info
from halab.machines.host import allocation
from halab.machines.host.allocation import Allocation, Upgraded, VersionSince
from halab.machines.work import Work


def present(written: LabFile, held: Allocation | None) -> str:
    """The version of Kubernetes with which the lab's scripts are rendered.

    While an upgrade or a restore is incomplete, the record of the machines counts: it is written just before the end.
    """
    upgraded = held.upgraded if held else None
    if held is None or upgraded is None:
        return kubernetes.resolve(written.kubernetes.version).kubernetes
    recorded = machine_info.version(Work(held.work)) if upgraded.target else None
    return recorded or _last(upgraded)


def of_base(written: LabFile, held: Allocation | None) -> str:
    """The version in the box from which the lab's machines start: an upgrade does not change it."""
    return held.upgraded.built if held and held.upgraded else present(written, None)


def target(held: Allocation | None) -> str | None:
    """The version that an interrupted upgrade goes to; None if no upgrade was interrupted."""
    return held.upgraded.target if held and held.upgraded else None


def versioned(written: LabFile, version: str) -> LabFile:
    """A lab file as if it said this version of Kubernetes.

    If it says another one, no component has another version, and none is built from a checkout.
    """
    settings = written.kubernetes.with_version(version)
    if settings is written.kubernetes:
        return written
    return written.model_copy(update={"kubernetes": settings, "source": Sources()})


def begin(work: Work, written: LabFile, before: str, wanted: str) -> None:
    """Record that the lab goes to another version."""
    held = allocation.of(work.path)
    upgraded = (held and held.upgraded) or Upgraded(built=before, written=written.kubernetes.version)
    changes = replace(upgraded, written=written.kubernetes.version, target=wanted)
    allocation.upgrade(work.path, changes)


def begin_restore(work: Work, version: str) -> None:
    """Record that a snapshot brings a version back. Until `complete`, the record of the machines counts."""
    allocation.upgrade(work.path, replace(_record(work), target=version))


def reach(work: Work, machine: str) -> None:
    """Record the machine at which an upgrade is."""
    allocation.upgrade(work.path, replace(_record(work), machine=machine))


def complete(work: Work, version: str) -> str:
    """Record that the lab has a version since now: an upgrade has ended, or a snapshot was restored.

    Return the version that it had before.
    """
    # whole seconds, as in the times of libvirt's snapshots
    since = datetime.now(UTC).replace(microsecond=0)
    upgraded = _record(work)
    history = (*upgraded.history, VersionSince(version, since))
    allocation.upgrade(work.path, replace(upgraded, history=history, target=None, machine=None))
    return _last(upgraded)


def at(held: Allocation | None, moment: datetime) -> str | None:
    """The version that the lab had at a moment: a snapshot from then has it. None if the lab was never upgraded."""
    if held is None or held.upgraded is None:
        return None
    earlier = [each.version for each in held.upgraded.history if each.since <= moment]
    return earlier[-1] if earlier else held.upgraded.built


def require_agreement(file: Path, written: LabFile, held: Allocation) -> None:
    """Raise LabProblem if the lab was upgraded and its file was changed to another version since."""
    upgraded, now = held.upgraded, written.kubernetes.version
    if upgraded is None or now == upgraded.written:
        return
    meant = kubernetes.resolve(now).kubernetes
    if meant not in (_last(upgraded), upgraded.target):
        raise LabProblem(
            f"{file} now says Kubernetes {meant}, but the lab was upgraded from {upgraded.built} to "
            f"{upgraded.target or _last(upgraded)}",
            hint=f"upgrade the lab with `halab upgrade {now}`, change {file} back, or rebuild the lab with "
            f"`halab down && halab up`",
        )


def require_complete(name: str, held: Allocation | None) -> None:
    """Raise LabProblem if an upgrade was interrupted."""
    if target(held):
        raise LabProblem(
            interrupted(held, f"upgrading the lab {name}"),
            hint="continue with `halab upgrade`, restore a snapshot from before with `halab snapshot restore`, or "
            "remove the lab with `halab down`",
        )


def interrupted(held: Allocation | None, what: str) -> str:
    """That an upgrade was interrupted, and where."""
    upgraded = held.upgraded if held else None
    assert upgraded
    where = f" at {upgraded.machine}" if upgraded.machine else ""
    return f"{what} to Kubernetes {upgraded.target} was interrupted{where}"


def _record(work: Work) -> Upgraded:
    held = allocation.of(work.path)
    assert held and held.upgraded
    return held.upgraded


def _last(upgraded: Upgraded) -> str:
    return upgraded.history[-1].version if upgraded.history else upgraded.built
