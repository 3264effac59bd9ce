"""sudo: who called it, and giving this user what root made in their home."""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_ROOT = 0


def caller() -> tuple[int, int] | None:
    """The user id and the group id of the user who called sudo; None if halab does not run as root under sudo."""
    user, group = (os.environ.get(name, "") for name in ("SUDO_UID", "SUDO_GID"))
    if os.geteuid() != 0 or not all(re.fullmatch("[0-9]{1,10}", number) for number in (user, group)):
        return None
    return int(user), int(group)


def user_name() -> str:
    """The name of the user; under sudo, of the user who called it. `user 1000` for one without a name."""
    called = caller()
    user = called[0] if called else os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def give_back(folders: Iterable[Path]) -> None:
    """Give what root owns in these folders to the user who called sudo, if the folders are in their home.

    No link is followed, and a file with several names stays: it may also be in a folder of root.
    """
    home, ids = Path.home(), caller()
    if ids is None or not home.exists() or home.stat().st_uid != ids[0]:
        return
    for folder in folders:
        if home not in folder.parents or not folder.is_dir():
            continue
        for path in (folder, *folder.parents):
            if home in path.parents:
                _give(path, ids)
        for _, names, files, inside in os.fwalk(folder):
            for name in (*names, *files):
                _give(name, ids, inside)


def _give(name: str | Path, ids: tuple[int, int], inside: int | None = None) -> None:
    # the file may be gone by now, or on a read-only file system
    with suppress(OSError):
        seen = os.stat(name, dir_fd=inside, follow_symlinks=False)
        if seen.st_uid == _ROOT and (stat.S_ISDIR(seen.st_mode) or seen.st_nlink == 1):
            os.chown(name, *ids, dir_fd=inside, follow_symlinks=False)
