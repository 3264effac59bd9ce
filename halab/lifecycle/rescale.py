"""Changes the size of a lab that is up: new machines join, then the machines that are too many leave.

What remains to be done is recorded before anything is done (`Scaled.target`), and every step can be repeated: after an
interruption, the next call continues. The recorded size is never smaller than what exists.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from halab.clock import RealClock
from halab.cluster import departure, healthy_control_plane, taints, voters
from halab.config.lab import ProviderKind
from halab.config.lab_size import LabSize
from halab.config.quantities import format_duration
from halab.errors import HalabError
from halab.faults import scratch
from halab.lifecycle import components, machine_info, own_files, providers, rescale_checks, sizes, workfiles
from halab.lifecycle import lab as labs
from halab.lifecycle.boot import boot
from halab.lifecycle.lab import LabDir
from halab.lifecycle.own_files import OwnFiles
from halab.lifecycle.own_images import NodeImages
from halab.lifecycle.provision import Provisioner
from halab.machines import addresses
from halab.machines.guests import SshGuests
from halab.machines.host import allocation
from halab.machines.host.allocation import Scaled
from halab.machines.power import PowerState
from halab.machines.provider import LabMachines
from halab.progress import Progress
from halab.topology.files import VAGRANTFILE, balancer_script
from halab.topology.lab import Lab, Machine

# A machine that leaves is drained, reset and removed.
_LEAVE_SECONDS = 360
# Of a longer time to live in DNS, clients may still use the rest.
_MOST_TTL_SECONDS = 120


@dataclass(frozen=True)
class Rescaled:
    """The lab with its new size, and the names of the machines that it got and lost.

    Machines that an interrupted scale has created or removed are not among them.
    """

    lab: Lab
    added: tuple[str, ...]
    removed: tuple[str, ...]
    was_interrupted: bool = False

    @property
    def changed(self) -> bool:
        return bool(self.added or self.removed or self.was_interrupted)

    def __str__(self) -> str:
        parts = [
            f"{what} {', '.join(names)}"
            for what, names in (("added", self.added), ("removed", self.removed))
            if names
        ]
        if self.was_interrupted:
            parts.append("an interrupted scale is complete")
        return "; ".join(parts) or "nothing to change"


def built(lab_dir: LabDir) -> LabSize:
    """The size of the lab that is up, whatever its file says now. Raises LabProblem if it is not up."""
    labs.require_complete(lab_dir)
    held = allocation.of(lab_dir.work.path)
    return machine_info.size(lab_dir.work) or sizes.present(lab_dir.written, held)


def rescale(lab_dir: LabDir, wanted: LabSize, progress: Progress) -> Rescaled:
    """Give the lab another size, or continue to do so. The caller holds the lab's lock, and waits until it is steady.

    Raises BadUsage or LabProblem before anything is made if the lab cannot have this size now.
    """
    before = built(lab_dir)
    # also checks the name, the network and the host of the lab
    lab = labs.existing(replace(lab_dir, size=before))
    unfinished = sizes.target(allocation.of(lab_dir.work.path))
    if before == wanted and unfinished is None:
        _record(lab_dir, wanted)
        return Rescaled(lab, (), ())
    most = before.joined(wanted)
    largest = labs.allocated(replace(lab_dir, size=most))
    goal = labs.allocated(replace(lab_dir, size=wanted))
    new = rescale_checks.new_machines(lab, goal)
    leaving = [machine for machine in largest.nodes if machine not in goal.nodes]
    rescale_checks.require_known_to_balancers(largest, goal, new)
    voting = voters.voters(SshGuests(lab_dir.work.ssh_config), lab)
    if new:
        rescale_checks.require_all_healthy(voting)
    leaving = rescale_checks.order(leaving, voting)
    rescale_checks.require_quorum([machine.name for machine in leaving], voting)
    rescale_checks.require_thawed(providers.machines(lab_dir, lab), goal)
    providers.machines(lab_dir, largest).require_free_names()
    own = own_files.read(lab_dir)
    plans = _Plans(
        replace(lab_dir, size=most),
        largest,
        goal,
        own,
        NodeImages(own.images, components.cached(lab_dir)),
        labs.patches(lab_dir),
        providers.base(lab_dir, goal, progress),
        progress,
    )
    _record(lab_dir, most, wanted)
    if new or unfinished:
        plans.grow(is_continued=unfinished is not None)
    if unfinished or bool(before.workers) != bool(wanted.workers):
        plans.set_taints()
    if leaving:
        plans.shrink(leaving)
    _record(lab_dir, wanted)
    return Rescaled(
        goal,
        added=tuple(machine.name for machine in new),
        removed=tuple(machine.name for machine in leaving),
        was_interrupted=unfinished is not None,
    )


def _record(lab_dir: LabDir, size: LabSize, target: LabSize | None = None) -> None:
    written = LabSize.of_file(lab_dir.written)
    is_as_written = target is None and size == written
    allocation.rescale(lab_dir.work.path, None if is_as_written else Scaled(size, written, target))


@dataclass(frozen=True)
class _Plans:
    """The lab with all machines that exist for a while, `largest`, and the lab that is wanted, `goal`.

    The files that the lab file names are read once: they may change while machines join and leave.
    """

    lab_dir: LabDir
    largest: Lab
    goal: Lab
    own: OwnFiles
    images: NodeImages
    patches: Mapping[str, str]
    # what machines start from
    base: str
    progress: Progress

    @property
    def guests(self) -> SshGuests:
        return SshGuests(self.lab_dir.work.ssh_config)

    @property
    def machines(self) -> LabMachines:
        return providers.machines(self.lab_dir, self.largest)

    def grow(self, *, is_continued: bool) -> None:
        """Create the machines that are missing, and join them. The load balancers get new servers after the joins.

        Scripts still know the machines that will leave, but Vagrant must not start one of them that is off. If an
        interrupted scale continues, the load balancers may have lost these servers already, and must not get them back.
        """
        files, final = self._rendered(self.largest), self._rendered(self.goal)
        final_files = [VAGRANTFILE]
        if is_continued:
            folders = tuple(f"provision/{machine.name}/" for machine in self.goal.balancers)
            scripts = {balancer_script(machine) for machine in self.goal.balancing_machines}
            final_files += [name for name in final if name.startswith(folders) or name in scripts]
        files |= {name: final[name] for name in final_files}
        record = machine_info.record(self.lab_dir.work, self.largest, self.patches)
        workfiles.write(self.lab_dir, {**files, **record})
        boot(self.lab_dir, providers.machines(self.lab_dir, self.goal), self.progress)
        # of the machines that will leave too
        addresses.note(self.machines)
        self._provisioner().run(balancers_last=True)

    def set_taints(self) -> None:
        """Without workers, pods must run on the control planes; with workers, they must not."""
        if not taints.are_own(self.goal):
            taints.apply(self.guests, self.goal, healthy_control_plane.find(self.guests, self.goal))

    def shrink(self, leaving: Sequence[Machine]) -> None:
        """Take machines out of the load balancers, out of the cluster, and away."""
        addresses.note(self.machines)
        work = self.lab_dir.work
        workfiles.write(self.lab_dir, self._rendered(self.goal))
        provisioner = self._provisioner()
        if any(machine in self.largest.control_planes for machine in leaving):
            provisioner.set_up_balancers()
            self._let_answers_expire()
        for machine in leaving:
            limit = _LEAVE_SECONDS * self.goal.patience
            with self.progress.step(f"remove {machine.name}", limit_seconds=limit) as step:
                step.done(self._remove(machine))
        # first the record of the machines: one that it has and the lab has not is a contradiction
        work.write(machine_info.record(work, self.goal, self.patches))
        addresses.note(providers.machines(self.lab_dir, self.goal))
        # the names and routes of those that are gone
        provisioner.run()

    def _let_answers_expire(self) -> None:
        """Wait until clients no longer use records in DNS that were removed.

        A machine that is gone does not even refuse a connection: its clients would wait for their time limits.
        """
        if not self.goal.has_dns:
            return
        ttl = self.goal.load_balancer.ttl_seconds
        seconds = min(ttl, _MOST_TTL_SECONDS)
        waits = f"wait {format_duration(seconds)} for the time to live of the removed records"
        with self.progress.step(waits, limit_seconds=seconds + 10):
            RealClock().sleep(seconds)
        if seconds < ttl:
            self.progress.say(
                f"clients may use the removed records for {format_duration(ttl - seconds)} more"
            )

    def _remove(self, machine: Machine) -> str:
        """Remove one machine; how it left."""
        guests, clock, through = self.guests, RealClock(), healthy_control_plane.find(self.guests, self.goal)
        is_running = self.machines.state(machine.name) is PowerState.RUNNING
        how = "it did not answer" if is_running else "it did not run"
        if is_running and self._answers(machine):
            if machine in self.largest.members:
                voters.hand_over(guests, self.largest, clock, machine.name, to=self.goal.members)
            guests.run(machine.name, f"{departure.END_KUBEADM}; {departure.UNMARK}")
            departure.drain(self.largest, guests, through, machine)
            how = self._reset(machine)
        departure.forget(self.largest, guests, clock, through, machine)
        self._delete_snapshots(machine)
        self.machines.power().remove(machine.name)
        self._remove_files(machine)
        return how

    def _reset(self, machine: Machine) -> str:
        limit = departure.RESET_SECONDS * self.largest.patience
        try:
            self.guests.run(machine.name, scratch.locked(departure.RESET), timeout_seconds=limit)
        except HalabError as error:
            return f"kubeadm reset failed: {error.message.splitlines()[-1]}"
        return "drained and reset"

    def _answers(self, machine: Machine) -> bool:
        try:
            self.guests.run(machine.name, "true", timeout_seconds=10)
        except HalabError:
            return False
        return True

    def _delete_snapshots(self, machine: Machine) -> None:
        """Delete the snapshots that would look complete without the machine: its part is on the disk that goes.

        Parts of snapshots of containers are images. They stay, and the snapshots can be restored to a larger lab.
        """
        if self.largest.provider is ProviderKind.DOCKER:
            return
        for name in sorted(
            {saved.snapshot for saved in self.machines.saved() if saved.machine == machine.name}
        ):
            self.machines.delete_snapshot(name)
            self.progress.say(
                f"the snapshot {name} is deleted: a part of it was on the disk of {machine.name}"
            )

    def _remove_files(self, machine: Machine) -> None:
        work = self.lab_dir.work
        for folder in (
            work.path / "provision" / machine.name,
            work.of_vagrant(machine.name).parent,
        ):
            shutil.rmtree(folder, ignore_errors=True)
        work.known_hosts.unlink(missing_ok=True)

    def _provisioner(self) -> Provisioner:
        payload = providers.payload(self.lab_dir, self.goal)
        return Provisioner(
            self.goal, self.lab_dir.work, self.guests, self.progress, RealClock(), payload, self.images
        )

    def _rendered(self, lab: Lab) -> dict[str, str]:
        return workfiles.rendered(self.lab_dir, lab, self.patches, self.own, base=self.base)
