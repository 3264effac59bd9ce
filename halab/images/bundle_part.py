"""A part: one file of a bundle, and how it is made. A maker knows the parts of one source."""

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
    """`tree` holds the parts that are done, `downloads` outlives a broken build, `scratch` does not."""

    tree: Path
    downloads: Path
    scratch: Path


@dataclass(frozen=True)
class Part:
    """`make` writes the file it is given and returns where the content came from."""

    path: str
    make: Make
    limit_seconds: float


class BundleMaker(Protocol):
    """One source of bundles."""

    def recipe(self, release: Release, architecture: Architecture) -> object:
        """Everything but the pinned versions that decides what comes out; becomes JSON, then the key."""

    def obstacle(self, release: Release, *, patience_seconds: float) -> HalabError | None:
        """Why this source cannot be used here and now, if so. A host gets that long to answer."""

    def parts(self, release: Release, architecture: Architecture, workplace: Workplace) -> Sequence[Part]:
        """In the order of making: a part may read those before it."""

    def space_bytes(self) -> int:
        """The room that making all parts takes."""
