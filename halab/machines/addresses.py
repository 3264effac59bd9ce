"""The addresses at which this host reaches a lab's machines: a provider may change them at every start."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from halab.config.lab import ProviderKind
from halab.machines.provider import Reachable
from halab.machines.work import Work
from halab.topology import files
from halab.topology.lab import Lab

# Several threads start machines: the last one to write must have seen the addresses of all.
_writing = threading.Lock()


def note(machines: Reachable) -> list[str]:
    """Write the ssh_config with the present address of every machine. Return the names of those without one."""
    lab, work, remote = machines.lab, machines.work, machines.remote
    with _writing:
        known = {info.machine: str(info.address) for info in machines.infos() if info.address}
        config = files.ssh_config(
            lab,
            # a machine that is off keeps an entry: without one, OpenSSH would look up a host of that name
            {machine.name: known.get(machine.name, str(machine.address)) for machine in lab.machines},
            private_keys={
                machine.name: str(_private_key(work, lab, machine.name)) for machine in lab.machines
            },
            known_hosts=str(work.known_hosts),
            proxy_command=remote.proxy_command if remote else None,
        )
        work.write({"ssh_config": config})
    return [machine.name for machine in lab.machines if machine.name not in known]


def forget(work: Work, machine: str) -> None:
    """Remove the key of a virtual machine that no longer exists, and Vagrant's other files about it."""
    shutil.rmtree(work.of_vagrant(machine), ignore_errors=True)


def _private_key(work: Work, lab: Lab, machine: str) -> Path:
    """A container has the lab's key from the beginning; Vagrant makes a key for a virtual machine when it starts."""
    if lab.provider is ProviderKind.DOCKER:
        return work.private_key
    return work.key_of_vagrant(machine)
