"""What a host does for a matrix. These functions run in the worker of dask on that host."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from halab import __version__, data, process
from halab.campaign.lab_folders import LAB_FILE
from halab.config import loading
from halab.config.lab import LabFile, ProviderKind
from halab.doctor import engines, libvirt
from halab.doctor.capacity import free_mebibytes
from halab.doctor.real_host import RealHost
from halab.images import shared_entry
from halab.images.shared_entry import Part, SharedFile
from halab.machines.host import allocation, identity
from halab.matrix.hosts import place as places
from halab.matrix.hosts.host import HostFacts
from halab.matrix.hosts.parcel import Parcel
from halab.matrix.hosts.place import Place, SentRun
from halab.matrix.lab_process import EndedLab

# A lab that is interrupted heals its faults and removes its machines.
_GRACE_SECONDS = 600

# The standard inputs of the processes that play labs, by their places: a process ends when its input is closed.
_running: dict[Place, IO[bytes]] = {}
# The places of the labs that this worker plays.
_played: set[Place] = set()
_lock = threading.Lock()


@dataclass(frozen=True)
class News:
    """What a lab has done since: what it printed, and runs that ended, with their archives.

    `is_running`: its process has not ended. `is_complete`: no more runs wait.
    """

    printed: bytes
    runs: tuple[tuple[SentRun, bytes], ...]
    is_running: bool
    is_complete: bool


def describe() -> HostFacts:
    """This host, as far as it can be known at once."""
    host = RealHost(None)
    engine = engines.local_socket(host)
    kinds = {
        ProviderKind.DOCKER: engine is None or host.exists(engine),
        ProviderKind.LIBVIRT: bool(host.variable("LIBVIRT_DEFAULT_URI"))
        or libvirt.local_socket(host) is not None,
    }
    return HostFacts(
        halab=__version__,
        code=code(),
        state=f"{identity.of_this_host()}:{allocation.state_folder()}",
        cores=host.cores,
        free_mebibytes=free_mebibytes(host),
        architecture=str(host.architecture),
        providers=frozenset(kind for kind, is_there in kinds.items() if is_there),
    )


@cache
def code() -> str:
    """A hash of the files of this halab."""
    package = Path(__file__).parents[2]
    digest = hashlib.sha256()
    for root in (package, data.templates(), data.scenarios(), data.boxes()):
        for path in sorted(root.rglob("*")):
            below = path.relative_to(root).parts
            # an installed halab has the other folders in `data`
            if path.is_file() and "__pycache__" not in below and "data" not in below[:1]:
                digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def name_of(folder: Path) -> str:
    """The name of a matrix on the hosts that play it: each folder of a matrix has its own."""
    unique = hashlib.sha256(f"{identity.of_this_host()}:{folder.resolve()}".encode()).hexdigest()[:12]
    return f"{folder.resolve().name[:20]}-{unique}"


def labs(matrix: str) -> list[str]:
    """The labs of a matrix of which this host has something: runs that were not sent, or machines."""
    folder = places.folder_of(matrix)
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def play(parcel: Parcel) -> EndedLab:
    """Play a lab in a process of its own, to its end."""
    place = Place.of(parcel.matrix, parcel.lab)
    _played.add(place)
    try:
        place.accept(parcel)
        code = _run(place, "matrix", "play-lab", str(place.path))
    finally:
        _played.remove(place)
    return place.ended() or EndedLab(
        f"the process of the lab has ended without a result (exit code {code})", is_lost=True
    )


def clean(matrix: str, lab: str) -> EndedLab:
    """Remove what is left of a lab that nobody plays here any more. Its runs must have been sent."""
    place = Place.of(matrix, lab)
    if place.has_lab:
        code = _run(place, "down", "--file", str(place.lab_file))
        if code or place.has_lab:
            return EndedLab(f"the lab was not removed; the log is {place.log}")
    place.remove()
    return EndedLab()


def forget(matrix: str, lab: str) -> bool:
    """Forget a lab that was played here, unless machines of it may be left. Its runs must have been sent."""
    place = Place.of(matrix, lab)
    if place.has_lab:
        return False
    place.remove()
    return True


def news(matrix: str, lab: str, known: Collection[str], offset: int, most_bytes: int) -> News:
    """What a lab has done since. `known` are the names of runs that were sent, `offset` is what was printed before.

    After `most_bytes` of archives, other runs wait for the next call.
    """
    place = Place.of(matrix, lab)
    is_running = place in _played or place.is_played
    sent: list[tuple[SentRun, bytes]] = []
    waiting = place.waiting(known)
    for run in waiting:
        sent.append((run, place.archive_of(run)))
        if sum(len(content) for _, content in sent) > most_bytes:
            break
    return News(place.printed(offset), tuple(sent), is_running, is_complete=len(sent) == len(waiting))


def lacking(lab_file: str) -> list[tuple[str, ...]]:
    """What a lab needs and the cache of this host does not have: of each tuple of names, one is needed."""
    return shared_entry.lacking(loading.loads(lab_file, LAB_FILE, LabFile))


def held(names: Sequence[str]) -> tuple[str, list[SharedFile]] | None:
    """The first of these parts of a cache that this host has, with its files; None without any."""
    found = ((name, shared_entry.held(name)) for name in names)
    return next(((name, held) for name, held in found if held), None)


def part(name: str, path: str, offset: int, size: int) -> Part:
    """Some bytes of a file of the cache of this host."""
    return shared_entry.part(name, path, offset, size)


def receive(name: str, file: SharedFile, offset: int, arrived: Part) -> None:
    """Keep some bytes that another host has sent."""
    shared_entry.receive(name, file, offset, arrived)


def accept(name: str) -> None:
    """Put what has arrived into the cache of this host, if its checksums are right."""
    shared_entry.accept(name)


def discard(name: str) -> None:
    """Remove what has arrived."""
    shared_entry.discard(name)


def stop(matrix: str, lab: str) -> None:
    """Interrupt a lab. Its process removes it, and then ends."""
    with _lock:
        running = _running.get(Place.of(matrix, lab))
    if running:
        with suppress(OSError):
            running.close()


def _run(place: Place, *words: str) -> int:
    """Run a halab that ends with this worker, and return its exit code."""
    argv = [sys.executable, "-m", "halab", *words]
    # all that the worker was given: an engine, a cache, a way to the network
    env = {**os.environ, **process.same_modules()}
    with process.background(
        argv, log=place.log, env=env, with_input=True, grace_seconds=_GRACE_SECONDS
    ) as child:
        assert child.stdin is not None
        with _lock:
            _running[place] = child.stdin
        try:
            return child.wait()
        finally:
            with _lock:
                del _running[place]
