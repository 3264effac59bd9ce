"""The files that a lab file names, as one short hash: when one changes, the lab is another one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from halab.config import lab_variants
from halab.config.lab import LabFile
from halab.images import checkout

# The images of a lab may be gigabytes: of a larger file, the size and the time of its last change are taken.
_READ_BYTES = 10_000_000


def digest(text: str, written: LabFile, folder: Path) -> str:
    """A hash of the files, folders and checkouts that a lab file names, relative to `folder`; empty without any."""
    seen = hashlib.sha256()
    count = 0
    for path in find(text, written, folder):
        seen.update(f"{path.relative_to(folder)}\0{_content(path)}\0".encode())
        count += 1
    for source in written.source.by_name.values():
        if (place := folder / Path(source).expanduser()).is_dir():
            seen.update(checkout.state(place.resolve(), source).digest.encode())
            count += 1
    return seen.hexdigest() if count else ""


def find(text: str, written: LabFile, folder: Path) -> Iterator[Path]:
    """The files that a lab file names, and those in the folders that it names. Their paths begin with `folder`."""
    folders = {Path(name) for name in (*written.manifests, written.kubeadm.patches) if name}
    for name in sorted(set(lab_variants.own_files(text))):
        yield from _files(folder / name, is_folder=name in folders)


def _files(path: Path, *, is_folder: bool) -> Iterator[Path]:
    """A file, or those in a folder that the lab file names as such: other values may look like folders by chance."""
    if path.is_file():
        yield path
    elif is_folder and path.is_dir():
        yield from sorted(below for below in path.rglob("*") if below.is_file())


def _content(path: Path) -> str:
    status = path.stat()
    if status.st_size > _READ_BYTES:
        return f"{status.st_size} {status.st_mtime_ns}"
    return _hash(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=1000)
def _hash(path: Path, size: int, changed: int) -> str:
    """The hash of a file. All labs of a matrix name mostly the same files."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
