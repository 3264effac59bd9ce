"""A bundle's manifest: its files, their checksums, and where they came from."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from halab.config.kubernetes import BundleSource
from halab.errors import Corrupted
from halab.images.cache import Architecture

FILE = "manifest.json"
FORMAT = 1
REBUILD_HINT = "make it again: halab bundle build --force"


class FileRecord(BaseModel):
    """One file. `origin` is Go modules with their checksums from Go's database, or addresses with their checksums."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size: int
    origin: tuple[str, ...]


class BundleManifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    key: str
    kubernetes: str
    source: BundleSource
    architecture: Architecture
    components: dict[str, str]
    created: datetime
    files: dict[str, FileRecord]


def read(folder: Path) -> BundleManifest:
    path = folder / FILE
    try:
        return BundleManifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise Corrupted(f"not a bundle's manifest: {path}", hint=REBUILD_HINT) from error


def write(folder: Path, manifest: BundleManifest) -> None:
    (folder / FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
