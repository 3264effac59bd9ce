"""The things on a host that belong to labs: `halab list` shows them, and `halab gc` may remove them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol


class Holder(StrEnum):
    """Where a resource is: at a provider, or in this host's file system."""

    DOCKER = "docker"
    LIBVIRT = "libvirt"
    HOST = "host"


class ResourceKind(StrEnum):
    """In the order of removal: a resource is removed before those that it uses."""

    MACHINE = "machine"
    # a short-lived helper, which has no machine's name in its label
    CONTAINER = "container"
    SNAPSHOT = "snapshot"
    NETWORK = "network"
    VOLUME = "volume"
    # copies of a box, which belong to no lab: at libvirt, and in Vagrant's home
    BASE_DISK = "base disk"
    BOX = "box"
    IMAGE = "image"
    LOCK = "lock"
    WORK_FOLDER = "work folder"
    ALLOCATION = "allocation"


@dataclass(frozen=True)
class Resource:
    """One thing that belongs to a lab. `key` identifies it at its holder. `host` is empty if its label is older.

    `work` is empty for a disk of a machine that was never defined: such a disk has a name and no label. A copy of a box
    has neither a lab nor a work folder.
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


# No machine and no lab uses them when they are listed.
BOX_COPIES = frozenset({ResourceKind.BASE_DISK, ResourceKind.BOX})


class ResourceOwner(Protocol):
    """A provider as the owner of resources: a docker engine, or libvirt."""

    def resources(self) -> list[Resource]:
        """Everything that carries the label of a lab, also of labs of other users and hosts."""

    def discard(self, resource: Resource) -> None:
        """Remove a resource if it still exists and still belongs to the same owner, whatever state it is in.

        Raises HostProblem if it cannot be removed.
        """


def moment(text: object) -> datetime | None:
    """A time as providers write it; None if there is none."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    # docker writes Go's zero time for "never"
    return time if time.year > 1970 else None
