"""The lab file, `lab.yml`. Every field has a default: an empty file is a valid lab."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from halab import data
from halab.config import kubernetes, remote
from halab.config.applied import Cni, FileName, Setup, without_repetitions
from halab.config.component_settings import Components, Sources
from halab.config.component_versions import COREDNS, ETCD, ComponentVersion
from halab.config.disks import Disks, mebibytes
from halab.config.etcd import EtcdSettings
from halab.config.kubeadm import Kubeadm
from halab.config.kubernetes import BundleSource
from halab.config.load_balancer import LoadBalancer
from halab.config.loading import Model, listed, nearest
from halab.config.targets import MOST_CONTROL_PLANES, MOST_WORKERS
from halab.errors import BadUsage
from halab.printable import shortened

NAME = r"[a-z][a-z0-9-]{0,19}"
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
# Without a dot: Vagrant would give the machine only the part before it, and the node would have the whole name.
HOSTNAME = "[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
ENDPOINT = rf"{_LABEL}(\.{_LABEL})+"
# Leaves the choice to halab: of a name, which it derives from the folder, or of a network.
AUTO = "auto"


class ProviderKind(StrEnum):
    AUTO = "auto"
    LIBVIRT = "libvirt"
    DOCKER = "docker"


class Acceleration(StrEnum):
    AUTO = "auto"
    KVM = "kvm"
    TCG = "tcg"


class DiskCache(StrEnum):
    SAFE = "safe"
    UNSAFE = "unsafe"


def _name(value: str) -> str:
    if not re.fullmatch(NAME, value):
        raise ValueError(
            f"should be up to 20 lower-case letters, digits and dashes that begin with a letter, not {shortened(value)}"
        )
    return value


def _hostname(value: str) -> str:
    if not re.fullmatch(HOSTNAME, value) or value == "localhost":
        raise ValueError(
            "should be up to 63 lower-case letters, digits and dashes that begin with a letter, without a dot, "
            f"not {shortened(value)}"
        )
    return value


def _network(value: str) -> str:
    if value == AUTO:
        return value
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"should be auto or a /24 such as 10.213.7.0/24 ({error})") from error
    if network.prefixlen != 24:
        raise ValueError(f"should be auto or a /24 such as 10.213.7.0/24, not {network}")
    return str(_private(network))


def _private(network: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    if not any(network.subnet_of(private) for private in PRIVATE):
        raise ValueError(
            f"should be a private network (RFC 1918), a /{network.prefixlen} in {listed(map(str, PRIVATE))}, "
            f"not {network}"
        )
    return network


def _cluster_network(value: str, sizes: range) -> str:
    try:
        network = ipaddress.IPv4Network(value)
    except ValueError as error:
        raise ValueError(f"should be a network such as 10.32.0.0/{sizes[-1]} ({error})") from error
    if network.prefixlen not in sizes:
        wanted = f"a /{sizes[0]}" if len(sizes) == 1 else f"a /{sizes[0]} to /{sizes[-1]}"
        raise ValueError(f"should be {wanted}, not a /{network.prefixlen}")
    return str(_private(network))


def _pods(value: str) -> str:
    # every machine has the /24 that its address ends with
    return _cluster_network(value, range(16, 17))


def _services(value: str) -> str:
    return _cluster_network(value, range(12, 25))


def is_stock(box: str) -> bool:
    """True for a box that Vagrant downloads (`owner/name`), false for one that halab builds from a recipe."""
    return "/" in box


def _box(value: str, info: ValidationInfo) -> str:
    if is_stock(value) and info.data.get("provider") in (ProviderKind.AUTO, ProviderKind.DOCKER):
        raise ValueError(
            f"a Vagrant box is a virtual machine, but `provider: {info.data['provider']}` creates containers: "
            f"write `provider: libvirt`, or a box that halab builds, such as debian-12"
        )
    if not is_stock(value) and value not in data.box_names():
        raise ValueError(f"is not a box that halab builds{nearest(value, data.box_names())}")
    return value


def _endpoint(value: str) -> str:
    if value.split(".")[-1] == "localhost":
        raise ValueError(
            "every machine resolves this name to itself: choose another one, such as api.lab.example"
        )
    if not re.fullmatch(ENDPOINT, value) or len(value) > 253 or re.fullmatch(r"[0-9.]+", value):
        raise ValueError(
            "should be a DNS name with a dot, in lower case and without a port, such as api.lab.example"
        )
    return value


def _version(value: str) -> str:
    try:
        kubernetes.resolve(value)
    except BadUsage as error:
        raise ValueError(f"{error.message}; {error.hint}") from error
    return value


# Only RFC 1918: 100.64.0.0/10 (RFC 6598) belongs to internet providers, and VPNs use it.
PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))

Memory = Annotated[
    int, BeforeValidator(mebibytes), Field(json_schema_extra={"type": "string", "pattern": "^[0-9]+[MG]$"})
]


class Size(Model):
    """CPUs, memory and more disks of the machines of one role."""

    example: ClassVar[str] = "{cpus: 2, memory: 2G}"

    cpus: int = Field(1, ge=1, le=64)
    memory: Memory = 512
    disks: Disks = Field((), description="disks beside the one that a machine starts from")


class ControlPlaneSize(Size):
    # kubeadm's preflight wants 2 CPUs and 1700 MB
    cpus: int = Field(2, ge=2, le=64)
    memory: Annotated[Memory, Field(ge=1700, description="at least 1700M: kubeadm refuses less")] = 2048


class BalancerSize(Size):
    memory: Annotated[Memory, Field(ge=128)] = 512


class EtcdSize(Size):
    memory: Annotated[Memory, Field(ge=512)] = 1024


class WorkerSize(Size):
    memory: Annotated[Memory, Field(ge=512)] = 1024


class OneMachine(Model):
    """The settings of one machine that differ from the settings of its role."""

    example: ClassVar[str] = "{memory: 3G}"

    cpus: int | None = Field(None, ge=1, le=64)
    memory: Memory | None = None
    disks: Disks | None = Field(None, description="its disks instead of those of its role; [] for none")
    address: (
        Annotated[ipaddress.IPv4Address, Field(description="inside `network`, which must be a fixed /24")]
        | None
    ) = None
    hostname: Annotated[str, AfterValidator(_hostname)] | None = Field(
        None,
        json_schema_extra={"pattern": f"^{HOSTNAME}$"},
        description="its host name, and its name as a node and as an etcd member; halab and scenarios still use "
        "the name in this file, such as cp2",
    )


class Machines(Model):
    """The settings for the machines of each role, and for single machines, by name."""

    example: ClassVar[str] = "{cp: {cpus: 2, memory: 2G}}"

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, OneMachine]

    lb: BalancerSize = BalancerSize()
    cp: ControlPlaneSize = ControlPlaneSize()
    etcd: EtcdSize = EtcdSize()
    worker: WorkerSize = WorkerSize()

    @property
    def by_name(self) -> Mapping[str, OneMachine]:
        """The machines with settings of their own, such as `cp2`."""
        return self.__pydantic_extra__


class Kubernetes(Model):
    example: ClassVar[str] = '{version: "1.37"}'

    version: Annotated[str, AfterValidator(_version)] = kubernetes.DEFAULT
    source: BundleSource = BundleSource.AUTO
    etcd: ComponentVersion | None = Field(
        None,
        description="another version of etcd than that of the bundle, such as 3.6.8; built from its Go module",
    )
    coredns: ComponentVersion | None = Field(
        None, description="another version of CoreDNS than that of the bundle; built from its Go module"
    )
    components: Components = Field(
        Components(),
        description="other versions of components of the control plane than that of Kubernetes; built from their Go "
        "module",
    )
    allow_unsupported: bool = Field(
        False,
        description="true: also versions that the version skew policy of Kubernetes, kubeadm or etcd do not support "
        "together",
    )
    pods: Annotated[str, AfterValidator(_pods)] = Field(
        "10.244.0.0/16",
        description="a private /16. Every node has one /24 of it: the node with the address 10.213.7.11 has "
        "10.244.11.0/24",
    )
    services: Annotated[str, AfterValidator(_services)] = Field(
        "10.96.0.0/12", description="a private network, /12 to /24"
    )

    @property
    def written_versions(self) -> dict[str, str]:
        """Component → version, of the components for which the file says one."""
        beside = {ETCD: self.etcd, COREDNS: self.coredns}
        return {name: version for name, version in beside.items() if version} | self.components.by_name

    def with_version(self, version: str) -> Kubernetes:
        """The settings of a lab that was upgraded: an upgrade brings all components of the new version."""
        if kubernetes.resolve(version).kubernetes == kubernetes.resolve(self.version).kubernetes:
            return self
        changes = {"version": version, "etcd": None, "coredns": None, "components": Components()}
        return self.model_copy(update=changes)


class LabFile(Model):
    """One lab: a load balancer and the control planes behind it."""

    name: Annotated[str, AfterValidator(_name)] = Field(
        "ha",
        description="`auto` is a separate name for each folder, such as demo-3f9a2c for a folder called demo",
    )
    provider: ProviderKind = ProviderKind.AUTO
    provider_uri: Annotated[str, AfterValidator(remote.provider_uri)] | None = Field(
        None,
        description="the address of libvirt, such as qemu+ssh://ada@farm/system; by default LIBVIRT_DEFAULT_URI",
    )
    accel: Acceleration = Acceleration.AUTO
    disk_cache: DiskCache = Field(
        DiskCache.SAFE,
        description="libvirt: unsafe is faster, but a power cut loses data that a guest has flushed",
    )
    control_planes: int = Field(
        3, ge=1, le=MOST_CONTROL_PLANES, description="2 and 4 tolerate no more failures than 1 and 3"
    )
    workers: int = Field(0, ge=0, le=MOST_WORKERS)
    etcd: EtcdSettings = EtcdSettings()
    load_balancer: LoadBalancer = LoadBalancer()
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        None,
        description="a name for the API, such as api.lab.example, instead of the load balancer's address; every "
        "machine resolves it",
    )
    kubernetes: Kubernetes = Kubernetes()
    source: Sources = Field(
        Sources(),
        description="checkouts from which components are built, by component: patched, or at any commit",
    )
    kubeadm: Kubeadm = Kubeadm()
    network: Annotated[str, AfterValidator(_network)] = AUTO
    machines: Machines = Machines()
    cni: Cni = Field(
        Cni.BRIDGE, description="none: halab configures no network of pods; your manifests or scripts must"
    )
    images: Annotated[tuple[FileName, ...], AfterValidator(without_repetitions)] = Field(
        (), description="tar files of container images, imported on every node before kubeadm runs"
    )
    manifests: Annotated[tuple[FileName, ...], AfterValidator(without_repetitions)] = Field(
        (),
        description="files and folders, applied in this order when the cluster answers; halab waits for each",
    )
    setup: Setup = Setup()
    box: Annotated[str, AfterValidator(_box)] = Field(
        "debian-12",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63})?$",
        description="a recipe of halab, or owner/name of a stock Vagrant box (libvirt only)",
    )
    patience: float = Field(1.0, ge=0.5, le=60)

    @field_validator("provider_uri")
    @classmethod
    def _is_of_libvirt(cls, value: str | None, info: ValidationInfo) -> str | None:
        # info.data has no provider if that is invalid itself
        if value is not None and info.data.get("provider", ProviderKind.LIBVIRT) is not ProviderKind.LIBVIRT:
            raise ValueError("is for libvirt only: write `provider: libvirt`; for docker, set DOCKER_HOST")
        return value
