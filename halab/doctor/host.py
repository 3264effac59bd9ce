"""What may be asked of the host: the seam between the checks and this machine."""

from __future__ import annotations

import getpass
import importlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from halab import process
from halab.config.kubernetes import Release, Source
from halab.doctor import kvm_guest
from halab.doctor.kvm_guest import Boot, Guest
from halab.errors import HalabError, HostProblem
from halab.images import box as boxes
from halab.images import bundle as bundles
from halab.images import cache
from halab.images.box import Box
from halab.images.bundle import Bundle
from halab.lifecycle.lab import Place
from halab.machines import allocation
from halab.machines.engine import Engine, EngineFacts
from halab.machines.hypervisor import Hypervisor

T = TypeVar("T")

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

    def text(self, path: str) -> str | None:
        """The content of a file; None where it cannot be read."""

    def is_there(self, path: Path) -> bool: ...

    def may_use(self, path: Path) -> bool:
        """Whether this user may read and write it."""

    def free_bytes(self, path: Path) -> int:
        """The room on the disk of a path, which need not exist yet."""

    def engine(self) -> EngineFacts: ...

    def running(self, place: Place) -> int:
        """How many machines of the lab run on the engine."""

    def namesake(self, place: Place) -> Path | None:
        """The work folder of another lab of that name."""

    def network(self, place: Place) -> IPv4Network:
        """The network that the lab has, or would be given now."""

    def bundle(self, release: Release, source: Source) -> Bundle | None: ...

    def box(self, name: str, bundle: Bundle) -> Box | None: ...

    def obstacle(self, release: Release, source: Source) -> HalabError | None:
        """Why a bundle cannot be had from that source."""

    def libvirt(self, uri: str) -> str:
        """The version of the libvirt that answers there."""

    def boot(self, guest: Guest, program: str) -> Boot:
        """Start a guest under KVM."""


class RealHost:
    """This machine. What several checks ask for is asked once."""

    def __init__(self) -> None:
        self._engine = _Once(lambda: Engine(timeout_seconds=_ANSWER_SECONDS))
        self._facts = _Once(lambda: self._engine().facts)

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

    def running(self, place: Place) -> int:
        return sum(each.running for each in self._engine().machines(place.name))

    def namesake(self, place: Place) -> Path | None:
        others = (each.work for each in allocation.held() if each.name == place.name)
        return next((work for work in others if work != place.work.path and work.exists()), None)

    def network(self, place: Place) -> IPv4Network:
        held = allocation.of(place.work.path)
        if held:
            return held.network
        taken = allocation.host_routes()
        with suppress(HostProblem):  # without an engine there are no networks of it
            taken += self._engine().networks()
        return allocation.preview(place.written.network, taken)[0]

    def bundle(self, release: Release, source: Source) -> Bundle | None:
        return bundles.find(release, source)

    def box(self, name: str, bundle: Bundle) -> Box | None:
        return boxes.find(name, bundle.key)

    def obstacle(self, release: Release, source: Source) -> HalabError | None:
        return bundles.MAKERS[source].obstacle(release, patience_seconds=_RELEASE_HOST_SECONDS)

    def libvirt(self, uri: str) -> str:
        return Hypervisor(uri=uri).version

    def boot(self, guest: Guest, program: str) -> Boot:
        return kvm_guest.boot(guest, program)


class _Once(Generic[T]):
    """A call whose outcome, value or error, is kept; threads that ask meanwhile wait for it."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._outcome: list[T] = []
        self._error: HalabError | None = None

    def __call__(self) -> T:
        with self._lock:
            if self._error:
                raise self._error
            if not self._outcome:
                try:
                    self._outcome.append(self._call())
                except HalabError as error:
                    self._error = error
                    raise
            return self._outcome[0]
