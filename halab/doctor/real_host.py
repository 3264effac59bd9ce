"""The answers of this machine to the questions of the checks."""

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

from halab import process
from halab.clock import within
from halab.config.kubernetes import BundleSource, Release
from halab.config.lab import ProviderKind
from halab.doctor import kvm_guest
from halab.doctor.cached_call import CachedCall
from halab.doctor.kvm_guest import Boot, Guest
from halab.errors import Corrupted, HalabError, HostProblem
from halab.images import box as boxes
from halab.images import bundle as bundles
from halab.images import cache, component, integrity, user_namespace
from halab.images.box import Box
from halab.images.bundle import Bundle
from halab.images.cache import Architecture
from halab.images.component import Component
from halab.images.image_archive import ImageArchive
from halab.lifecycle.lab import LabDir, cluster_networks, provider_of, remote_of
from halab.machines.docker.engine import Engine, EngineFacts
from halab.machines.host import allocation, neighbours
from halab.machines.host.allocation import Allocation
from halab.machines.host.neighbours import Neighbour, Subnet
from halab.machines.host.routes import Route, routes, routes_of
from halab.machines.libvirt.facts import LibvirtFacts
from halab.machines.libvirt.hypervisor import Hypervisor
from halab.machines.provider import MachineInfo

# After this time an engine or a daemon counts as one that does not answer.
_ANSWER_SECONDS = 8
# Vagrant is Ruby: while emulated machines used all cores, it took more than 8 s to list its plugins.
_PROGRAM_SECONDS = 60
_RELEASE_HOST_SECONDS = 3


class RealHost:
    """This machine. It asks docker and libvirt once for all checks."""

    def __init__(self, provider_uri: str | None = None) -> None:
        self._uri = provider_uri
        self._engine = CachedCall(lambda: Engine(timeout_seconds=_ANSWER_SECONDS))
        self._docker_facts = CachedCall(lambda: self._engine().facts)
        # libvirt's library has no time limits, and a daemon that hangs still accepts connections
        self._libvirt_facts = CachedCall(lambda: within(_ANSWER_SECONDS, "libvirt", self._hypervisor_facts))

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
            with suppress(KeyError):  # a group number without a name
                names.add(grp.getgrgid(number).gr_name)
        return frozenset(names)

    @property
    def cores(self) -> int:
        return len(os.sched_getaffinity(0))

    @property
    def architecture(self) -> Architecture:
        return cache.architecture()

    @property
    def cache(self) -> Path:
        return cache.folder()

    def variable(self, name: str) -> str | None:
        return os.environ.get(name) or None

    def tool(self, name: str) -> str | None:
        return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")

    def output(self, *argv: str) -> str:
        return process.run(argv, timeout_seconds=_PROGRAM_SECONDS).output

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

    def exists(self, path: Path) -> bool:
        return os.path.lexists(path)

    def may_use(self, path: Path) -> bool:
        return os.access(path, os.R_OK | os.W_OK)

    def free_bytes(self, path: Path) -> int:
        return shutil.disk_usage(next(filter(Path.exists, (path, *path.parents)))).free

    def docker(self) -> EngineFacts:
        return self._docker_facts()

    def running_machines(self, lab_dir: LabDir) -> int:
        return sum(machine.running for machine in self._machines(lab_dir))

    def lab_of_same_name(self, lab_dir: LabDir) -> Path | None:
        folders = (lab.work for lab in allocation.held() if lab.name == lab_dir.name)
        return next((work for work in folders if work != lab_dir.work.path and work.exists()), None)

    def allocation(self, lab_dir: LabDir) -> Allocation | None:
        return allocation.of(lab_dir.work.path)

    def network(self, lab_dir: LabDir) -> IPv4Network:
        allocated = self.allocation(lab_dir)
        if allocated:
            return allocated.network
        used = [neighbour.network for neighbour in self.neighbours(lab_dir)]
        used += cluster_networks(lab_dir)
        return allocation.preview(lab_dir.written.network, used)[0]

    def neighbours(self, lab_dir: LabDir) -> Sequence[Neighbour]:
        return neighbours.neighbours(
            self._routes(lab_dir),
            self._subnets(provider_of(lab_dir)),
            lab=lab_dir.name,
            work=lab_dir.work,
        )

    def bundle(self, release: Release, source: BundleSource) -> Bundle | None:
        return bundles.find(release, source)

    def component(self, wanted: Component) -> ImageArchive | None:
        return component.find(wanted)

    def component_obstacle(self, wanted: Component) -> HalabError | None:
        return component.obstacle(wanted)

    def box(self, name: str, bundle: Bundle, provider: ProviderKind) -> Box | None:
        box = boxes.find(name, bundle.key, provider)
        if box and not integrity.is_complete(box):
            raise Corrupted(f"truncated: {box.file}")
        return box

    def box_obstacle(self, provider: ProviderKind) -> HalabError | None:
        try:
            boxes.require_tools(provider)
        except HostProblem as error:
            return error
        return None if self.is_root else user_namespace.obstacle()

    def bundle_obstacle(self, release: Release, source: BundleSource) -> HalabError | None:
        return bundles.MAKERS[source].obstacle(release, patience_seconds=_RELEASE_HOST_SECONDS)

    def libvirt(self) -> LibvirtFacts:
        return self._libvirt_facts()

    def libvirt_has_kvm(self) -> bool:
        self.libvirt()  # raises at once if libvirt did not answer before
        return within(_ANSWER_SECONDS, "libvirt", lambda: Hypervisor(uri=self._uri).has_kvm())

    def boot_guest(self, guest: Guest, program: str) -> Boot:
        return kvm_guest.boot(guest, program)

    def _routes(self, lab_dir: LabDir) -> Sequence[Route]:
        """The routes of the machines' host; empty if it cannot be reached, which another check reports."""
        remote = remote_of(lab_dir)
        if remote is None:
            return routes()
        with suppress(HalabError):
            return routes_of(remote)
        return []

    def _machines(self, lab_dir: LabDir) -> Sequence[MachineInfo]:
        if provider_of(lab_dir) is ProviderKind.DOCKER:
            return self._engine().machines(lab_dir.name)
        self.libvirt()  # raises at once if libvirt did not answer before
        return within(_ANSWER_SECONDS, "libvirt", lambda: Hypervisor(uri=self._uri).machines(lab_dir.name))

    def _hypervisor_facts(self) -> LibvirtFacts:
        return Hypervisor(uri=self._uri).facts()

    def _subnets(self, provider: ProviderKind) -> Sequence[Subnet]:
        # an engine that does not answer has no networks
        with suppress(HalabError):
            return self._engine().subnets() if provider is ProviderKind.DOCKER else self.libvirt().networks
        return []
