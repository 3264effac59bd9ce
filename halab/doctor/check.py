"""A check of the host, its findings and its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from ipaddress import IPv4Network
from pathlib import Path

from halab.config.kubernetes import Release
from halab.config.lab import LabFile, ProviderKind
from halab.config.lab_size import resized
from halab.config.remote import Remote
from halab.doctor.host import Host
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.machines.host import remote_env
from halab.topology.lab import Machine, plan


class HostCheckState(StrEnum):
    OK = "ok"
    WARNING = "warning"  # the lab runs, but may have problems
    FAILED = "failed"
    SKIPPED = "skipped"  # the check could not be made


@dataclass(frozen=True)
class Finding:
    """What a check saw. Every fix works on its own: a command to paste, or an edit to make."""

    state: HostCheckState
    seen: str
    fixes: tuple[str, ...] = ()
    needs_root: bool = False


def ok(seen: str) -> Finding:
    return Finding(HostCheckState.OK, seen)


def warning(seen: str, *fixes: str) -> Finding:
    return Finding(HostCheckState.WARNING, seen, fixes)


def failed(seen: str, *fixes: str) -> Finding:
    return Finding(HostCheckState.FAILED, seen, fixes)


def skipped(seen: str, *fixes: str, needs_root: bool = False) -> Finding:
    return Finding(HostCheckState.SKIPPED, seen, fixes, needs_root)


@dataclass(frozen=True)
class Subject:
    """The lab for which the host is checked."""

    lab_dir: LabDir

    @property
    def written(self) -> LabFile:
        """The lab file, with the size of a lab that was scaled or is to be scaled."""
        return resized(self.lab_dir.written, labs.size_of(self.lab_dir))

    @property
    def file(self) -> Path:
        return self.lab_dir.file

    @property
    def provider(self) -> ProviderKind:
        return labs.provider_of(self.lab_dir)

    @property
    def release(self) -> Release:
        """What is in the box from which the machines start."""
        return labs.base_release(self.lab_dir)

    @property
    def machines(self) -> tuple[Machine, ...]:
        # sizes and roles do not depend on the network, which may not be chosen yet
        return plan(self.written, network=IPv4Network("10.213.0.0/24"), provider=self.provider).machines

    @property
    def new_machines(self) -> tuple[Machine, ...]:
        """The machines for which the host must have room: of a lab that is to be scaled, those that it lacks."""
        if self.lab_dir.size is None:
            return self.machines
        present = Subject(replace(self.lab_dir, size=None)).machines
        return tuple(machine for machine in self.machines if machine not in present)

    @property
    def nodes(self) -> int:
        """How many machines have a kubelet with its images and containers, those of etcd's own included."""
        return sum(machine.has_kubelet for machine in self.machines)

    @property
    def new_nodes(self) -> int:
        """How many of the new machines have a kubelet: the host needs disk space for them."""
        return sum(machine.has_kubelet for machine in self.new_machines)


class Pace(Enum):
    QUICK = auto()  # a fifth of a second at most: `up` runs the check too
    SLOW = auto()
    LONG = auto()  # many seconds: the check runs in the main thread, where Ctrl-C ends it at once


DOCKER_ONLY = frozenset({ProviderKind.DOCKER})
LIBVIRT_ONLY = frozenset({ProviderKind.LIBVIRT})


@dataclass(frozen=True)
class Check:
    """`up` runs the checks that are quick or long, or that say `runs_at_up`. It prints warnings of `warns_at_up`.

    A check `about_machines_host` is skipped if the machines are on another host. `boot_reason` says why the problem
    can keep a machine that was started from answering.
    """

    name: str
    why: str
    look: Callable[[Host, Subject], Finding]
    needed_by: frozenset[ProviderKind] = frozenset(ProviderKind) - {ProviderKind.AUTO}
    pace: Pace = Pace.SLOW
    runs_at_up: bool = False
    warns_at_up: bool = False
    about_machines_host: bool = False
    boot_reason: str = ""

    @property
    def is_for_up(self) -> bool:
        return self.runs_at_up or self.pace is not Pace.SLOW


def remote(host: Host, subject: Subject) -> Remote | None:
    """The other host where the lab's machines are, or would be; None if that is this host."""
    if subject.provider is ProviderKind.DOCKER:
        return remote_env.named("DOCKER_HOST", host.variable("DOCKER_HOST"))
    written = subject.written.provider_uri or host.variable("LIBVIRT_DEFAULT_URI")
    return remote_env.named("LIBVIRT_DEFAULT_URI", written)


@dataclass(frozen=True)
class HostCheckResult:
    """The result of one check. `needed`: the lab's provider depends on it."""

    name: str
    state: HostCheckState
    seen: str
    why: str
    fixes: Sequence[str]
    needed: bool
    needs_root: bool = False

    @property
    def stops_the_lab(self) -> bool:
        return self.needed and self.state is HostCheckState.FAILED
