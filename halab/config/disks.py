"""The disks of a machine, beside the one that it starts from; and sizes of memory and disks."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from halab.config.loading import Model, listed
from halab.printable import shortened

# A virtual machine's disk takes as much of its host's disk as is written to it.
DEFAULT_MEBIBYTES = 10 * 1024
_LEAST = 256
# Letters for devices do not end here, but a machine with more was probably not meant.
_MOST = 8
# What a machine needs to start, or what halab keeps there, is elsewhere.
_ROOTS = ("/data", "/mnt", "/opt", "/srv", "/var/lib")
_NOT_THERE = ("/var/lib", "/var/lib/dpkg", "/var/lib/halab", "/var/lib/systemd")
_FOLDER = "(/[A-Za-z0-9][A-Za-z0-9._-]*)+"


def mebibytes(value: Any) -> int:
    """Read a size such as 512M or 2G."""
    match = re.fullmatch(r"(\d{1,9})\s*([MG])(i?B?)?", value) if isinstance(value, str) else None
    if not match:
        raise ValueError(f"should be a size such as 512M or 2G, not {shortened(str(value))}")
    return int(match[1]) * (1024 if match[2] == "G" else 1)


def _disk_mebibytes(value: Any) -> int:
    size = mebibytes(value)
    if size < _LEAST:
        raise ValueError(f"should be {_LEAST}M or more, not {shortened(str(value))}")
    return size


def _mount(value: str) -> str:
    is_below = any(value == root or value.startswith(f"{root}/") for root in _ROOTS)
    if not re.fullmatch(_FOLDER, value) or not is_below or value in _NOT_THERE:
        raise ValueError(
            f"should be a folder such as /var/lib/etcd, in {listed(_ROOTS)}, not {shortened(value)}"
        )
    return value


class Disk(Model):
    """A disk of a machine, with a file system of its own that is mounted at every start."""

    example: ClassVar[str] = "{mount: /var/lib/etcd}"

    mount: Annotated[str, AfterValidator(_mount), Field(pattern=f"^{_FOLDER}$")] = Field(
        description="the folder; what the machine has in it is copied to the new disk"
    )
    size: (
        Annotated[
            int,
            BeforeValidator(_disk_mebibytes),
            Field(json_schema_extra={"type": "string", "pattern": "^[0-9]+[MG]$"}),
        ]
        | None
    ) = Field(
        None,
        description="libvirt: by default 10G. A container's disk is a docker volume, which has no size of its own",
    )

    @property
    def size_mebibytes(self) -> int:
        """The size of a virtual machine's disk."""
        return self.size or DEFAULT_MEBIBYTES


def _apart(disks: tuple[Disk, ...]) -> tuple[Disk, ...]:
    if len(disks) > _MOST:
        raise ValueError(f"should be at most {_MOST} disks, not {len(disks)}")
    folders = [disk.mount for disk in disks]
    for index, folder in enumerate(folders):
        if folder in folders[:index]:
            raise ValueError(f"two disks have the folder {folder}")
        around = next((other for other in folders if folder.startswith(f"{other}/")), None)
        if around:
            raise ValueError(f"{folder} is inside {around}, which is another disk's folder")
    return disks


Disks = Annotated[tuple[Disk, ...], AfterValidator(_apart)]
