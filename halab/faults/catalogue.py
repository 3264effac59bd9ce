"""All faults, by name."""

from __future__ import annotations

from halab.config.fault_facts import NOTHING
from halab.config.targets import FaultTarget
from halab.faults import (
    admission,
    balancer,
    certificates,
    clocks,
    connections,
    disk,
    dns_record,
    endpoint_name,
    etcd_data,
    keepalived,
    load,
    machine_files,
    manifests,
    membership,
    network,
    objects,
    power,
    processes,
    quota,
    resources,
    scaling,
    scripts,
    services,
    snapshot,
    units,
    upgrade,
)
from halab.faults.fault import Fault, nothing_to_heal
from halab.faults.journal import Entry
from halab.faults.site import Site


def _do_nothing(site: Site, entry: Entry) -> str:
    return "nothing was done"


_NOTHING = Fault(
    NOTHING,
    "Do nothing, to show that a scenario fails without its fault.",
    _do_nothing,
    nothing_to_heal,
    target=FaultTarget.ANY,
)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *processes.FAULTS,
        *services.FAULTS,
        *dns_record.FAULTS,
        *endpoint_name.FAULTS,
        *manifests.FAULTS,
        *balancer.FAULTS,
        *keepalived.FAULTS,
        *connections.FAULTS,
        *load.FAULTS,
        *resources.FAULTS,
        *scaling.FAULTS,
        *disk.FAULTS,
        *clocks.FAULTS,
        *network.FAULTS,
        *power.FAULTS,
        *membership.FAULTS,
        *etcd_data.FAULTS,
        *quota.FAULTS,
        *snapshot.FAULTS,
        *certificates.FAULTS,
        *admission.FAULTS,
        *machine_files.FAULTS,
        *units.FAULTS,
        *objects.FAULTS,
        *scripts.FAULTS,
        *upgrade.FAULTS,
        _NOTHING,
    )
}
