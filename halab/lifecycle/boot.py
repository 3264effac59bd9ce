"""Boots machines and connects them to the lab's network: the first step of `up`, `start` and a recreated machine."""

from __future__ import annotations

from halab.clock import RealClock
from halab.errors import BootTimedOut, CommandFailed, LabProblem
from halab.faults.journal import Journal
from halab.lifecycle import stale_clocks
from halab.lifecycle.lab import LabDir
from halab.lifecycle.providers import FIRMWARE_HINT, vagrant
from halab.machines import addresses
from halab.machines.guests import SshGuests
from halab.machines.power import PowerState
from halab.machines.provider import LabMachines
from halab.progress import Progress
from halab.topology.lab import Machine

# For a host that does nothing else; a lab's patience stretches it.
_BOOT_SECONDS = 300


def require_thawed(machines: LabMachines) -> None:
    """Raise LabProblem if machines are frozen: they would never answer."""
    frozen = [info.machine for info in machines.infos() if info.paused]
    if frozen:
        raise LabProblem(
            f"these machines are frozen: {', '.join(frozen)}",
            hint="run `halab heal`; `halab status` shows the machines",
        )


def boot(lab_dir: LabDir, machines: LabMachines, progress: Progress, only: Machine | None = None) -> int:
    """Start the machines that do not run, connect them and record their addresses. Return how many were started."""
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
        # a recreated machine has a new host key
        lab_dir.work.known_hosts.unlink(missing_ok=True)
        limit = _BOOT_SECONDS * lab.patience
        what = f"{len(missing)} machines" if len(missing) > 1 else missing[0]
        with progress.step(f"boot {what}", limit_seconds=limit):
            try:
                vagrant(lab_dir, lab).up(only.name if only else None)
            except CommandFailed as error:
                # if the provider itself is gone, this raises a clearer error
                machines.infos()
                if lab.has_stock_box and isinstance(error, BootTimedOut):
                    error.hint = f"{FIRMWARE_HINT}\n{error.hint}"
                raise
    for machine in wanted:
        machines.connect(machine.name)
    without_address = set(addresses.note(machines))
    stopped = [machine.name for machine in wanted if machine.name in without_address]
    if stopped:
        raise LabProblem(
            f"these machines stopped again: {', '.join(stopped)}",
            hint=f"see {lab_dir.work.logs / 'vagrant.log'}",
        )
    stale_clocks.correct(
        lab,
        [machine.name for machine in wanted],
        SshGuests(lab_dir.work.ssh_config),
        Journal(lab_dir.work.journal),
        RealClock(),
        progress,
    )
    return len(missing)
