"""Ways into a lab that is up: its machines, its API, its kubeconfig."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

from halab import process
from halab.clock import Clock, RealClock
from halab.cluster.api import Api, Credentials, connect
from halab.errors import LabProblem
from halab.faults.site import Hindrance, Site
from halab.images import bundle as bundles
from halab.lifecycle import makers
from halab.lifecycle.lab import Place, existing
from halab.lifecycle.remake import remake
from halab.machines.guests import SshGuests
from halab.topology.lab import Lab


def guests(place: Place) -> SshGuests:
    return SshGuests(place.work.ssh_config)


def api(place: Place, lab: Lab) -> Api:
    """The API through the load balancer, as an administrator."""
    return connect(lab, credentials(place))


def credentials(place: Place) -> Credentials:
    return Credentials.in_folder(place.work.private_key.parent)


def site(place: Place, lab: Lab, clock: Clock | None = None) -> Site:
    """All that faults may touch. Whoever uses it holds the lab's lock."""
    one_at_a_time = threading.Lock()

    def made_anew(machine: str, *, hindrance: Hindrance | None = None, in_turn: bool = True) -> None:
        with one_at_a_time if in_turn else nullcontext():
            remake(place, lab, machine, hindrance=hindrance)

    return Site(lab, guests(place), clock or RealClock(), makers.power(place, lab), made_anew)


def kubeconfig(place: Place) -> Path:
    existing(place)
    if not place.work.kubeconfig.exists():
        raise LabProblem(f"the lab {place.name} has no kubeconfig yet", hint="run `halab up`")
    return place.work.kubeconfig


def kubectl(place: Place) -> Path:
    """The kubectl of the lab's own version where its bundle is in the cache, else the one of this host."""
    lab = existing(place)
    bundle = bundles.find(lab.release, place.written.kubernetes.source)
    if bundle:
        return bundle.binary("kubectl")
    return Path(process.find("kubectl", hint="`halab bundle build` brings one of the lab's version"))
