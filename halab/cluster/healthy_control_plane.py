"""A healthy control plane: through it, other machines join the cluster, leave it, and are changed."""

from __future__ import annotations

from contextlib import suppress

from halab.cluster import etcd
from halab.cluster.departure import JOINED
from halab.cluster.kube import KUBECTL
from halab.errors import HalabError, LabProblem
from halab.machines.guests import Guests
from halab.topology.lab import Lab


def find(guests: Guests, lab: Lab, without: str = "") -> str:
    """A healthy control plane, other than `without`. Raises LabProblem if there is none.

    Its etcd member has a leader; in a lab with external etcd, it has joined and reaches a ready API server.
    """
    if not lab.has_external_etcd:
        return etcd.healthy_peer(guests, lab, without)
    for machine in lab.control_planes:
        if machine.name != without:
            with suppress(HalabError):
                guests.run(machine.name, f"test -e {JOINED} && {KUBECTL} get --raw=/readyz")
                return machine.name
    raise LabProblem(
        f"no other control plane is ready, so {without} can neither join nor leave"
        if without
        else "no control plane is ready",
        hint="`halab heal` heals open faults, `halab status` shows what is wrong",
    )
