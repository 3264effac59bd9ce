"""What a check of the host is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from ipaddress import IPv4Network
from pathlib import Path

from halab.config.kubernetes import Release, resolve
from halab.config.lab import LabFile, ProviderKind
from halab.config.remote import Remote
from halab.doctor.host import Host
from halab.lifecycle.lab import LabDir, provider_of
from halab.machines.host import remote_env
from halab.topology.lab import Machine, plan


class CheckState(StrEnum):
    OK = "ok"
    WARNING = "warning"  # the lab runs, and something may bite
    FAILED = "failed"
    SKIPPED = "skipped"  # nothing was learned


@dataclass(frozen=True)
class Finding:
    """What a check saw. Each fix by itself puts it right: a command to paste, or an edit to make."""

    state: CheckState
    seen: str
    fixes: tuple[str, ...] = ()
    needs_root: bool = False


def ok(seen: str) -> Finding:
    return Finding(CheckState.OK, seen)


def warning(seen: str, *fixes: str) -> Finding:
    return Finding(CheckState.WARNING, seen, fixes)


def failed(seen: str, *fixes: str) -> Finding:
    return Finding(CheckState.FAILED, seen, fixes)


def skipped(seen: str, *fixes: str, needs_root: bool = False) -> Finding:
    return Finding(CheckState.SKIPPED, seen, fixes, needs_root)


@dataclass(frozen=True)
class Subject:
    """The lab that the host is looked at for."""

    place: LabDir

    @property
    def written(self) -> LabFile:
        return self.place.written

    @property
    def file(self) -> Path:
        return self.place.file

    @property
    def provider(self) -> ProviderKind:
        return provider_of(self.written)

    @property
    def release(self) -> Release:
        return resolve(self.written.kubernetes.version)

    @property
    def machines(self) -> tuple[Machine, ...]:
        # sizes and roles do not depend on the network, which may not be chosen yet
        return plan(self.written, network=IPv4Network("10.213.0.0/24"), provider=self.provider).machines

    @property
    def nodes(self) -> int:
        return sum(machine.is_node for machine in self.machines)


class Pace(Enum):
    QUICK = auto()  # a fifth of a second at most: asked before every `up` as well
    SLOW = auto()
    LONG = auto()  # many seconds: asked where Ctrl-C ends it at once


@dataclass(frozen=True)
class Check:
    """One question to the host. `up` asks what is quick or long, or `asked_at_up`; `told_at_up`: warnings, too.

    `of_the_machines_host` is asked in vain where the machines are on another one. `when_silent` says why this may be
    the reason when a machine that was started does not answer.
    """

    name: str
    why: str
    look: Callable[[Host, Subject], Finding]
    needed_by: frozenset[ProviderKind] = frozenset({ProviderKind.DOCKER, ProviderKind.LIBVIRT})
    pace: Pace = Pace.SLOW
    asked_at_up: bool = False
    told_at_up: bool = False
    of_the_machines_host: bool = False
    when_silent: str = ""

    @property
    def is_for_up(self) -> bool:
        return self.asked_at_up or self.pace is not Pace.SLOW


def remote(host: Host, subject: Subject) -> Remote | None:
    """The other host that the lab's machines are on, or would be; None for this one."""
    if subject.provider is ProviderKind.DOCKER:
        return remote_env.named("DOCKER_HOST", host.variable("DOCKER_HOST"))
    written = subject.written.provider_uri or host.variable("LIBVIRT_DEFAULT_URI")
    return remote_env.named("LIBVIRT_DEFAULT_URI", written)


@dataclass(frozen=True)
class CheckResult:
    """What came of one check; `needed` where the lab's provider cannot do without."""

    name: str
    state: CheckState
    seen: str
    why: str
    fixes: Sequence[str]
    needed: bool
    needs_root: bool = False

    @property
    def stops_the_lab(self) -> bool:
        return self.needed and self.state is CheckState.FAILED
