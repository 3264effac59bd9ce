"""Where a lab's machines are reached from this host: an engine gives out other addresses at every start."""

from __future__ import annotations

import threading

from halab.machines.engine import Engine
from halab.machines.work import Work
from halab.topology import files
from halab.topology.lab import Lab

# Machines are started from several threads: the last one to write must have seen what all of them got.
_writing = threading.Lock()


def note(lab: Lab, work: Work, engine: Engine) -> list[str]:
    """Write down where each machine is reached over SSH; the names of those that have no address now."""
    with _writing:
        found = {
            each.machine: str(each.bridge_address)
            for each in engine.containers(lab.name, work.path)
            if each.bridge_address
        }
        # a machine that is off keeps an entry: without one, OpenSSH would look for a host of that name elsewhere
        addresses = {each.name: found.get(each.name, str(each.address)) for each in lab.machines}
        config = files.ssh_config(
            lab, addresses, private_key=str(work.private_key), known_hosts=str(work.known_hosts)
        )
        work.write({"ssh_config": config})
    return [each.name for each in lab.machines if each.name not in found]
