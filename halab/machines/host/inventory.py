"""The resources of labs on this host that no provider has: allocations, work folders, held locks."""

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
    found = [
        Resource(
            Holder.HOST, ResourceKind.ALLOCATION, f"{each.name} {each.network}", str(each.work), each.name,
            str(each.work), here,
        )
        for each in held
    ]  # fmt: skip
    labs = {**known, **{str(each.work): each.name for each in held}}
    for path, lab in sorted(labs.items()):
        found += _folder(Path(path), lab, here)
    return found


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
        size, made = _size(path), _made(path)
    except OSError:
        return []
    found = [
        Resource(
            Holder.HOST, ResourceKind.WORK_FOLDER, path.name, str(path), lab, str(path), here,
            created=made, size_bytes=size,
        )
    ]  # fmt: skip
    holder = Work(path).lock_holder
    with suppress(OSError):
        by, since = holder.read_text().strip(), holder.stat().st_mtime
        at = datetime.fromtimestamp(since, UTC)
        found.append(
            Resource(Holder.HOST, ResourceKind.LOCK, by, str(holder), lab, str(path), here, created=at)
        )
    return found


def _made(path: Path) -> datetime:
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
