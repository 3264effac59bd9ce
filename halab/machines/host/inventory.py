"""The resources of labs that belong to this host and to no provider: allocations, work folders, held locks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from halab.machines.host import allocation, identity
from halab.machines.inventory import Holder, Resource, ResourceKind
from halab.machines.work import Work


def read(known: Mapping[str, str]) -> list[Resource]:
    """The resources of all allocations of this user, and of `known` work folders (path → lab) from labels."""
    held = allocation.held()
    here = identity.of_this_host()
    resources = [
        Resource(
            Holder.HOST, ResourceKind.ALLOCATION, f"{allocated.name} {allocated.network}", str(allocated.work),
            allocated.name, str(allocated.work), here,
        )
        for allocated in held
    ]  # fmt: skip
    labs = {**known, **{str(allocated.work): allocated.name for allocated in held}}
    for path, lab in sorted(labs.items()):
        resources += _folder(Path(path), lab, here)
    return resources


def is_there(work: str) -> bool:
    """Whether a work folder exists. True if that cannot be found out: another user's folder, or a failing disk."""
    path = Path(work)
    if not path.is_absolute():
        # halab did not write this path
        return True
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _folder(path: Path, lab: str, here: str) -> list[Resource]:
    try:
        size, created = _size(path), _created(path)
    except OSError:
        return []
    resources = [
        Resource(
            Holder.HOST, ResourceKind.WORK_FOLDER, path.name, str(path), lab, str(path), here,
            created=created, size_bytes=size,
        )
    ]  # fmt: skip
    holder = Work(path).lock_holder
    with suppress(OSError):
        by, time = holder.read_text().strip(), holder.stat().st_mtime
        since = datetime.fromtimestamp(time, UTC)
        resources.append(
            Resource(Holder.HOST, ResourceKind.LOCK, by, str(holder), lab, str(path), here, created=since)
        )
    return resources


def _created(path: Path) -> datetime:
    """When the work folder was made: the time of its keys, which no later command writes."""
    key = Work(path).public_key
    return datetime.fromtimestamp((key if key.exists() else path).stat().st_mtime, UTC)


def _size(path: Path) -> int:
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            with suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total
