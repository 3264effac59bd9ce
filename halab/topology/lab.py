"""What a `lab.yml` means: the machines of a lab, their addresses and sizes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from halab.config import kubernetes
from halab.config.kubernetes import Release
from halab.config.lab import (
    PODS,
    SERVICES,
    Acceleration,
    DiskCache,
    LabFile,
    LoadBalancer,
    ProviderKind,
    Size,
    is_stock,
)

API_PORT = 6443
ETCD_PORT = 2379
# HAProxy's statistics over HTTP, at the port that its documentation uses.
STATS_PORT = 8404


class Role(StrEnum):
    LOAD_BALANCER = "lb"
    CONTROL_PLANE = "cp"
    WORKER = "w"


# The last byte of the first address of each role in the lab's /24; .1 is the host.
_FIRST = {Role.LOAD_BALANCER: 10, Role.CONTROL_PLANE: 11, Role.WORKER: 21}


@dataclass(frozen=True)
class Machine:
    """One VM or container. `host_name` is its name at the provider, unique on the host."""

    name: str
    host_name: str
    role: Role
    address: IPv4Address
    mac: str
    pods: IPv4Network
    cpus: int
    memory_mebibytes: int

    @property
    def is_node(self) -> bool:
        """Whether it is a Kubernetes node."""
        return self.role is not Role.LOAD_BALANCER


@dataclass(frozen=True)
class Lab:
    """The machines of one `lab.yml`, with a value for every setting."""

    name: str
    provider: ProviderKind
    machines: tuple[Machine, ...]
    network: IPv4Network
    load_balancer: LoadBalancer
    release: Release
    box: str
    patience: float
    # The network over which this host reaches virtual machines by SSH; containers are reached on the engine's bridge.
    management: IPv4Network | None = None
    acceleration: Acceleration = Acceleration.KVM
    disk_cache: DiskCache = DiskCache.SAFE
    pods: IPv4Network = PODS
    services: IPv4Network = SERVICES

    @property
    def balancer(self) -> Machine:
        return self._of(Role.LOAD_BALANCER)[0]

    @property
    def control_planes(self) -> tuple[Machine, ...]:
        return self._of(Role.CONTROL_PLANE)

    @property
    def workers(self) -> tuple[Machine, ...]:
        return self._of(Role.WORKER)

    @property
    def nodes(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.is_node)

    @property
    def endpoint(self) -> str:
        """kubeadm's --control-plane-endpoint."""
        return f"{self.balancer.address}:{API_PORT}"

    @property
    def label(self) -> str:
        """The name of the lab's network at the provider, and the prefix of its machines' names there."""
        return f"halab-{self.name}"

    @property
    def is_emulated(self) -> bool:
        """Whether its processors are emulated: 10 to 20 times slower, and slower still when they are busy."""
        return self.provider is ProviderKind.LIBVIRT and self.acceleration is Acceleration.TCG

    @property
    def lease_seconds(self) -> int:
        """How long kube-scheduler and kube-controller-manager lead without a renewal: 15 s is Kubernetes' own time.

        A component that cannot renew its lease in time exits and restarts. Emulated on 2 cores with other work, that
        happened 11 times in 16 minutes: every start used the time that the next renewal needed, and the lab never
        became steady.
        """
        return 60 if self.is_emulated else 15

    @property
    def check_seconds(self) -> int:
        """How often HAProxy asks each API server, and how long it waits for the answer.

        A check is a TLS handshake, which takes half a second of an emulated processor. With a check every second, a
        busy API server was marked as down, its clients' connections were cut, and their new handshakes made it busier.
        """
        return 5 if self.is_emulated else 1

    @property
    def has_stock_box(self) -> bool:
        """Whether its machines start from a stock box, which has nothing of what halab's own boxes contain."""
        return is_stock(self.box)

    @property
    def gateway(self) -> IPv4Address:
        return self.network.network_address + 1

    def machine(self, name: str) -> Machine:
        """The machine of that name; KeyError where there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)

    def _of(self, role: Role) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.role is role)


def plan(
    written: LabFile, *, network: IPv4Network, provider: ProviderKind, management: IPv4Network | None = None
) -> Lab:
    """Derive the lab from its file and from the decisions for this host. The same input gives the same lab."""
    counts = {
        Role.LOAD_BALANCER: (1, written.machines.lb),
        Role.CONTROL_PLANE: (written.control_planes, written.machines.cp),
        Role.WORKER: (written.workers, written.machines.worker),
    }
    machines = tuple(
        _machine(written.name, role, number, size, network)
        for role, (count, size) in counts.items()
        for number in range(1, count + 1)
    )
    return Lab(
        name=written.name,
        provider=provider,
        machines=machines,
        network=network,
        load_balancer=written.load_balancer,
        release=kubernetes.resolve(written.kubernetes.version),
        box=written.box,
        patience=written.patience,
        management=management,
        disk_cache=written.disk_cache,
        # `auto` is KVM: before anything is made, the doctor proves that a guest boots with it
        acceleration=Acceleration.TCG if written.accel is Acceleration.TCG else Acceleration.KVM,
    )


def _machine(lab: str, role: Role, number: int, size: Size, network: IPv4Network) -> Machine:
    name = f"{role}{number}"
    last = _FIRST[role] + number - 1
    return Machine(
        name=name,
        host_name=f"halab-{lab}-{name}",
        role=role,
        address=network.network_address + last,
        mac=mac(f"{lab}/{name}"),
        pods=IPv4Network((int(PODS.network_address) + (last << 8), 24)),
        cpus=size.cpus,
        memory_mebibytes=size.memory,
    )


def mac(of: str) -> str:
    """A locally administered address that is the same at every `up` (DHCP leases depend on it)."""
    digest = hashlib.sha256(of.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, 0x54, 0x00, *digest[:3]))
