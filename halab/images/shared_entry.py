"""Parts of the cache that other hosts may have, too: bundles, boxes and images of components, sent file by file.

A part has a name of its content: its folder below the cache. A part that arrives is kept apart until it is complete and
its files match the checksums that were recorded when it was made.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from halab import files
from halab.config import kubernetes
from halab.config.lab import LabFile, ProviderKind, is_stock
from halab.errors import Corrupted
from halab.images import box, bundle, cache, component, manifest
from halab.images.box import Box
from halab.images.bundle import Bundle

_NAME = re.compile(r"(bundles|boxes|components)/[\w][\w.+-]*")
_ARRIVING = "arriving"


@dataclass(frozen=True)
class SharedFile:
    """A file of an entry: its path below the folder, its size in bytes, and its permissions."""

    path: str
    size: int
    mode: int


@dataclass(frozen=True)
class Part:
    """Bytes of a file from an offset on, with their SHA-256."""

    content: bytes
    digest: str


def lacking(lab: LabFile) -> list[tuple[str, ...]]:
    """What a lab needs and this cache does not have: names of entries, of which any one of each tuple does."""
    return [names for names in _needed(lab) if not any(map(_is_here, names))]


def _needed(lab: LabFile) -> Iterator[tuple[str, ...]]:
    release, source = kubernetes.resolve(lab.kubernetes.version), lab.kubernetes.source
    provider = ProviderKind.DOCKER if lab.provider is ProviderKind.AUTO else lab.provider
    cached = bundle.find(release, source)
    bundles = {cached.path.name: cached.key} if cached else bundle.names(release, source)
    yield tuple(f"bundles/{name}" for name in bundles)
    if not is_stock(lab.box):
        yield tuple(f"boxes/{lab.box}-{box.key(lab.box, key, provider)}" for key in bundles.values())
    for wanted in component.needed(lab):
        yield (f"components/{component.folder_name(wanted)}",)


def _is_here(name: str) -> bool:
    return (_folder(name)).is_dir()


def held(name: str) -> list[SharedFile]:
    """The files of an entry of this cache; empty if it is not here. Raises OSError if it cannot be read."""
    folder = _folder(name)
    if not folder.is_dir():
        return []
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    return [
        SharedFile(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mode & 0o777)
        for path in paths
    ]


def part(name: str, path: str, offset: int, size: int) -> Part:
    """At most `size` bytes of a file from an offset on. Raises OSError."""
    with (_folder(name) / files.inside(path)).open("rb") as stream:
        stream.seek(offset)
        content = stream.read(size)
    return Part(content, hashlib.sha256(content).hexdigest())


def receive(name: str, file: SharedFile, offset: int, arrived: Part) -> None:
    """Keep a part of a file. Raises Corrupted if it was changed on its way, and HostProblem for a full disk."""
    if hashlib.sha256(arrived.content).hexdigest() != arrived.digest:
        raise Corrupted(f"{name}: {file.path} was changed on its way")
    path = _arriving(name) / files.inside(file.path)
    with cache.named_failures(path):
        cache.make_folder(path.parent)
        if offset == 0:
            path.unlink(missing_ok=True)
        with path.open("ab") as stream:
            if stream.tell() != offset:
                raise Corrupted(f"{name}: a part of {file.path} is missing")
            stream.write(arrived.content)
        path.chmod(file.mode)


def accept(name: str) -> None:
    """Put an entry that is complete into the cache. Raises Corrupted if a file does not match its checksum."""
    arrived, folder = _arriving(name), _folder(name)
    try:
        _verify(name, arrived)
        # it may have been built here meanwhile
        if not folder.exists():
            arrived.chmod(0o755)
            cache.put(arrived, folder)
    finally:
        discard(name)


def discard(name: str) -> None:
    """Remove what has arrived of an entry."""
    shutil.rmtree(_arriving(name), ignore_errors=True)


def _verify(name: str, arrived: Path) -> None:
    kind, _, entry = name.partition("/")
    match kind:
        case "bundles":
            found = Bundle(arrived, manifest.read(arrived))
            found.verify()
            if not entry.endswith(f"-{found.key}"):
                raise Corrupted(f"another bundle has arrived instead of {entry}")
        case "boxes":
            box_name, _, key = entry.rpartition("-")
            boxes = [Box(box_name, key, arrived, provider) for provider in box.PROVIDERS]
            found_boxes = [each for each in boxes if each.file.is_file()]
            if not found_boxes:
                raise Corrupted(f"the box {entry} has arrived without its file")
            for each in found_boxes:
                each.require_as_built()
        case _:
            component.verified(arrived)


def _folder(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise Corrupted(f"not the name of a part of the cache: {name}")
    return cache.folder() / name


def _arriving(name: str) -> Path:
    """Beside what is built under this name: a build that begins removes it."""
    folder = _folder(name)
    return folder.parent / ".building" / f"{folder.name}.{_ARRIVING}"
