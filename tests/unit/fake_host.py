"""A host that is as its fields say; as made, it lacks nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, TypeVar

from halab.config.kubernetes import Release, Source
from halab.config.lab import LabFile
from halab.doctor.kvm_guest import Boot, Guest
from halab.errors import HalabError
from halab.images.box import Box
from halab.images.bundle import Bundle
from halab.images.cache import Architecture
from halab.images.manifest import FORMAT, Manifest
from halab.lifecycle.lab import Place
from halab.machines.engine import EngineFacts
from halab.machines.work import Work

T = TypeVar("T")

SOCKET = Path("/var/run/docker.sock")
DATA = Path("/var/lib/docker")
KVM = Path("/dev/kvm")
SYSTEMD = Path("/run/systemd/system")
GIB = 1 << 30
TOOLS = ("vagrant", "ssh", "ssh-keygen", "ip", "docker", "dockerd", "mmdebstrap", "apt-get", "libvirtd")


def place_of(**written: Any) -> Place:
    file = Path("/labs/ha/lab.yml")
    return Place(file, LabFile.model_validate(written), Work(file.parent / ".halab"))


def bundle_of(release: Release, path: Path = Path("/cache/bundle")) -> Bundle:
    manifest = Manifest(
        format=FORMAT, key="0123456789ab", kubernetes=release.kubernetes, source=Source.MODULES,
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
    architecture: Architecture = Architecture.AMD64
    cache: Path = Path("/home/ada/.cache/halab")
    variables: dict[str, str] = field(default_factory=dict)
    tools: set[str] = field(default_factory=lambda: {*TOOLS, "qemu-system-x86_64"})
    outputs: dict[str, str] = field(
        default_factory=lambda: {
            "vagrant --version": "Vagrant 2.3.4\n",
            "vagrant plugin list": "vagrant-libvirt (0.11.2, system)\n",
        }
    )
    packages: dict[str, str] = field(
        default_factory=lambda: {"python-vagrant": "1.0.0", "libvirt-python": "12.8.0"}
    )
    texts: dict[str, str] = field(
        default_factory=lambda: {
            "/proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 12582912 kB\n",
            "/proc/sys/fs/inotify/max_user_instances": "512\n",
            "/proc/sys/fs/inotify/max_user_watches": "65536\n",
            "/proc/sys/fs/file-nr": "3000\t0\t9223372036854775807\n",
        }
    )
    there: set[Path] = field(default_factory=lambda: {SOCKET, DATA, KVM, SYSTEMD})
    forbidden: set[Path] = field(default_factory=set)
    free: int = 100 * GIB
    engine_facts: EngineFacts | HalabError = EngineFacts(
        "28.5.2", "Debian", 2, False, DATA, "http+docker://"
    )
    machines_up: int = 0
    other_lab: Path | None = None
    lab_network: IPv4Network | HalabError = IPv4Network("10.213.0.0/24")
    cached_bundle: Bundle | HalabError | bool = True
    has_box: bool = True
    obstacles: dict[Source, HalabError] = field(default_factory=dict)
    libvirt_version: str | HalabError = "9.0.0"
    booted: Boot = Boot(["real mode"], None)
    guests: list[Guest] = field(default_factory=list)

    def variable(self, name: str) -> str | None:
        return self.variables.get(name)

    def tool(self, name: str) -> str | None:
        return f"/usr/bin/{name}" if name in self.tools else None

    def output(self, *argv: str) -> str:
        return self.outputs[" ".join(argv)]

    def package(self, name: str) -> str | None:
        return self.packages.get(name)

    def text(self, path: str) -> str | None:
        return self.texts.get(path)

    def is_there(self, path: Path) -> bool:
        return path in self.there

    def may_use(self, path: Path) -> bool:
        return path not in self.forbidden

    def free_bytes(self, path: Path) -> int:
        return self.free

    def engine(self) -> EngineFacts:
        return _said(self.engine_facts)

    def running(self, place: Place) -> int:
        self.engine()
        return self.machines_up

    def namesake(self, place: Place) -> Path | None:
        return self.other_lab

    def network(self, place: Place) -> IPv4Network:
        return _said(self.lab_network)

    def bundle(self, release: Release, source: Source) -> Bundle | None:
        if isinstance(self.cached_bundle, bool):
            return bundle_of(release) if self.cached_bundle else None
        return _said(self.cached_bundle)

    def box(self, name: str, bundle: Bundle) -> Box | None:
        return FakeBox(name, "ba9876543210", Path("/cache/box")) if self.has_box else None

    def obstacle(self, release: Release, source: Source) -> HalabError | None:
        return self.obstacles.get(source)

    def libvirt(self, uri: str) -> str:
        return _said(self.libvirt_version)

    def boot(self, guest: Guest, program: str) -> Boot:
        self.guests.append(guest)
        return self.booted


def _said(answer: T | HalabError) -> T:
    if isinstance(answer, HalabError):
        raise answer
    return answer
