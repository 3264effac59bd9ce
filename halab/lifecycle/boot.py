"""Machines that run, on the lab's network, and reached over SSH: the first step of `up`, `start` and a new machine."""

from __future__ import annotations

from halab.errors import CommandFailed, LabProblem
from halab.lifecycle.lab import LabDir
from halab.lifecycle.providers import vagrant
from halab.machines import addresses
from halab.machines.power import PowerState
from halab.machines.provider import LabMachines
from halab.progress import Progress
from halab.topology.lab import Machine

# On a machine that does nothing else; a lab's patience stretches it.
_BOOT_SECONDS = 300


def require_thawed(machines: LabMachines) -> None:
    """LabProblem where machines stand still: nothing would answer, for as long as anybody waits."""
    frozen = [info.machine for info in machines.infos() if info.paused]
    if frozen:
        raise LabProblem(
            f"frozen: {', '.join(frozen)}",
            hint="`halab heal` lets go on what halab has frozen, and `halab status` shows it",
        )


def boot(place: LabDir, machines: LabMachines, progress: Progress, only: Machine | None = None) -> int:
    """Start what does not run, connect it, and write down where it is reached; how many machines were started."""
    lab = machines.lab
    wanted = lab.machines if only is None else (only,)
    for machine in wanted:
        machines.register_with_vagrant(machine.name)
    running = {info.machine for info in machines.infos() if info.running}
    missing = [machine.name for machine in wanted if machine.name not in running]
    machines.make_networks()
    for machine in wanted:
        if machines.state(machine.name) is PowerState.GONE:
            machines.make_disks(machine.name)
    if missing:
        # a machine that is made anew has another host key
        place.work.known_hosts.unlink(missing_ok=True)
        limit = _BOOT_SECONDS * lab.patience
        what = f"{len(missing)} machines" if len(missing) > 1 else missing[0]
        with progress.step(f"boot {what}", limit_seconds=limit):
            try:
                vagrant(place, lab).up(only.name if only else None)
            except CommandFailed:
                # a provider that has gone meanwhile says so itself
                machines.infos()
                raise
    for machine in wanted:
        machines.connect(machine.name)
    without_address = set(addresses.note(machines))
    lost = [machine.name for machine in wanted if machine.name in without_address]
    if lost:
        raise LabProblem(
            f"no longer running: {', '.join(lost)}", hint=f"see {place.work.logs / 'vagrant.log'}"
        )
    return len(missing)
