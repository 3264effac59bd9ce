"""Snapshots of a whole lab: save all machines at one moment, and restore them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import datetime

from halab.cluster.steady import Observation
from halab.config.fault_facts import FREEZE
from halab.config.lab import ProviderKind
from halab.errors import BadUsage, HalabError, LabProblem
from halab.faults import injection
from halab.faults.journal import Journal
from halab.faults.site import Site
from halab.files import replace
from halab.lifecycle import access, providers, restored_version
from halab.lifecycle import lab as labs
from halab.lifecycle.boot import boot
from halab.lifecycle.lab import LabDir, Unfinished
from halab.lifecycle.wait_steady import wait_steady
from halab.machines.guests import on_all
from halab.machines.power import PowerState
from halab.machines.provider import LabMachines
from halab.progress import Progress
from halab.topology.lab import Lab

# The snapshot that `up` saves and `reset` restores.
AFTER_UP = "up"
# A snapshot's name is part of names and tags in docker and libvirt.
_NAME = r"[a-z0-9][a-z0-9-]{0,29}"
# 2 GiB of memory and the disk of an etcd take seconds. The limits allow for a disk that is busy.
_SAVE_SECONDS = 300
_RESTORE_SECONDS = 300
# Added to the length of a lease. Seen on an emulated lab: it was steady 5.5 s after its clocks were stepped, but soon
# after that the API did not answer.
_AFTER_LEASE_SECONDS = 5
_NOT_STEADY = "`halab status` shows what the lab lacks. On a slow host, set `patience` in the lab file"


@dataclass(frozen=True)
class Snapshot:
    """`missing` are machines of the lab that the snapshot lacks: they were added later, or saving them failed.

    `removed` are machines of the snapshot that the lab no longer has.
    """

    name: str
    created: datetime
    missing: tuple[str, ...]
    removed: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return not self.missing and not self.removed

    @property
    def problem(self) -> str:
        """Why it cannot be restored; empty if it can."""
        if self.removed:
            return f"was saved when the lab was larger: {', '.join(self.removed)}"
        return f"is incomplete: {', '.join(self.missing)} missing" if self.missing else ""


def snapshots(machines: LabMachines) -> list[Snapshot]:
    """The snapshots of a lab, oldest first."""
    created: dict[str, dict[str, datetime]] = {}
    for saved in machines.saved():
        created.setdefault(saved.snapshot, {})[saved.machine] = saved.created
    result = [
        Snapshot(
            name,
            max(times.values()),
            tuple(machine.name for machine in machines.lab.machines if machine.name not in times),
            tuple(sorted(times.keys() - {machine.name for machine in machines.lab.machines})),
        )
        for name, times in created.items()
    ]
    return sorted(result, key=lambda snapshot: (snapshot.created, snapshot.name))


def of_lab(lab_dir: LabDir) -> list[Snapshot]:
    """The snapshots of the lab that is up."""
    return snapshots(providers.machines(lab_dir, labs.existing(lab_dir)))


def save(lab_dir: LabDir, name: str, progress: Progress) -> None:
    """Save the whole lab: freeze all machines, save them and let them continue. Machines that are off stay off.

    Raises BadUsage for an invalid or existing name, and LabProblem if the lab cannot be saved in its state.
    """
    if not re.fullmatch(_NAME, name):
        raise BadUsage(
            f"invalid name for a snapshot: {name}",
            hint="use up to 30 lower-case letters, digits and dashes, and begin with a letter or a digit",
        )
    with labs.locked(lab_dir, f"snapshot save, process {os.getpid()}"):
        machines = providers.machines(lab_dir, labs.existing(lab_dir))
        if any(snapshot.name == name for snapshot in snapshots(machines)):
            raise BadUsage(
                f"the snapshot {name} already exists", hint=f"delete it with `halab snapshot delete {name}`"
            )
        save_locked(lab_dir, machines, name, progress)


def save_locked(lab_dir: LabDir, machines: LabMachines, name: str, progress: Progress) -> None:
    """Like `save`, for a caller that holds the lab's lock. If it fails, the incomplete snapshot is deleted."""
    lab = machines.lab
    site = access.site(lab_dir, lab)
    running = _all_run_or_all_off(site)
    Journal(lab_dir.work.journal).require_no_fault()
    try:
        with (
            progress.step(f"save the snapshot {name}", limit_seconds=_SAVE_SECONDS * lab.patience),
            _frozen(lab_dir, site) if running else nullcontext(),
        ):
            on_all(_names(lab), lambda machine: machines.save(machine, name))
    except BaseException:
        with suppress(HalabError):
            machines.delete_snapshot(name)
        raise
    if running:
        wait_steady(lab_dir, lab, progress, hint=f"the snapshot {name} is saved; {_NOT_STEADY}")


def delete(lab_dir: LabDir, name: str) -> None:
    """Delete a snapshot, complete or not. Raises BadUsage if it does not exist."""
    with labs.locked(lab_dir, f"snapshot delete, process {os.getpid()}"):
        machines = providers.machines(lab_dir, labs.existing(lab_dir))
        _by_name(snapshots(machines), name)
        machines.delete_snapshot(name)


def restore(lab_dir: LabDir, name: str, progress: Progress) -> Observation:
    """Restore the whole lab to a snapshot and wait until it is steady. Open faults are gone afterwards.

    After an interruption, only another restore or `down` may change the lab.
    """
    doing = f"snapshot restore, process {os.getpid()}"
    with labs.locked(lab_dir, doing, despite=Unfinished.RESTORE | Unfinished.UPGRADE):
        return _restore(lab_dir, name, progress)


def _restore(lab_dir: LabDir, name: str, progress: Progress) -> Observation:
    lab = labs.existing(lab_dir)
    machines = providers.machines(lab_dir, lab)
    snapshot = _by_name(snapshots(machines), name)
    if not snapshot.is_complete:
        raise LabProblem(
            f"the snapshot {name} {snapshot.problem}",
            hint=f"give the lab the size that it had then with `halab scale`, or delete the snapshot with "
            f"`halab snapshot delete {name}`",
        )
    restore_locked(lab_dir, machines, name, progress)
    # containers have booted; virtual machines continue with a stepped clock, and their leases expire only now
    continues = lab.provider is ProviderKind.LIBVIRT
    return wait_steady(
        lab_dir,
        lab,
        progress,
        hold_seconds=hold_seconds(lab),
        all_booted=not continues,
        hint=f"the snapshot {name} is restored; {_NOT_STEADY}",
    )


def hold_seconds(lab: Lab) -> float:
    """How long a restored lab must stay steady: leases of virtual machines that continue expire only then."""
    return lab.lease_seconds + _AFTER_LEASE_SECONDS if lab.provider is ProviderKind.LIBVIRT else 0


def reset(lab_dir: LabDir, progress: Progress) -> Observation:
    """Restore the snapshot that `up` saved. Raises LabProblem if there is none."""
    require_after_up(lab_dir)
    return restore(lab_dir, AFTER_UP, progress)


def reset_locked(lab_dir: LabDir, progress: Progress) -> Observation:
    """Like `reset`, for a caller that holds the lab's lock."""
    require_after_up(lab_dir)
    return _restore(lab_dir, AFTER_UP, progress)


def require_after_up(lab_dir: LabDir) -> None:
    """Raise LabProblem if the lab has no snapshot that `up` saved."""
    if not any(snapshot.name == AFTER_UP for snapshot in of_lab(lab_dir)):
        raise LabProblem(
            f"the lab {lab_dir.name} has no snapshot that `halab up` saved",
            hint="rebuild the lab with `halab down && halab up`",
        )


def save_after_up(
    lab_dir: LabDir, machines: LabMachines, progress: Progress, *, changed: bool = False
) -> None:
    """Save the lab for `reset`, unless `up` saved it before. A lab that cannot be saved is up nevertheless.

    A snapshot from before machines were added is replaced, and one from before this `up` changed something on them:
    it has the settings that the lab file had then.
    """
    saved = [snapshot for snapshot in snapshots(machines) if snapshot.name == AFTER_UP]
    if saved and saved[0].is_complete and not changed:
        return
    try:
        if saved:
            machines.delete_snapshot(AFTER_UP)
        save_locked(lab_dir, machines, AFTER_UP, progress)
    except HalabError as error:
        progress.say(f"the lab was not saved, so `halab reset` is not available: {error.with_hint}")


def restore_locked(
    lab_dir: LabDir, machines: LabMachines, name: str, progress: Progress, *, starts: bool = True
) -> None:
    """Restore the machines, for a caller that holds the lab's lock. Start them, or let them continue, if `starts`."""
    lab, work, power = machines.lab, lab_dir.work, machines.power()
    of_version = restored_version.of(lab_dir, _saved_at(machines, name))
    replace(work.restoring, name + "\n")
    if any(machines.state(machine) is PowerState.GONE for machine in _names(lab)):
        boot(lab_dir, machines, progress)

    def resume(machine: str) -> None:
        if power.state(machine) is PowerState.FROZEN:
            power.thaw(machine)
        else:
            power.start(machine)

    with progress.step(f"restore the snapshot {name}", limit_seconds=_RESTORE_SECONDS * lab.patience):
        on_all(_names(lab), lambda machine: machines.restore(machine, name))
        work.known_hosts.unlink(missing_ok=True)
        if starts:
            on_all(_names(lab), resume)
    work.journal.unlink(missing_ok=True)
    work.kept.unlink(missing_ok=True)
    of_version.record()
    work.restoring.unlink()


@contextmanager
def _frozen(lab_dir: LabDir, site: Site) -> Iterator[None]:
    """Freeze all machines for the block. The journal records it, so that `halab heal` can thaw them after a crash."""
    journal = Journal(lab_dir.work.journal)
    entries = {machine: injection.plan(site, FREEZE, machine, {}) for machine in _names(site.lab)}
    try:
        on_all(entries, lambda machine: injection.inject(site, journal, entries[machine]))
        yield
    finally:
        on_all(entries, lambda machine: injection.heal(site, journal, entries[machine]))


def _all_run_or_all_off(site: Site) -> bool:
    """True if all machines run, False if all are off. Raises LabProblem if they differ or are in another state."""
    states = {machine: site.power.state(machine) for machine in _names(site.lab)}
    if len(set(states.values())) > 1 or not set(states.values()) <= {PowerState.RUNNING, PowerState.OFF}:
        seen = ", ".join(f"{machine} is {state}" for machine, state in states.items())
        raise LabProblem(
            f"for a snapshot, all machines must run or all must be off: {seen}",
            hint="see `halab status`, and start the machines with `halab up`",
        )
    return PowerState.RUNNING in states.values()


def _by_name(saved: Sequence[Snapshot], name: str) -> Snapshot:
    for snapshot in saved:
        if snapshot.name == name:
            return snapshot
    known = ", ".join(snapshot.name for snapshot in saved) or "none"
    raise BadUsage(f"no such snapshot: {name}", hint=f"existing snapshots: {known}")


def _saved_at(machines: LabMachines, name: str) -> datetime | None:
    """When a snapshot was saved; None if nothing is left of it."""
    return next((saved.created for saved in snapshots(machines) if saved.name == name), None)


def _names(lab: Lab) -> list[str]:
    return [machine.name for machine in lab.machines]
