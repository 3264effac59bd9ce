"""From a lab file to a steady lab: `up`, and `start` after a `stop`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from halab.clock import RealClock
from halab.cluster.steady import Observation
from halab.config.lab import ProviderKind
from halab.errors import HalabError, LabProblem
from halab.files import replace
from halab.lifecycle import access, machine_info, orphans, providers, snapshot, workfiles
from halab.lifecycle import lab as labs
from halab.lifecycle.boot import boot, require_thawed
from halab.lifecycle.lab import LabDir
from halab.lifecycle.provision import Provisioner
from halab.lifecycle.wait_steady import wait_steady
from halab.machines.host import allocation
from halab.machines.host.host_lock import HostLock, host_lock
from halab.machines.power import PowerState
from halab.machines.provider import Provider
from halab.progress import Progress
from halab.topology.lab import Lab


@dataclass(frozen=True)
class UpResult:
    """What `up` came to: the lab, what it looked like when it was steady, and what had to be changed."""

    lab: Lab
    seen: Observation
    changes: int


def up(place: LabDir, progress: Progress) -> UpResult:
    """Make the lab and wait until it is steady. A second call changes nothing; an interrupted one is taken up."""
    with labs.locked(place, f"up, process {os.getpid()}"):
        provider = providers.connect(place)
        orphans.reclaim(place, provider, progress)
        # until its networks are there to be seen, nobody else may choose theirs
        with host_lock(HostLock.NETWORKS):
            is_new = allocation.of(place.work.path) is None
            lab = _allocate(place, provider)
            machines = provider.of(lab, place.work)
            try:
                machines.require_free_names()
            except HalabError:
                # nothing of it is made: it may be called otherwise at the next `up`
                if is_new:
                    allocation.release(place.work.path)
                raise
            machines.make_networks()
        if is_new:
            # what is in it is of a lab that is gone, or of another folder's: no key, no fault, no machine of this one
            workfiles.clear(place)
        require_thawed(machines)
        base = providers.base(place, lab, progress)
        place.work.make()
        with _kept(place):
            place.work.write(
                {**workfiles.rendered(place, lab, base=base), **machine_info.note(place.work, lab)}
            )
            started = boot(place, machines, progress)
            payload = providers.payload(place, lab)
            provisioner = Provisioner(lab, place.work, access.guests(place), progress, RealClock(), payload)
            changes = provisioner.run()
            _save_credentials(place, provisioner)
            seen = wait_steady(place, lab, progress)
            # also where nothing had to be changed: an `up` before may have ended before it came to this
            snapshot.save_after_up(place, machines, progress)
            return UpResult(lab, seen, started + changes)


def start(place: LabDir, progress: Progress) -> Observation:
    """Start a stopped lab and wait until it is steady."""
    with labs.locked(place, f"start, process {os.getpid()}"), _kept(place):
        lab = labs.existing(place)
        machines = providers.machines(place, lab)
        gone = [each.name for each in lab.machines if machines.state(each.name) is PowerState.GONE]
        if gone:
            raise LabProblem(
                f"nothing is left to start of {', '.join(gone)}", hint="`halab up` makes them anew"
            )
        if lab.provider is ProviderKind.LIBVIRT:
            half = [each.name for each in lab.machines if not place.work.has_key_of_vagrant(each.name)]
            if half:
                raise LabProblem(f"not made to its end: {', '.join(half)}", hint="`halab up` makes it anew")
        require_thawed(machines)
        boot(place, machines, progress)
        return wait_steady(place, lab, progress)


def stop(place: LabDir, progress: Progress) -> None:
    """Stop the machines of a lab and keep their disks."""
    with labs.locked(place, f"stop, process {os.getpid()}"):
        lab = labs.existing(place)
        with progress.step("stop the machines", limit_seconds=120):
            providers.vagrant(place, lab).halt()


def _allocate(place: LabDir, provider: Provider) -> Lab:
    if allocation.of(place.work.path):
        lab = labs.allocated(place)
        elsewhere = machine_info.provider(place.work) not in (None, lab.provider)
        if elsewhere or provider.machines(lab.name, place.work):
            machine_info.require_same(place.file, place.work, lab)
        return lab
    taken = [*allocation.host_routes(provider.remote), *provider.networks()]
    managed = labs.provider_of(place.written) is ProviderKind.LIBVIRT
    host = str(provider.remote) if provider.remote else ""
    got = allocation.allocate(
        place.name, place.written.network, place.work.path, taken=taken, managed=managed, host=host
    )
    return labs.planned(place, got)


def _save_credentials(place: LabDir, provisioner: Provisioner) -> None:
    kubeconfig, credentials = provisioner.kubeconfig(), access.credentials(place)
    replace(place.work.kubeconfig, kubeconfig)
    credentials.save(kubeconfig)
    credentials.of_etcd.write(*provisioner.etcd_client())


@contextmanager
def _kept(place: LabDir) -> Iterator[None]:
    """What failed stays for a look: the error says where the logs are and how to go on."""
    try:
        yield
    except HalabError as error:
        kept = f"the machines are kept; logs: {place.work.logs}; go on with `halab up`, or remove all with `halab down`"
        error.hint = f"{error.hint}\n{kept}" if error.hint else kept
        raise
