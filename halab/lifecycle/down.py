"""Taking a lab down: the host is as it was before `up`, but for the runs, which stay."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from halab.errors import HalabError
from halab.lifecycle import lab as labs
from halab.lifecycle import makers
from halab.lifecycle.lab import Place
from halab.machines import allocation
from halab.progress import Progress

# Held while we are here.
_LOCKS = ("lock", "lock.holder")


def down(place: Place, progress: Progress, *, runs: bool = False) -> list[str]:
    """Remove the machines, the network and the work folder of a lab; names of what was removed.

    Machines are found by their label, and not only in Vagrant's records: those may be lost, or older than what an
    interrupted `up` made.
    """
    if not place.work.path.exists() and allocation.of(place.work.path) is None:
        return []
    held = allocation.of(place.work.path)
    name = held.name if held else place.name
    if held:
        labs.require_same_host(place, held)
    with labs.locked(place, f"down, process {os.getpid()}", amid_restore=True):
        with progress.step("remove the machines", limit_seconds=120) as step:
            removed = makers.maker(place).remove(name, place.work.path)
            step.done(", ".join(removed) or "there were none")
        for path in place.work.path.iterdir():
            if path.name not in _LOCKS and (runs or path != place.work.runs):
                _remove(path)
        allocation.release(place.work.path)
    _remove_if_empty(place)
    return removed


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise HalabError(f"cannot remove {path}: {error.strerror}") from error


def _remove_if_empty(place: Place) -> None:
    place.work.lock.unlink(missing_ok=True)
    for path in (place.work.runs, place.work.path):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
