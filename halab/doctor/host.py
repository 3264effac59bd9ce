"""What may be asked of the host: the seam between the checks and this machine."""

from __future__ import annotations

import getpass
import grp
import importlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from halab import process
from halab.clock import within
from halab.config.kubernetes import BundleSource, Release
from halab.config.lab import ProviderKind
from halab.doctor import kvm_guest
from halab.doctor.kvm_guest import Boot, Guest
from halab.doctor.once import Once
from halab.errors import Corrupted, HalabError, HostProblem
from halab.images import box as boxes
from halab.images import bundle as bundles
from halab.images import cache, disk, integrity
from halab.images.box import Box
from halab.images.bundle import Bundle
from halab.lifecycle.lab import LabDir, provider_of, remote_of
from halab.machines.docker.engine import Engine, EngineFacts
from halab.machines.host import allocation, neighbours
from halab.machines.host.allocation import Allocation
from halab.machines.host.neighbours import Neighbour, Subnet
from halab.machines.host.routes import Route, routes, routes_of
from halab.machines.libvirt.facts import LibvirtFacts
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.provider import MachineInfo

# An engine or a daemon that takes longer to say its version does not answer.
_ANSWER_SECONDS = 8
_RELEASE_HOST_SECONDS = 3


class Host(Protocol):
    """Questions that fail raise HalabError with the reason."""

    @property
    def python(self) -> tuple[int, ...]: ...

    @property
    def is_root(self) -> bool: ...

    @property
    def user(self) -> str: ...

    @property
    def groups(self) -> frozenset[str]:
        """The groups of this process: one that the user joined since the login is not among them."""

    @property
    def cores(self) -> int:
        """The processors that this process may use."""

    @property
    def architecture(self) -> cache.Architecture: ...

    @property
    def cache(self) -> Path: ...

    def variable(self, name: str) -> str | None:
        """A variable of the environment; None where it is unset or empty."""

    def tool(self, name: str) -> str | None:
        """The path of a command."""

    def output(self, *argv: str) -> str:
        """What a command prints to standard output."""

    def package(self, name: str) -> str | None:
        """The version of an installed Python package."""

    def import_problem(self, module: str) -> str | None:
        """Why a Python module cannot be imported."""

    def text(self, path: str) -> str | None:
        """The content of a file; None where it cannot be read."""

    def is_there(self, path: Path) -> bool: ...

    def may_use(self, path: Path) -> bool:
        """Whether this user may read and write it."""

    def free_bytes(self, path: Path) -> int:
        """The room on the disk of a path, which need not exist yet."""

    def engine(self) -> EngineFacts: ...

    def running(self, place: LabDir) -> int:
        """How many machines of the lab run."""

    def namesake(self, place: LabDir) -> Path | None:
        """The work folder of another lab of that name."""

    def held(self, place: LabDir) -> Allocation | None:
        """The networks that the lab has already."""

    def network(self, place: LabDir) -> IPv4Network:
        """The network that the lab has, or would be given now."""

    def neighbours(self, place: LabDir) -> Sequence[Neighbour]:
        """The networks that this host has already, those of the lab itself among them."""

    def bundle(self, release: Release, source: BundleSource) -> Bundle | None: ...

    def box(self, name: str, bundle: Bundle, provider: ProviderKind) -> Box | None:
        """Corrupted where its file is cut short."""

    def box_obstacle(self, provider: ProviderKind) -> HalabError | None:
        """What is lacking to build a box, beyond what every box needs."""

    def obstacle(self, release: Release, source: BundleSource) -> HalabError | None:
        """Why a bundle cannot be had from that source."""

    def libvirt(self) -> LibvirtFacts:
        """What the libvirt that the lab file or LIBVIRT_DEFAULT_URI names, or else this host's, says of itself."""

    def boot(self, guest: Guest, program: str) -> Boot:
        """Start a guest under KVM."""


class RealHost:
    """This machine. What several checks ask for is asked once."""

    def __init__(self, provider_uri: str | None = None) -> None:
        self._uri = provider_uri
        self._engine = Once(lambda: Engine(timeout_seconds=_ANSWER_SECONDS))
        self._facts = Once(lambda: self._engine().facts)
        # the library has no time limits of its own, and a daemon that hangs accepts connections
        self._libvirt = Once(lambda: within(_ANSWER_SECONDS, "libvirt", self._hypervisor_facts))

    @property
    def python(self) -> tuple[int, ...]:
        return sys.version_info[:3]

    @property
    def is_root(self) -> bool:
        return os.geteuid() == 0

    @property
    def user(self) -> str:
        return getpass.getuser()

    @property
    def groups(self) -> frozenset[str]:
        names = set()
        for number in {os.getegid(), *os.getgroups()}:
            with suppress(KeyError):  # a number without a name
                names.add(grp.getgrgid(number).gr_name)
        return frozenset(names)

    @property
    def cores(self) -> int:
        return len(os.sched_getaffinity(0))

    @property
    def architecture(self) -> cache.Architecture:
        return cache.architecture()

    @property
    def cache(self) -> Path:
        return cache.folder()

    def variable(self, name: str) -> str | None:
        return os.environ.get(name) or None

    def tool(self, name: str) -> str | None:
        return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")

    def output(self, *argv: str) -> str:
        return process.run(argv, timeout_seconds=_ANSWER_SECONDS).output

    def package(self, name: str) -> str | None:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return None

    def import_problem(self, module: str) -> str | None:
        try:
            importlib.import_module(module)
        except ImportError as error:
            return str(error)
        return None

    def text(self, path: str) -> str | None:
        try:
            return Path(path).read_text(errors="replace")
        except OSError:
            return None

    def is_there(self, path: Path) -> bool:
        return os.path.lexists(path)

    def may_use(self, path: Path) -> bool:
        return os.access(path, os.R_OK | os.W_OK)

    def free_bytes(self, path: Path) -> int:
        return shutil.disk_usage(next(each for each in (path, *path.parents) if each.exists())).free

    def engine(self) -> EngineFacts:
        return self._facts()

    def running(self, place: LabDir) -> int:
        return sum(each.running for each in self._machines(place))

    def namesake(self, place: LabDir) -> Path | None:
        others = (each.work for each in allocation.held() if each.name == place.name)
        return next((work for work in others if work != place.work.path and work.exists()), None)

    def held(self, place: LabDir) -> Allocation | None:
        return allocation.of(place.work.path)

    def network(self, place: LabDir) -> IPv4Network:
        held = self.held(place)
        if held:
            return held.network
        return allocation.preview(place.written.network, [each.network for each in self.neighbours(place)])[
            0
        ]

    def neighbours(self, place: LabDir) -> Sequence[Neighbour]:
        return neighbours.neighbours(
            self._routes(place),
            self._subnets(provider_of(place.written)),
            lab=place.name,
            work=place.work,
        )

    def bundle(self, release: Release, source: BundleSource) -> Bundle | None:
        return bundles.find(release, source)

    def box(self, name: str, bundle: Bundle, provider: ProviderKind) -> Box | None:
        found = boxes.find(name, bundle.key, provider)
        if found and not integrity.is_complete(found):
            raise Corrupted(f"cut short: {found.file}")
        return found

    def box_obstacle(self, provider: ProviderKind) -> HalabError | None:
        try:
            if provider is ProviderKind.LIBVIRT:
                disk.kernel_package(self.architecture)
                disk.require_tools()
        except HostProblem as error:
            return error
        return None

    def obstacle(self, release: Release, source: BundleSource) -> HalabError | None:
        return bundles.MAKERS[source].obstacle(release, patience_seconds=_RELEASE_HOST_SECONDS)

    def libvirt(self) -> LibvirtFacts:
        return self._libvirt()

    def boot(self, guest: Guest, program: str) -> Boot:
        return kvm_guest.boot(guest, program)

    def _routes(self, place: LabDir) -> Sequence[Route]:
        """Of the host that the machines are to live on; one that is not reached is told by another check."""
        remote = remote_of(place.written)
        if remote is None:
            return routes()
        with suppress(HalabError):
            return routes_of(remote)
        return []

    def _machines(self, place: LabDir) -> Sequence[MachineInfo]:
        if provider_of(place.written) is ProviderKind.DOCKER:
            return self._engine().machines(place.name)
        self.libvirt()  # one that does not answer is not waited for twice
        return within(_ANSWER_SECONDS, "libvirt", lambda: Hypervisor(uri=self._uri).machines(place.name))

    def _hypervisor_facts(self) -> LibvirtFacts:
        return Hypervisor(uri=self._uri).facts()

    def _subnets(self, provider: ProviderKind) -> Sequence[Subnet]:
        # without an engine or a libvirt there are no networks of it
        with suppress(HalabError):
            return self._engine().subnets() if provider is ProviderKind.DOCKER else self.libvirt().networks
        return []
