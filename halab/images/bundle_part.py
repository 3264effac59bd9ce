"""The files of a bundle, and how each source makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from halab.config.kubernetes import Release
from halab.errors import HalabError
from halab.images.cache import Architecture
from halab.progress import Step

Make = Callable[[Path, Step], Sequence[str]]


@dataclass(frozen=True)
class Workplace:
    """`tree` has the finished files; `downloads` outlives an interrupted build, `scratch` does not."""

    tree: Path
    downloads: Path
    scratch: Path


@dataclass(frozen=True)
class Part:
    """One file of a bundle. `make` writes it to the path that it is given, and returns where the content came from."""

    path: str
    make: Make
    limit_seconds: float


class BundleMaker(Protocol):
    """One source of bundles."""

    def recipe(self, release: Release, architecture: Architecture) -> object:
        """Everything beside the pinned versions that decides the content; becomes JSON, then the key."""

    def obstacle(self, release: Release, *, patience_seconds: float) -> HalabError | None:
        """Why this source cannot be used now; None if it can. A server has that long to answer."""

    def parts(self, release: Release, architecture: Architecture, workplace: Workplace) -> Sequence[Part]:
        """The files in the order in which they are made: a file may be made from earlier ones."""

    def space_bytes(self) -> int:
        """The disk space that it takes to make all parts."""
