"""Where a lab's machines are reached from this host: a provider may give out others at every start."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from halab.config.lab import ProviderKind
from halab.machines.provider import Provider
from halab.machines.work import Work
from halab.topology import files
from halab.topology.lab import Lab

# Machines are started from several threads: the last one to write must have seen what all of them got.
_writing = threading.Lock()


def note(lab: Lab, work: Work, maker: Provider) -> list[str]:
    """Write down where each machine is reached over SSH; the names of those that have no address now."""
    with _writing:
        found = {
            each.machine: str(each.address) for each in maker.machines(lab.name, work.path) if each.address
        }
        # a machine that is off keeps an entry: without one, OpenSSH would look for a host of that name elsewhere
        addresses = {each.name: found.get(each.name, str(each.address)) for each in lab.machines}
        keys = {each.name: str(_private_key(work, lab, each.name)) for each in lab.machines}
        config = files.ssh_config(
            lab,
            addresses,
            private_keys=keys,
            known_hosts=str(work.known_hosts),
            proxy_command=maker.remote.proxy_command if maker.remote else None,
        )
        work.write({"ssh_config": config})
    return [each.name for each in lab.machines if each.name not in found]


def forget(work: Work, machine: str) -> None:
    """Forget the key of a virtual machine that is gone, and what Vagrant knew of it."""
    shutil.rmtree(work.of_vagrant(machine), ignore_errors=True)


def _private_key(work: Work, lab: Lab, machine: str) -> Path:
    """A container is made with the lab's key; into a virtual machine Vagrant puts one that it makes at its start."""
    if lab.provider is ProviderKind.DOCKER:
        return work.private_key
    return work.key_of_vagrant(machine)
