"""What a `lab.yml` means: the machines of a lab, their addresses and sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from halab.config import component_versions, kubernetes, lab_rules
from halab.config.applied import Cni, Setup
from halab.config.component_versions import ETCD
from halab.config.disks import Disk
from halab.config.etcd import Topology
from halab.config.kubeadm import Kubeadm
from halab.config.kubeadm_fields import STATIC_PODS
from halab.config.kubernetes import Release
from halab.config.lab import Acceleration, DiskCache, LabFile, ProviderKind, is_stock
from halab.config.load_balancer import NODE_PORT, LoadBalancer
from halab.config.own_file import OwnFile
from halab.config.roles import Role
from halab.topology.hardware_address import mac

ETCD_PORT, ETCD_PEER_PORT = 2379, 2380
# In the manifests of all static pods, one every ten seconds.
KUBEADM_LIVENESS_FAILURES = 8


@dataclass(frozen=True)
class Machine:
    """One VM or container. `host_name` is its name at the provider, unique on the host. `name` is what halab calls it,
    and `hostname` what the machine itself, Kubernetes and etcd call it. It starts from a disk that is not in `disks`.
    """

    name: str
    hostname: str
    host_name: str
    role: Role
    address: IPv4Address
    mac: str
    pods: IPv4Network
    cpus: int
    memory_mebibytes: int
    disks: tuple[Disk, ...] = ()

    @property
    def is_node(self) -> bool:
        """Whether it is a Kubernetes node."""
        return self.role in (Role.CONTROL_PLANE, Role.WORKER)

    @property
    def has_kubelet(self) -> bool:
        """Whether it runs pods: a node, or an etcd machine, whose kubelet knows no API."""
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
    pods: IPv4Network
    services: IPv4Network
    box: str
    patience: float
    endpoint_name: str | None = None
    # A configuration of the load balancer of the user's own.
    balancer_file: OwnFile | None = None
    # The address that two load balancers share, or the control planes with kube-vip; and a configuration of keepalived
    # of the user's own.
    virtual_address: IPv4Address | None = None
    keepalived_file: OwnFile | None = None
    # The network over which this host reaches virtual machines by SSH; containers are reached on the engine's bridge.
    management: IPv4Network | None = None
    acceleration: Acceleration = Acceleration.KVM
    disk_cache: DiskCache = DiskCache.SAFE
    # the user's parts of kubeadm's documents
    kubeadm: Kubeadm = Kubeadm()
    cni: Cni = Cni.BRIDGE
    # the names of the user's own scripts
    setup: Setup = Setup()
    # component → version, of those that are not the ones of the release
    own_versions: Mapping[str, str] = field(default_factory=dict)
    # component → path of the checkout that it is built from, as the lab file writes it
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def balancers(self) -> tuple[Machine, ...]:
        return self._of(Role.LOAD_BALANCER)

    @property
    def balancer(self) -> Machine:
        """The first load balancer; the user's own files use this name. Raises LookupError if no machine is one."""
        if not self.balancers:
            raise LookupError(
                f"lab.balancer does not exist: with kind {self.load_balancer.kind}, no machine is a load balancer"
            )
        return self.balancers[0]

    @property
    def balancing_machines(self) -> tuple[Machine, ...]:
        """The machines on which a load balancer is a service: machines of its own, or every node."""
        return self.nodes if self.load_balancer.kind.is_on_every_node else self.balancers

    @property
    def api_addresses(self) -> tuple[IPv4Address, ...]:
        """Where clients outside the nodes reach the API: one address, or those of a name that has several."""
        if self.virtual_address:
            return (self.virtual_address,)
        machines = self.control_planes if self.has_several_addresses else self.balancers[:1]
        return tuple(machine.address for machine in machines)

    @property
    def has_several_addresses(self) -> bool:
        """Whether clients outside the nodes reach the API by a name with the addresses of all control planes."""
        return self.load_balancer.kind.needs_a_name

    @property
    def has_dns(self) -> bool:
        """Whether every machine resolves the name of the endpoint at a DNS server, which is `balancer`."""
        return self.load_balancer.kind.has_dns

    @property
    def api_address(self) -> IPv4Address:
        """Where clients reach the API: the virtual address, the address of the only load balancer, or the first of
        several addresses.
        """
        return self.api_addresses[0]

    @property
    def api_host(self) -> str:
        """Where clients reach the API: an address, or a name that has several."""
        return str(self.endpoint_name if self.has_several_addresses else self.api_address)

    def endpoint_addresses(self, machine: Machine) -> tuple[IPv4Address, ...]:
        """What the name of the endpoint means on a machine: a node that has a load balancer asks only that one."""
        return (IPv4Address("127.0.0.1"),) if self._has_own_balancer(machine) else self.api_addresses

    @property
    def address_machines(self) -> tuple[Machine, ...]:
        """The machines of which one has the virtual address; none if there is no such address."""
        return (self.balancers or self.control_planes) if self.virtual_address else ()

    @property
    def control_planes(self) -> tuple[Machine, ...]:
        return self._of(Role.CONTROL_PLANE)

    @property
    def etcd_machines(self) -> tuple[Machine, ...]:
        """The machines that have nothing but an etcd member; none in a stacked lab."""
        return self._of(Role.ETCD)

    @property
    def members(self) -> tuple[Machine, ...]:
        """The machines with an etcd member: machines of their own, or the control planes."""
        return self.etcd_machines or self.control_planes

    @property
    def has_external_etcd(self) -> bool:
        return bool(self.etcd_machines)

    @property
    def etcd_topology(self) -> Topology:
        return Topology.EXTERNAL if self.has_external_etcd else Topology.STACKED

    @property
    def workers(self) -> tuple[Machine, ...]:
        return self._of(Role.WORKER)

    @property
    def nodes(self) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.is_node)

    def way_from(self, machine: Machine) -> tuple[str, int]:
        """The host and the port at which a machine reaches the API: with DNS, a name that the machine looks up."""
        address = str(self.endpoint_addresses(machine)[0])
        return self.api_host if self.has_dns else address, self._port_at(machine)

    @property
    def endpoint(self) -> str:
        """kubeadm's --control-plane-endpoint, which every machine can resolve."""
        # as nodes reach it
        port = self._port_at(self.control_planes[0])
        return f"{self.endpoint_name}:{port}" if self.endpoint_name else self.endpoint_address

    @property
    def endpoint_address(self) -> str:
        """The endpoint for this host, which does not know the lab's names: of several addresses, the first."""
        return f"{self.api_address}:{self.load_balancer.port}"

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
        became steady. The user's own flag may be longer.
        """
        return max(60 if self.is_emulated else 15, math.ceil(self.kubeadm.lease_seconds))

    @property
    def liveness_failures(self) -> int:
        """How many liveness probes of a static pod may fail before the kubelet restarts it: kubeadm's own number is 8.

        That is 80 s. On a slow machine a healthy component takes longer to answer, and its restart delays all others.
        """
        return max(
            24 if self.is_emulated else KUBEADM_LIVENESS_FAILURES,
            math.ceil(KUBEADM_LIVENESS_FAILURES * self.patience),
        )

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
    def versions(self) -> dict[str, str]:
        """Kubernetes, etcd and containerd, then the components of a version of their own: name → version."""
        release = self.release
        of_release = {
            "kubernetes": release.kubernetes,
            ETCD: release.etcd,
            "containerd": release.containerd,
        }
        return {**of_release, **self.own_versions}

    def image(self, component: str) -> str:
        """The full name of the image of a component."""
        of_release = component_versions.release_version(self.release, component)
        version = self.own_versions.get(component, of_release)
        return component_versions.image(component, version, is_own=component in self.sources)

    def tag(self, component: str) -> str:
        """The tag of the image of a component."""
        return self.image(component).rpartition(":")[2]

    @property
    def gateway(self) -> IPv4Address:
        return self.network.network_address + 1

    def static_pods(self, machine: Machine) -> tuple[str, ...]:
        """The static pods that kubeadm makes on a machine."""
        return tuple(
            pod for pod in STATIC_PODS if machine in (self.members if pod == "etcd" else self.control_planes)
        )

    def manifests(self, machine: Machine) -> tuple[str, ...]:
        """The static pods whose manifests a machine has: the pods of kubeadm, and kube-vip on a control plane."""
        has_kube_vip = self.load_balancer.kind.has_address and machine in self.control_planes
        return (*self.static_pods(machine), *([str(self.load_balancer.kind)] if has_kube_vip else []))

    def machine(self, name: str) -> Machine:
        """The machine of that name. Raises KeyError if there is none."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)

    def _port_at(self, machine: Machine) -> int:
        return NODE_PORT if self._has_own_balancer(machine) else self.load_balancer.port

    def _has_own_balancer(self, machine: Machine) -> bool:
        """Whether it is a node that has a load balancer of its own."""
        return self.load_balancer.kind.is_on_every_node and machine.is_node

    def _of(self, role: Role) -> tuple[Machine, ...]:
        return tuple(machine for machine in self.machines if machine.role is role)


def plan(
    written: LabFile,
    *,
    network: IPv4Network,
    provider: ProviderKind,
    management: IPv4Network | None = None,
    balancer_file: OwnFile | None = None,
    keepalived_file: OwnFile | None = None,
) -> Lab:
    """Derive the lab from its file and from the decisions for this host. The same input gives the same lab."""
    roles = lab_rules.names(written)
    release = kubernetes.resolve(written.kubernetes.version)
    machines = tuple(_machine(written, name, role, network) for name, role in roles.items())
    return Lab(
        name=written.name,
        provider=provider,
        machines=machines,
        network=network,
        load_balancer=written.load_balancer,
        release=release,
        own_versions=component_versions.differing(release, written.kubernetes.written_versions),
        sources=written.source.by_name,
        pods=IPv4Network(written.kubernetes.pods),
        services=IPv4Network(written.kubernetes.services),
        box=written.box,
        patience=written.patience,
        endpoint_name=lab_rules.endpoint_name(written),
        balancer_file=balancer_file,
        virtual_address=lab_rules.virtual_address(written, network),
        keepalived_file=keepalived_file,
        management=management,
        disk_cache=written.disk_cache,
        kubeadm=written.kubeadm,
        cni=written.cni,
        setup=written.setup,
        # `auto` is KVM: the doctor proves first that a guest boots with it
        acceleration=Acceleration.TCG if written.accel is Acceleration.TCG else Acceleration.KVM,
    )


def _machine(written: LabFile, name: str, role: Role, network: IPv4Network) -> Machine:
    own, of_role = written.machines.by_name.get(name), lab_rules.role_size(written, role)
    address = lab_rules.address(written, name, network)
    pods = IPv4Network(written.kubernetes.pods).network_address
    return Machine(
        name=name,
        hostname=lab_rules.hostname(written, name),
        host_name=f"halab-{written.name}-{name}",
        role=role,
        address=address,
        mac=mac(f"{written.name}/{name}"),
        pods=IPv4Network((int(pods) + (address.packed[-1] << 8), 24)),
        cpus=(own and own.cpus) or of_role.cpus,
        memory_mebibytes=(own and own.memory) or of_role.memory,
        disks=of_role.disks if own is None or own.disks is None else own.disks,
    )
