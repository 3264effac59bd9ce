"""Facts: values read off the machines, that show whether a fault really did something."""

from __future__ import annotations

from halab.cluster import etcd
from halab.config.scenario import FactName
from halab.errors import HalabError
from halab.faults import processes
from halab.faults.site import Site

_PROCESSES = {FactName.ETCD_STARTED: "etcd", FactName.API_SERVER_STARTED: "kube-apiserver"}


def read(site: Site, fact: FactName, machine: str | None) -> str | None:
    """The value now; None where there is nothing to read (the process does not run, nobody leads)."""
    if fact is FactName.ETCD_LEADER:
        try:
            return etcd.leader(site.guests, site.lab)
        except HalabError:
            return None
    assert machine is not None, fact
    return processes.started(site.guests, machine, _PROCESSES[fact])
