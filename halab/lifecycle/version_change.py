"""Changes the version of Kubernetes in a lab that is up, with the steps of kubeadm's own guide.

What remains to be done is recorded before anything is done (`Upgraded.target`), and every step can be repeated: after
an interruption, the next call continues.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from halab.cluster.api import Api
from halab.config import kubernetes
from halab.config.kubernetes import Release
from halab.errors import BadUsage, LabProblem
from halab.images import bundle as bundles
from halab.images.bundle import Bundle
from halab.lifecycle import (
    kubeadm_check,
    machine_info,
    providers,
    upgrade_checks,
    versions,
    workfiles,
)
from halab.lifecycle import lab as labs
from halab.lifecycle.boot import boot
from halab.lifecycle.lab import LabDir
from halab.lifecycle.payload import NEW_PROGRAMS, Payload
from halab.lifecycle.upgrader import MachineUpgrade, Upgrader
from halab.machines.guests import Guests
from halab.machines.host import allocation
from halab.progress import Progress
from halab.topology import files
from halab.topology.lab import Lab


@dataclass(frozen=True)
class VersionChange:
    """The lab with its new version, the version before, and what was done, machine by machine.

    Machines that an interrupted upgrade had completed are not among them.
    """

    lab: Lab
    before: str
    machines: tuple[MachineUpgrade, ...]

    def __str__(self) -> str:
        machines = "; ".join(f"{machine.name}: {machine}" for machine in self.machines)
        return f"Kubernetes {self.before} became {self.lab.release.kubernetes}; {machines or 'no machine was left'}"


def wanted(lab_dir: LabDir, version: str | None) -> Release:
    """The release of a version such as `1.37`; without one, that of an interrupted upgrade.

    Raises BadUsage if the lab cannot get this version or halab does not know it, and LabProblem if it is not up.
    """
    labs.require_complete(lab_dir)
    before = _built(lab_dir)
    held = allocation.of(lab_dir.work.path)
    unfinished = versions.target(held)
    if version is None:
        if unfinished is None:
            raise BadUsage(
                f"no version was given, and no upgrade was interrupted: the lab has Kubernetes {before}",
                hint="for example: `halab upgrade 1.37`",
            )
        return kubernetes.resolve(unfinished)
    release = kubernetes.resolve(version)
    if unfinished:
        if release.kubernetes != unfinished:
            raise BadUsage(
                versions.interrupted(held, f"upgrading the lab {lab_dir.name}"),
                hint="complete it first with `halab upgrade`, or restore a snapshot from before",
            )
        return release
    if problem := kubernetes.upgrade_problem(before, release.kubernetes):
        raise BadUsage(problem[0], hint=problem[1])
    return release


def change_version(
    lab_dir: LabDir, release: Release, guests: Guests, api: Api, progress: Progress
) -> VersionChange:
    """Upgrade the machines one after another, or continue to do so. The caller holds the lab's lock.

    Raises BadUsage or LabProblem before anything is changed if the lab cannot be upgraded in its state.
    """
    bundle = _bundle(lab_dir, release)
    present = replace(lab_dir, version=_built(lab_dir))
    goal_dir = replace(lab_dir, version=release.kubernetes)
    lab, goal = labs.existing(present), labs.allocated(goal_dir)
    unfinished = versions.target(allocation.of(lab_dir.work.path))
    patches = labs.patches(goal_dir)
    machine_info.require_same_patches(lab_dir.work, lab_dir.written.kubeadm.patches, patches)
    kubeadm_check.require(goal_dir)
    if unfinished:
        # the host may have been restarted meanwhile
        boot(lab_dir, providers.machines(lab_dir, goal), progress)
    else:
        upgrade_checks.require_stacked_etcd(lab)
        upgrade_checks.require_steady(guests, api, lab)
        allows = lab_dir.written.kubernetes.allow_unsupported
        upgrade_checks.require_etcd(guests, lab, release, allow_unsupported=allows)
    scripts = workfiles.of_version(goal_dir, goal)
    first = goal.control_planes[0]
    of_upgrade = files.upgrade_scripts(goal, patches, programs=str(NEW_PROGRAMS), first=first)
    upgrader = Upgrader(goal, lab_dir.work, guests, api, Payload(bundle), progress)
    upgrader.bring()
    lab_dir.work.write(of_upgrade)
    if unfinished is None:
        upgrader.preflight()
        versions.begin(lab_dir.work, lab_dir.written, lab.release.kubernetes, release.kubernetes)
    # not before: without an upgrade, a machine that is created again needs the scripts of the old version
    workfiles.write(lab_dir, {**scripts, **of_upgrade})
    done = upgrader.run()
    workfiles.write(lab_dir, {**scripts, **machine_info.record(lab_dir.work, goal, patches)})
    # an interrupted call may have recorded the machines already, so `lab` may have the new version
    before = versions.complete(lab_dir.work, release.kubernetes)
    return VersionChange(goal, before, tuple(done))


def _built(lab_dir: LabDir) -> str:
    """The version of the lab that is up, whatever its file says now."""
    return machine_info.version(lab_dir.work) or labs.version_of(lab_dir)


def _bundle(lab_dir: LabDir, release: Release) -> Bundle:
    """The verified bundle of a release. Raises LabProblem if it is not in the cache."""
    source = lab_dir.written.kubernetes.source
    bundle = bundles.find(release, source)
    if bundle is None:
        of_source = "" if source == kubernetes.BundleSource.AUTO else f" --source {source}"
        raise LabProblem(
            f"the bundle of Kubernetes {release.kubernetes} is not in the cache",
            hint=f"build it with `halab bundle build --kubernetes {release.kubernetes}{of_source}`",
        )
    bundle.verify()
    return bundle
