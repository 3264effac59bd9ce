"""One thing on a host that belongs to a lab: what `halab list` shows and `halab gc` may remove."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol


class Holder(StrEnum):
    """Who has it: a provider, or this host's file system."""

    DOCKER = "docker"
    LIBVIRT = "libvirt"
    HOST = "host"


class ResourceKind(StrEnum):
    """In the order in which they are removed: what uses another thing goes first."""

    MACHINE = "machine"
    # one without the label of a machine: what was started for a moment to act on one
    CONTAINER = "container"
    SNAPSHOT = "snapshot"
    NETWORK = "network"
    VOLUME = "volume"
    IMAGE = "image"
    LOCK = "lock"
    WORK_FOLDER = "work folder"
    ALLOCATION = "allocation"


@dataclass(frozen=True)
class Resource:
    """`key` is what its holder knows it by. `host` is empty where the label is older than that part of it.

    `work` is empty for a disk of a machine that was never defined: such a disk has a name and no label.
    """

    holder: Holder
    kind: ResourceKind
    name: str
    key: str
    lab: str
    work: str
    host: str = ""
    machine: str = ""
    snapshot: str = ""
    created: datetime | None = None
    size_bytes: int | None = None

    @property
    def is_debris(self) -> bool:
        """Whether it is the disk of a machine that was never defined."""
        return (
            self.holder is Holder.LIBVIRT
            and self.kind is ResourceKind.VOLUME
            and not (self.work or self.host)
        )


class ResourceOwner(Protocol):
    """What has resources of labs: a docker engine, or libvirt."""

    def resources(self) -> list[Resource]:
        """Everything that carries the label of a lab, also of labs of other users and hosts."""

    def discard(self, resource: Resource) -> None:
        """Remove a resource if it still exists and still belongs to the same owner, whatever state it is in.

        HostProblem where it cannot be removed.
        """


def moment(text: object) -> datetime | None:
    """A time as providers write it; None where it says nothing."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    # the zero of Go's clock, which engines write for "never"
    return found if found.year > 1970 else None
