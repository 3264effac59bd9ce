"""What the checks ask of a host, by subject: the seam between the checks and this machine.

Questions that fail raise HalabError with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol

from halab.config.kubernetes import BundleSource, Release
from halab.config.lab import ProviderKind
from halab.doctor.kvm_guest import Boot, Guest
from halab.errors import HalabError
from halab.images.box import Box
from halab.images.bundle import Bundle
from halab.images.cache import Architecture
from halab.images.component import Component
from halab.images.image_archive import ImageArchive
from halab.lifecycle.lab import LabDir
from halab.machines.docker.engine import EngineFacts
from halab.machines.host.allocation import Allocation
from halab.machines.host.neighbours import Neighbour
from halab.machines.libvirt.facts import LibvirtFacts


class System(Protocol):
    """The user, the processors and the environment of this process."""

    @property
    def is_root(self) -> bool: ...

    @property
    def user(self) -> str: ...

    @property
    def groups(self) -> frozenset[str]:
        """The groups of this process. A group that the user joined after the login is not among them."""

    @property
    def cores(self) -> int:
        """The number of processors that this process may use."""

    @property
    def architecture(self) -> Architecture: ...

    def variable(self, name: str) -> str | None:
        """A variable of the environment; None if it is unset or empty."""


class Programs(Protocol):
    """Installed commands and Python packages."""

    @property
    def python(self) -> tuple[int, ...]: ...

    def tool(self, name: str) -> str | None:
        """The path of a command; None if it is not installed."""

    def output(self, *argv: str) -> str:
        """Run a command and return its standard output."""

    def package(self, name: str) -> str | None:
        """The version of an installed Python package."""

    def import_problem(self, module: str) -> str | None:
        """The error of importing a Python module; None if it can be imported."""


class Files(Protocol):
    """The file system."""

    def text(self, path: str) -> str | None:
        """The content of a file; None if it cannot be read."""

    def exists(self, path: Path) -> bool: ...

    def may_use(self, path: Path) -> bool:
        """True if this user may read and write the path."""

    def free_bytes(self, path: Path) -> int:
        """The free space on the disk of a path, which need not exist yet."""


class Engines(Protocol):
    """What runs the machines: docker, libvirt, KVM."""

    def docker(self) -> EngineFacts: ...

    def libvirt(self) -> LibvirtFacts:
        """Facts about the libvirt named by the lab file or LIBVIRT_DEFAULT_URI, by default the one on this host."""

    def libvirt_has_kvm(self) -> bool:
        """True if that libvirt can run machines under KVM."""

    def boot_guest(self, guest: Guest, program: str) -> Boot:
        """Boot a guest under KVM. `program` is the path of qemu."""


class Labs(Protocol):
    """This lab and the other labs of the host."""

    def running_machines(self, lab_dir: LabDir) -> int:
        """The number of the lab's machines that run."""

    def lab_of_same_name(self, lab_dir: LabDir) -> Path | None:
        """The work folder of another lab with the same name."""


class Networks(Protocol):
    """The networks of the lab and of the host."""

    def allocation(self, lab_dir: LabDir) -> Allocation | None:
        """The networks that the lab has already."""

    def network(self, lab_dir: LabDir) -> IPv4Network:
        """The network that the lab has, or would get now."""

    def neighbours(self, lab_dir: LabDir) -> Sequence[Neighbour]:
        """All networks of this host, including those of the lab."""


class Images(Protocol):
    """The cache of bundles and boxes, and what builds them."""

    @property
    def cache(self) -> Path: ...

    def bundle(self, release: Release, source: BundleSource) -> Bundle | None:
        """The bundle in the cache."""

    def bundle_obstacle(self, release: Release, source: BundleSource) -> HalabError | None:
        """Why this source cannot give a bundle; None if it can."""

    def component(self, wanted: Component) -> ImageArchive | None:
        """The image of a component in the cache. Raises Corrupted if it has changed."""

    def component_obstacle(self, wanted: Component) -> HalabError | None:
        """Why this host cannot build a component; None if it can."""

    def box(self, name: str, bundle: Bundle, provider: ProviderKind) -> Box | None:
        """The box in the cache. Raises Corrupted if its file is truncated."""

    def box_obstacle(self, provider: ProviderKind) -> HalabError | None:
        """What is missing on this host to build a box for this provider."""


class Host(System, Programs, Files, Engines, Labs, Networks, Images, Protocol):
    """Everything that a check may ask."""
