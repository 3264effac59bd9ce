"""Access to a lab that is up: its machines, its API, its kubeconfig."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path

from halab import process
from halab.clock import Clock, RealClock
from halab.cluster import names
from halab.cluster.api import Api, Credentials, connect
from halab.cluster.join import JoinOptions
from halab.config import kubernetes
from halab.config.lab import ProviderKind
from halab.config.lab_size import LabSize
from halab.config.remote import Remote
from halab.errors import LabProblem, Unreachable
from halab.faults.site import Site
from halab.files import replace
from halab.images import bundle as bundles
from halab.lifecycle import lab as labs
from halab.lifecycle import providers, version_change, versions
from halab.lifecycle.lab import LabDir, existing
from halab.lifecycle.recreate import recreate
from halab.lifecycle.rescale import rescale
from halab.machines.guests import SshGuests
from halab.machines.host import allocation, tunnel
from halab.machines.host.tunnel import Tunnel
from halab.progress import Quiet
from halab.topology.lab import Lab

# The usual port of a SOCKS proxy.
_SOCKS_PORT = 1080
# How long kubectl may have to wait for an address that accepts a connection.
_ACCEPT_SECONDS = 6.0


def guests(lab_dir: LabDir) -> SshGuests:
    return SshGuests(lab_dir.work.ssh_config)


def api(lab_dir: LabDir, lab: Lab) -> Api:
    """A client for the API through the load balancer, as an administrator. The caller closes it."""
    remote_tunnel = tunnel_of(lab_dir)
    return connect(lab, credentials(lab_dir), tunnel=remote_tunnel.socket if remote_tunnel else None)


def tunnel_of(lab_dir: LabDir) -> Tunnel | None:
    """The tunnel to the addresses of a lab on another host; None for a lab on this host."""
    remote = labs.remote_of(lab_dir)
    return (
        tunnel.TUNNELS.to(remote, engine=labs.provider_of(lab_dir) is ProviderKind.DOCKER)
        if remote
        else None
    )


def credentials(lab_dir: LabDir) -> Credentials:
    return Credentials.in_folder(lab_dir.work.private_key.parent)


def tunnel_instructions(lab_dir: LabDir) -> str | None:
    """How a person uses the kubeconfig of a lab on another host; None for a lab on this host."""
    remote = labs.remote_of(lab_dir)
    if remote is None:
        return None
    return (
        f"the lab is on {remote}: `halab kubectl` opens its own tunnel; for other clients, open one\n"
        f"  {tunnel.command(remote, _SOCKS_PORT)} &\n"
        f"  export HTTPS_PROXY=socks5://{tunnel.LOOPBACK}:{_SOCKS_PORT}"
    )


def site(lab_dir: LabDir, lab: Lab, clock: Clock | None = None) -> Site:
    """Everything that faults may touch. The caller must hold the lab's lock."""
    one_at_a_time = threading.Lock()

    def recreated(machine: str, *, join: JoinOptions | None = None, in_turn: bool = True) -> None:
        with one_at_a_time if in_turn else nullcontext():
            recreate(lab_dir, lab, machine, join=join)

    def rescaled(size: LabSize) -> str:
        return str(rescale(lab_dir, size, Quiet()))

    def upgraded(version: str | None) -> str:
        present = labs.version_of(lab_dir)
        is_interrupted = versions.target(allocation.of(lab_dir.work.path)) is not None
        # of several machines with the fault, the first one has upgraded the lab
        if not is_interrupted and (version is None or kubernetes.resolve(version).kubernetes == present):
            return f"the lab has Kubernetes {present}"
        release = version_change.wanted(lab_dir, version)
        with api(lab_dir, lab) as through:
            change = version_change.change_version(lab_dir, release, guests(lab_dir), through, Quiet())
        return str(change)

    power = providers.machines(lab_dir, lab).power()
    return Site(lab, guests(lab_dir), clock or RealClock(), power, recreated, rescaled, upgraded)


def kubeconfig(lab_dir: LabDir) -> Path:
    """The path of the lab's kubeconfig. Raises LabProblem if there is none yet."""
    existing(lab_dir)
    if not lab_dir.work.kubeconfig.exists():
        raise LabProblem(f"the lab {lab_dir.name} has no kubeconfig yet", hint="run `halab up`")
    return lab_dir.work.kubeconfig


def kubeconfig_of_now(lab_dir: LabDir) -> Path:
    """The same, for a client that is about to start: it reaches the API as long as one API server accepts connections.

    This host does not know the lab's names. If the endpoint has several addresses, the kubeconfig gets the first one
    that accepts a connection now. If none does, the file stays as it is.
    """
    path, lab = kubeconfig(lab_dir), existing(lab_dir)
    address = None if labs.remote_of(lab_dir) else _accepting(lab_dir, lab)
    if address:
        old = path.read_text()
        new = _with_server(lab, old, f"https://{address}:{lab.load_balancer.port}")
        if new != old:
            replace(path, new)
    return path


def _accepting(lab_dir: LabDir, lab: Lab) -> str | None:
    """Of several addresses of the endpoint, one that accepts a connection now; None if none does, or in other labs."""
    if not lab.has_several_addresses:
        return None
    remote_tunnel = tunnel_of(lab_dir)
    there = remote_tunnel.socket if remote_tunnel else None
    server = names.name_server(lab, there)
    try:
        addresses = server.addresses() if server else [str(address) for address in lab.api_addresses]
    except Unreachable:
        return None
    return names.accepting_address(addresses, lab.load_balancer.port, _ACCEPT_SECONDS, there)


def _with_server(lab: Lab, kubeconfig: str, server: str) -> str:
    """A kubeconfig with another server than the one that it has, which is any of the endpoint's addresses."""
    for address in lab.api_addresses:
        kubeconfig = kubeconfig.replace(
            f"server: https://{address}:{lab.load_balancer.port}\n", f"server: {server}\n"
        )
    return kubeconfig


def tunnelled_kubeconfig(lab_dir: LabDir, remote: Remote) -> Path:
    """A kubeconfig for a lab on another host, with a tunnel that is open while this command runs.

    kubectl cannot use a SOCKS proxy at a Unix socket. It gets a local TCP port instead, which leads only to the API of
    the lab; the API requires a client certificate.
    """
    lab, written = existing(lab_dir), kubeconfig(lab_dir).read_text()
    address = _accepting(lab_dir, lab) or str(lab.api_address)
    port = tunnel.TUNNELS.port_to(remote, address, lab.load_balancer.port)
    tunnelled = f"https://{tunnel.LOOPBACK}:{port}\n    tls-server-name: {address}"
    path = tunnel.TUNNELS.folder() / "kubeconfig"
    replace(path, _with_server(lab, written, tunnelled))
    return path


def kubectl(lab_dir: LabDir) -> Path:
    """The kubectl of the lab's version if its bundle is in the cache, else the kubectl of this host."""
    lab = existing(lab_dir)
    bundle = bundles.find(lab.release, lab_dir.written.kubernetes.source)
    if bundle:
        return bundle.binary("kubectl")
    return Path(process.find("kubectl", hint="`halab bundle build` provides a kubectl of the lab's version"))
