"""Snapshots of a whole lab: all machines as they were at one moment, and back to it."""

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
from halab.lifecycle import access, providers
from halab.lifecycle import lab as labs
from halab.lifecycle.boot import boot
from halab.lifecycle.lab import LabDir
from halab.lifecycle.wait_steady import wait_steady
from halab.machines.guests import on_all
from halab.machines.power import PowerState
from halab.machines.provider import LabMachines
from halab.progress import Progress
from halab.topology.lab import Lab

# What `up` saves when it has made the lab, and `reset` goes back to.
AFTER_UP = "up"
# It is a part of names and tags at docker and libvirt.
_NAME = r"[a-z0-9][a-z0-9-]{0,29}"
# Of 2 GiB of memory, and of an etcd's disk: seconds. The limits are for a disk that others use, too.
_SAVE_SECONDS = 300
_RESTORE_SECONDS = 300
# Beyond a lease. Seen on an emulated lab: steady 5.5 s after its clocks were stepped, and a moment later no answer from
# the API.
_AFTER_LEASE_SECONDS = 5


@dataclass(frozen=True)
class Snapshot:
    """`missing` are machines of the lab that are not in it, because saving them did not end, or they are newer."""

    name: str
    created: datetime
    missing: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        return not self.missing


def snapshots(machines: LabMachines) -> list[Snapshot]:
    """The snapshots of a lab, the oldest first."""
    found: dict[str, dict[str, datetime]] = {}
    for saved in machines.saved():
        found.setdefault(saved.snapshot, {})[saved.machine] = saved.created
    every = [
        Snapshot(
            name,
            max(created.values()),
            tuple(each.name for each in machines.lab.machines if each.name not in created),
        )
        for name, created in found.items()
    ]
    return sorted(every, key=lambda each: (each.created, each.name))


def of_lab(place: LabDir) -> list[Snapshot]:
    """The snapshots of the lab that is up."""
    return snapshots(providers.machines(place, labs.existing(place)))


def save(place: LabDir, name: str, progress: Progress) -> None:
    """Keep the whole lab as it is now: all machines are frozen, saved, and go on; or all are off."""
    if not re.fullmatch(_NAME, name):
        raise BadUsage(f"not a name for a snapshot: {name}", hint=f"it matches {_NAME}")
    with labs.locked(place, f"snapshot save, process {os.getpid()}"):
        machines = providers.machines(place, labs.existing(place))
        if any(each.name == name for each in snapshots(machines)):
            raise BadUsage(
                f"there is a snapshot {name} already", hint=f"`halab snapshot delete {name}` removes it"
            )
        save_held(place, machines, name, progress)


def save_held(place: LabDir, machines: LabMachines, name: str, progress: Progress) -> None:
    """As `save`, for who holds the lab's lock. What was saved of a snapshot that fails is removed."""
    lab = machines.lab
    site = access.site(place, lab)
    running = _require_alike(site)
    open_faults = Journal(place.work.journal).open_faults()
    if open_faults:
        raise LabProblem(f"a fault is open: {open_faults[0]}", hint="heal it first: `halab heal`")
    try:
        with (
            progress.step(f"save the snapshot {name}", limit_seconds=_SAVE_SECONDS * lab.patience),
            _frozen(place, site) if running else nullcontext(),
        ):
            on_all(_names(lab), lambda machine: machines.save(machine, name))
    except BaseException:
        with suppress(HalabError):
            machines.delete_snapshot(name)
        raise
    if running:
        wait_steady(place, lab, progress)


def delete(place: LabDir, name: str) -> None:
    """Remove a snapshot, or what was saved of one that did not come to its end."""
    with labs.locked(place, f"snapshot delete, process {os.getpid()}"):
        machines = providers.machines(place, labs.existing(place))
        _known(snapshots(machines), name)
        machines.delete_snapshot(name)


def restore(place: LabDir, name: str, progress: Progress) -> Observation:
    """Put the whole lab back to a snapshot, and wait until it is steady.

    Faults that were open are gone with the state that they were in. What interrupts it leaves a lab that only another
    restore, or `down`, may touch.
    """
    with labs.locked(place, f"snapshot restore, process {os.getpid()}", amid_restore=True):
        lab = labs.existing(place)
        machines = providers.machines(place, lab)
        wanted = _known(snapshots(machines), name)
        if not wanted.is_whole:
            raise LabProblem(
                f"the snapshot {name} is not whole: {', '.join(wanted.missing)} is not in it",
                hint=f"`halab snapshot delete {name}` removes what there is of it",
            )
        _put_back(place, machines, name, progress)
        # containers have started anew; who goes on with a clock that was stepped has leases that run out only now
        hold = lab.lease_seconds + _AFTER_LEASE_SECONDS if lab.provider is ProviderKind.LIBVIRT else 0
        return wait_steady(place, lab, progress, hold_seconds=hold)


def reset(place: LabDir, progress: Progress) -> Observation:
    """Put the lab back to how `up` left it."""
    if not any(each.name == AFTER_UP for each in of_lab(place)):
        raise LabProblem(
            f"there is no snapshot of the lab {place.name} as `up` left it",
            hint="make the lab anew: `halab down && halab up`",
        )
    return restore(place, AFTER_UP, progress)


def save_after_up(place: LabDir, machines: LabMachines, progress: Progress) -> None:
    """Keep what `up` has made, for `reset`; once. A lab that cannot be saved is up all the same.

    A snapshot of a lab that had fewer machines is replaced.
    """
    known = [each for each in snapshots(machines) if each.name == AFTER_UP]
    if known and known[0].is_whole:
        return
    try:
        if known:
            machines.delete_snapshot(AFTER_UP)
        save_held(place, machines, AFTER_UP, progress)
    except HalabError as error:
        progress.say(f"the lab was not saved, and `halab reset` has nothing to go back to: {error.message}")


def _put_back(place: LabDir, machines: LabMachines, name: str, progress: Progress) -> None:
    lab, work, power = machines.lab, place.work, machines.power()
    replace(work.restoring, name + "\n")
    if any(machines.state(machine) is PowerState.GONE for machine in _names(lab)):
        boot(place, machines, progress)

    def go_on(machine: str) -> None:
        if power.state(machine) is PowerState.FROZEN:
            power.thaw(machine)
        else:
            power.start(machine)

    with progress.step(f"restore the snapshot {name}", limit_seconds=_RESTORE_SECONDS * lab.patience):
        on_all(_names(lab), lambda machine: machines.restore(machine, name))
        work.known_hosts.unlink(missing_ok=True)
        on_all(_names(lab), go_on)
    work.journal.unlink(missing_ok=True)
    work.restoring.unlink()


@contextmanager
def _frozen(place: LabDir, site: Site) -> Iterator[None]:
    """All machines stand still while the block lasts. It is in the journal: whatever ends halab, `heal` thaws them."""
    journal = Journal(place.work.journal)
    entries = {each: injection.plan(site, FREEZE, each, {}) for each in _names(site.lab)}
    try:
        on_all(entries, lambda each: injection.inject(site, journal, entries[each]))
        yield
    finally:
        on_all(entries, lambda each: injection.heal(site, journal, entries[each]))


def _require_alike(site: Site) -> bool:
    """Whether all machines run; LabProblem where some do and others do not."""
    states = {each: site.power.state(each) for each in _names(site.lab)}
    if len(set(states.values())) > 1 or not set(states.values()) <= {PowerState.RUNNING, PowerState.OFF}:
        seen = ", ".join(f"{machine} is {state}" for machine, state in states.items())
        raise LabProblem(
            f"a snapshot has all machines running, or all of them off: {seen}",
            hint="`halab status` shows more; `halab up` starts what is off",
        )
    return PowerState.RUNNING in states.values()


def _known(every: Sequence[Snapshot], name: str) -> Snapshot:
    for each in every:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in every) or "none"
    raise BadUsage(f"no such snapshot: {name}", hint=f"there are: {known}")


def _names(lab: Lab) -> list[str]:
    return [machine.name for machine in lab.machines]
