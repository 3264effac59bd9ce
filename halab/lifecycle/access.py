"""Ways into a lab that is up: its machines, its API, its kubeconfig."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

from halab import process
from halab.clock import Clock, RealClock
from halab.cluster.api import Api, Credentials, connect
from halab.cluster.join import JoinOptions
from halab.config.lab import ProviderKind
from halab.config.remote import Remote
from halab.errors import LabProblem
from halab.faults.site import Site
from halab.files import replace
from halab.images import bundle as bundles
from halab.lifecycle import lab as labs
from halab.lifecycle import providers
from halab.lifecycle.lab import LabDir, existing
from halab.lifecycle.recreate import recreate
from halab.machines.guests import SshGuests
from halab.machines.host import tunnel
from halab.machines.host.tunnel import Tunnel
from halab.topology.lab import API_PORT, Lab

# The usual one of a SOCKS proxy.
_PORT_OF_A_PERSON = 1080


def guests(place: LabDir) -> SshGuests:
    return SshGuests(place.work.ssh_config)


def api(place: LabDir, lab: Lab) -> Api:
    """The API through the load balancer, as an administrator."""
    there = tunnel_of(place)
    return connect(lab, credentials(place), tunnel=there.socket if there else None)


def tunnel_of(place: LabDir) -> Tunnel | None:
    """The way to the addresses of a lab on another host; None where that is this one."""
    remote = labs.remote_of(place.written)
    return (
        tunnel.TUNNELS.to(remote, engine=labs.provider_of(place.written) is ProviderKind.DOCKER)
        if remote
        else None
    )


def credentials(place: LabDir) -> Credentials:
    return Credentials.in_folder(place.work.private_key.parent)


def way_in(place: LabDir) -> str | None:
    """What a person does to reach the API of a lab on another host by the kubeconfig; None on this one."""
    remote = labs.remote_of(place.written)
    if remote is None:
        return None
    return (
        f"the lab is on {remote}: `halab kubectl` reaches it by itself; for other clients, open a tunnel\n"
        f"  {tunnel.command(remote, _PORT_OF_A_PERSON)} &\n"
        f"  export HTTPS_PROXY=socks5://{tunnel.LOOPBACK}:{_PORT_OF_A_PERSON}"
    )


def site(place: LabDir, lab: Lab, clock: Clock | None = None) -> Site:
    """All that faults may touch. Whoever uses it holds the lab's lock."""
    one_at_a_time = threading.Lock()

    def recreated(machine: str, *, join: JoinOptions | None = None, in_turn: bool = True) -> None:
        with one_at_a_time if in_turn else nullcontext():
            recreate(place, lab, machine, join=join)

    return Site(lab, guests(place), clock or RealClock(), providers.machines(place, lab).power(), recreated)


def kubeconfig(place: LabDir) -> Path:
    existing(place)
    if not place.work.kubeconfig.exists():
        raise LabProblem(f"the lab {place.name} has no kubeconfig yet", hint="run `halab up`")
    return place.work.kubeconfig


def tunnelled_kubeconfig(place: LabDir, remote: Remote) -> Path:
    """The kubeconfig of a lab on another host, with a way there that is open while this command runs.

    kubectl knows no SOCKS proxy at a Unix socket. The port that it gets instead leads to the API of the lab and nowhere
    else, and that asks for a certificate.
    """
    lab, written = existing(place), kubeconfig(place).read_text()
    port = tunnel.TUNNELS.port_to(remote, str(lab.balancer.address), API_PORT)
    there = f"server: https://{tunnel.LOOPBACK}:{port}\n    tls-server-name: {lab.balancer.address}"
    path = tunnel.TUNNELS.folder() / "kubeconfig"
    replace(path, written.replace(f"server: https://{lab.endpoint}", there))
    return path


def kubectl(place: LabDir) -> Path:
    """The kubectl of the lab's own version where its bundle is in the cache, else the one of this host."""
    lab = existing(place)
    bundle = bundles.find(lab.release, place.written.kubernetes.source)
    if bundle:
        return bundle.binary("kubectl")
    return Path(process.find("kubectl", hint="`halab bundle build` brings one of the lab's version"))
