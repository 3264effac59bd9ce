"""Vagrant's own copies of boxes that halab built: each has the whole disk, beside the copy at libvirt."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from halab.errors import HalabError
from halab.machines.host import allocation, identity
from halab.machines.inventory import Holder, Resource, ResourceKind
from halab.machines.vagrant import SLASH, adding, home

_OURS = f"halab{SLASH}"


def unused() -> list[Resource]:
    """The boxes that no Vagrantfile of this user's labs names."""
    boxes, in_use = [], used()
    for folder in sorted((home() / "boxes").glob(f"{_OURS}*")):
        name = folder.name.replace(SLASH, "/")
        if name not in in_use:
            status = folder.stat()
            boxes.append(
                Resource(
                    Holder.HOST, ResourceKind.BOX, name, str(folder), "", "", identity.of_this_host(),
                    created=datetime.fromtimestamp(status.st_mtime, UTC), size_bytes=_size(folder),
                )
            )  # fmt: skip
    return boxes


def used() -> set[str]:
    """The boxes that the Vagrantfiles of this user's labs name."""
    names = set()
    for allocated in allocation.held():
        with suppress(OSError):
            lines = (allocated.work / "Vagrantfile").read_text().splitlines()
            names |= {line.split("'")[1] for line in lines if ".vm.box = '" in line}
    return names


def remove(box: Resource) -> None:
    """Remove a box as `vagrant box remove` does, but not while another process adds it."""
    with adding(box.name):
        try:
            shutil.rmtree(Path(box.key))
        except FileNotFoundError:
            pass  # somebody else has removed it
        except OSError as error:
            raise HalabError(f"cannot remove {box.key}: {error.strerror}") from error


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
