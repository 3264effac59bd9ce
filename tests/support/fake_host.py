"""A host whose answers are its fields. By default every check passes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from halab.config.kubernetes import BundleSource, Release
from halab.config.lab import LabFile, ProviderKind
from halab.doctor.kvm_guest import Boot, Guest
from halab.errors import HalabError
from halab.images.box import Box
from halab.images.bundle import Bundle
from halab.images.cache import Architecture
from halab.images.component import Component
from halab.images.image_archive import ImageArchive
from halab.images.manifest import FORMAT, BundleManifest
from halab.lifecycle.lab import LabDir
from halab.machines.docker.engine import EngineFacts
from halab.machines.host.allocation import Allocation
from halab.machines.host.neighbours import Neighbour, NetworkKind, Subnet
from halab.machines.libvirt.facts import LibvirtFacts, Pool
from halab.machines.work import Work
from support.os_releases import OS_RELEASE

T = TypeVar("T")

SOCKET = Path("/var/run/docker.sock")
DATA = Path("/var/lib/docker")
KVM = Path("/dev/kvm")
SYSTEMD = Path("/run/systemd/system")
GIB = 1 << 30
LIBVIRT_SOCKET = Path("/var/run/libvirt/libvirt-sock")
POOL = Path("/var/lib/libvirt/images")
TOOLS = (
    "vagrant", "ssh", "ssh-keygen", "ip", "docker", "dockerd", "mmdebstrap", "apt-get", "libvirtd", "qemu-img",
    "dnsmasq", "iptables", "nft", "timedatectl",
)  # fmt: skip
NO_FIREWALL = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n"
LIBVIRT = LibvirtFacts("9.0.0", "QEMU", (Pool("default", True, True, POOL, 100 << 30),), ())
# libvirt's own network, as on a host where virtual machines have run
WITH_NETWORK = replace(
    LIBVIRT, networks=(Subnet(NetworkKind.LIBVIRT, "default", (), "virbr0", True, "", "", forward="nat"),)
)


def place_of(**written: Any) -> LabDir:
    file = Path("/labs/ha/lab.yml")
    return LabDir(file, LabFile.model_validate(written), Work(file.parent / ".halab"))


def bundle_of(release: Release, path: Path = Path("/cache/bundle")) -> Bundle:
    manifest = BundleManifest(
        format=FORMAT, key="0123456789ab", kubernetes=release.kubernetes, source=BundleSource.MODULES,
        architecture=Architecture.AMD64, components={}, created=datetime(2026, 1, 1, tzinfo=UTC), files={},
    )  # fmt: skip
    return Bundle(path, manifest)


@dataclass(frozen=True)
class FakeBox(Box):
    @property
    def size_bytes(self) -> int:
        return GIB


@dataclass
class FakeHost:
    python: tuple[int, ...] = (3, 11, 2)
    is_root: bool = False
    user: str = "ada"
    groups: frozenset[str] = frozenset({"ada", "docker", "kvm", "libvirt"})
    cores: int = 4
    architecture: Architecture = Architecture.AMD64
    cache: Path = Path("/home/ada/.cache/halab")
    variables: dict[str, str] = field(default_factory=dict)
    tools: set[str] = field(default_factory=lambda: {*TOOLS, "qemu-system-x86_64"})
    outputs: dict[str, str | HalabError] = field(
        default_factory=lambda: {
            "vagrant --version": "Vagrant 2.3.4\n",
            "vagrant plugin list": "vagrant-libvirt (0.11.2, system)\n",
            "qemu-system-x86_64 --version": "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n",
            "timedatectl show --property=NTPSynchronized": "NTPSynchronized=yes\n",
            "iptables -S": NO_FIREWALL,
            "nft list ruleset": "",
        }
    )
    packages: dict[str, str] = field(
        default_factory=lambda: {"python-vagrant": "1.0.0", "libvirt-python": "12.8.0"}
    )
    texts: dict[str, str] = field(
        default_factory=lambda: {
            "/etc/os-release": OS_RELEASE["debian-12"],
            "/proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 12582912 kB\n",
            "/proc/sys/fs/inotify/max_user_instances": "512\n",
            "/proc/sys/fs/inotify/max_user_watches": "65536\n",
            "/proc/sys/fs/file-nr": "3000\t0\t9223372036854775807\n",
            "/proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu svm\n",
        }
    )
    existing: set[Path] = field(
        default_factory=lambda: {SOCKET, DATA, KVM, SYSTEMD, LIBVIRT_SOCKET, Path("/")}
    )
    forbidden: set[Path] = field(default_factory=set)
    free: int = 100 * GIB
    engine_facts: EngineFacts | HalabError = EngineFacts(
        "28.5.2", "Debian", 2, False, DATA, "http+docker://"
    )
    machines_up: int = 0
    other_lab: Path | None = None
    lab_network: IPv4Network | HalabError = IPv4Network("10.213.0.0/24")
    cached_bundle: Bundle | HalabError | bool = True
    has_box: bool | HalabError = True
    box_lacks: HalabError | None = None
    has_component: bool | HalabError = True
    component_lacks: HalabError | None = None
    unimportable: dict[str, str] = field(default_factory=dict)
    allocated: Allocation | None = None
    other_networks: list[Neighbour] = field(default_factory=list)
    obstacles: dict[BundleSource, HalabError] = field(default_factory=dict)
    libvirt_facts: LibvirtFacts | HalabError = LIBVIRT
    libvirt_kvm: bool | HalabError = True
    booted: Boot = Boot(["real mode"], None)
    guests: list[Guest] = field(default_factory=list)

    def variable(self, name: str) -> str | None:
        return self.variables.get(name)

    def tool(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.tools else None

    def output(self, *argv: str) -> str:
        return _answer(self.outputs[" ".join([Path(argv[0]).name, *argv[1:]])])

    def package(self, name: str) -> str | None:
        return self.packages.get(name)

    def import_problem(self, module: str) -> str | None:
        return self.unimportable.get(module)

    def text(self, path: str) -> str | None:
        return self.texts.get(path)

    def exists(self, path: Path) -> bool:
        return path in self.existing

    def may_use(self, path: Path) -> bool:
        return path not in self.forbidden

    def free_bytes(self, path: Path) -> int:
        return self.free

    def docker(self) -> EngineFacts:
        return _answer(self.engine_facts)

    def running_machines(self, lab_dir: LabDir) -> int:
        if lab_dir.written.provider is ProviderKind.LIBVIRT:
            self.libvirt()
        else:
            self.docker()
        return self.machines_up

    def lab_of_same_name(self, lab_dir: LabDir) -> Path | None:
        return self.other_lab

    def allocation(self, lab_dir: LabDir) -> Allocation | None:
        return self.allocated

    def neighbours(self, lab_dir: LabDir) -> list[Neighbour]:
        return self.other_networks

    def network(self, lab_dir: LabDir) -> IPv4Network:
        return _answer(self.lab_network)

    def bundle(self, release: Release, source: BundleSource) -> Bundle | None:
        if isinstance(self.cached_bundle, bool):
            return bundle_of(release) if self.cached_bundle else None
        return _answer(self.cached_bundle)

    def component(self, wanted: Component) -> ImageArchive | None:
        return ImageArchive(wanted.archive, "/cache", "0", 1, ()) if _answer(self.has_component) else None

    def component_obstacle(self, wanted: Component) -> HalabError | None:
        return self.component_lacks

    def box(self, name: str, bundle: Bundle, provider: ProviderKind) -> Box | None:
        return FakeBox(name, "ba9876543210", Path("/cache/box"), provider) if _answer(self.has_box) else None

    def box_obstacle(self, provider: ProviderKind) -> HalabError | None:
        return self.box_lacks

    def bundle_obstacle(self, release: Release, source: BundleSource) -> HalabError | None:
        return self.obstacles.get(source)

    def libvirt(self) -> LibvirtFacts:
        return _answer(self.libvirt_facts)

    def libvirt_has_kvm(self) -> bool:
        self.libvirt()
        return _answer(self.libvirt_kvm)

    def boot_guest(self, guest: Guest, program: str) -> Boot:
        self.guests.append(guest)
        return self.booted


def _answer(answer: T | HalabError) -> T:
    if isinstance(answer, HalabError):
        raise answer
    return answer
