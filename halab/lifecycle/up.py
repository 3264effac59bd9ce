"""From a lab file to a steady lab: `up`, and `start` after a `stop`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from halab.clock import RealClock
from halab.cluster.steady import Observation, observe
from halab.config.lab import ProviderKind
from halab.errors import HalabError, LabProblem
from halab.files import replace
from halab.lifecycle import (
    access,
    components,
    kept_lab,
    kubeadm_check,
    machine_info,
    orphans,
    own_files,
    providers,
    snapshot,
    source_record,
    workfiles,
)
from halab.lifecycle import lab as labs
from halab.lifecycle.boot import boot, require_thawed
from halab.lifecycle.lab import LabDir, Unfinished
from halab.lifecycle.manifests import ManifestApplier
from halab.lifecycle.own_images import ComponentImage, NodeImages
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
    """The result of `up`: the lab, its observation when it was steady, and the number of changes."""

    lab: Lab
    seen: Observation
    changes: int


def up(lab_dir: LabDir, progress: Progress, *, is_temporary: bool = False) -> UpResult:
    """Build the lab and wait until it is steady.

    A second call only applies what changed. After an interruption, it continues.

    An error of a temporary lab does not say how to continue, because the caller removes the lab.
    """
    own = own_files.read(lab_dir)
    patches = labs.patches(lab_dir)
    components.require_kernel(lab_dir)
    is_checked = kubeadm_check.require(lab_dir)
    built = components.ensure(lab_dir, progress)
    with labs.locked(lab_dir, f"up, process {os.getpid()}"):
        provider = providers.connect(lab_dir)
        kept_lab.remove_if_changed(lab_dir, provider, own, patches, built, progress)
        orphans.reclaim(lab_dir, provider, progress)
        # until the networks of this lab exist, no other halab process may choose networks
        with host_lock(HostLock.NETWORKS):
            is_new = allocation.of(lab_dir.work.path) is None
            lab = _allocate(lab_dir, provider, patches, built)
            machines = provider.of(lab, lab_dir.work)
            try:
                machines.require_free_names()
            except HalabError:
                # nothing was created yet, so the lab may have another name at the next `up`
                if is_new:
                    allocation.release(lab_dir.work.path)
                raise
            machines.make_networks()
        if is_new:
            # the files in the work folder belong to a lab that is gone or to another folder: keys, journal, machines
            workfiles.clear(lab_dir)
        require_thawed(machines)
        base = providers.base(lab_dir, lab, progress)
        if not is_checked:
            # the bundle may have been made for the box
            kubeadm_check.require(lab_dir)
        lab_dir.work.make()
        with nullcontext() if is_temporary else _explained_failure(lab_dir):
            rendered = workfiles.rendered(lab_dir, lab, patches, own, base=base)
            recorded = machine_info.record(lab_dir.work, lab, patches) | source_record.record(built)
            workfiles.write(lab_dir, {**rendered, **recorded})
            brought_back = kept_lab.bring_back(lab_dir, machines, progress)
            started = brought_back + boot(lab_dir, machines, progress)
            payload = providers.payload(lab_dir, lab)
            guests, clock = access.guests(lab_dir), RealClock()
            provisioner = Provisioner(
                lab, lab_dir.work, guests, progress, clock, payload, NodeImages(own.images, built)
            )
            changes = provisioner.run()
            _save_credentials(lab_dir, provisioner)
            applier = ManifestApplier(lab, guests, provisioner.joined_control_plane, clock, progress)
            changes += applier.apply(own.manifests)
            all_booted = started == len(lab.machines) and changes == 0
            seen = _wait_steady(lab_dir, lab, progress, brought_back=brought_back, all_booted=all_booted)
            # even if nothing was changed: an earlier `up` may have ended before it saved the lab
            snapshot.save_after_up(lab_dir, machines, progress, changed=changes > 0)
            return UpResult(lab, seen, started + changes)


def start(lab_dir: LabDir, progress: Progress) -> Observation:
    """Start a stopped lab and wait until it is steady. While a drill is running, it is broken: only start it."""
    with labs.locked(lab_dir, f"start, process {os.getpid()}", despite=Unfinished.DRILL):
        lab = labs.existing(lab_dir)
        machines = providers.machines(lab_dir, lab)
        gone = [machine.name for machine in lab.machines if machines.state(machine.name) is PowerState.GONE]
        if gone:
            raise LabProblem(
                f"these machines no longer exist: {', '.join(gone)}",
                hint="create them again with `halab up`",
            )
        if lab.provider is ProviderKind.LIBVIRT:
            incomplete = [
                machine.name for machine in lab.machines if not lab_dir.work.has_key_of_vagrant(machine.name)
            ]
            if incomplete:
                raise LabProblem(
                    f"the creation of these machines was interrupted: {', '.join(incomplete)}",
                    hint="create them again with `halab up`",
                )
        with _explained_failure(lab_dir):
            require_thawed(machines)
            brought_back = kept_lab.bring_back(lab_dir, machines, progress)
            all_booted = brought_back + boot(lab_dir, machines, progress) == len(lab.machines)
            if lab_dir.work.has_drill:
                with access.api(lab_dir, lab) as api:
                    return observe(access.guests(lab_dir), api, lab)
            return _wait_steady(lab_dir, lab, progress, brought_back=brought_back, all_booted=all_booted)


def _wait_steady(
    lab_dir: LabDir, lab: Lab, progress: Progress, *, brought_back: int, all_booted: bool
) -> Observation:
    """Wait until the lab is steady. Kept virtual machines continue where they were, so their leases expire first."""
    continues = brought_back > 0 and lab.provider is ProviderKind.LIBVIRT
    hold = snapshot.hold_seconds(lab) if continues else 0
    return wait_steady(lab_dir, lab, progress, hold_seconds=hold, all_booted=all_booted and not continues)


def stop(lab_dir: LabDir, progress: Progress) -> None:
    """Stop the machines of a lab and keep their disks."""
    with labs.locked(lab_dir, f"stop, process {os.getpid()}", despite=Unfinished.DRILL):
        lab = labs.existing(lab_dir)
        with progress.step("stop the machines", limit_seconds=120):
            providers.vagrant(lab_dir, lab).halt()


def _allocate(
    lab_dir: LabDir, provider: Provider, patches: Mapping[str, str], built: Sequence[ComponentImage]
) -> Lab:
    if allocation.of(lab_dir.work.path):
        lab = labs.allocated(lab_dir)
        has_other_provider = machine_info.provider(lab_dir.work) not in (None, lab.provider)
        if has_other_provider or provider.machines(lab.name, lab_dir.work):
            machine_info.require_same(lab_dir.file, lab_dir.work, lab)
            machine_info.require_same_patches(lab_dir.work, lab_dir.written.kubeadm.patches, patches)
            source_record.require_same(lab_dir.work, built)
        return lab
    taken = [*allocation.host_routes(provider.remote), *provider.networks(), *labs.cluster_networks(lab_dir)]
    allocated = allocation.allocate(
        lab_dir.name,
        lab_dir.written.network,
        lab_dir.work.path,
        taken=taken,
        provider=labs.provider_of(lab_dir),
        host=str(provider.remote) if provider.remote else "",
    )
    return labs.planned(lab_dir, allocated)


def _save_credentials(lab_dir: LabDir, provisioner: Provisioner) -> None:
    kubeconfig, credentials = provisioner.kubeconfig(), access.credentials(lab_dir)
    replace(lab_dir.work.kubeconfig, kubeconfig)
    credentials.save(kubeconfig)
    credentials.of_etcd.write(*provisioner.etcd_client())


@contextmanager
def _explained_failure(lab_dir: LabDir) -> Iterator[None]:
    """Add to an error that the machines were kept, where the logs are, and how to continue."""
    try:
        yield
    except HalabError as error:
        hint = f"the machines still exist; see the logs in {lab_dir.work.logs}, then continue with `halab up` or "
        hint += "remove everything with `halab down`"
        error.hint = f"{error.hint}\n{hint}" if error.hint else hint
        raise
