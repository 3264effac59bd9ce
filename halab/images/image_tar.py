"""Container images as files: OCI layouts in a tar, which `ctr images import` and `docker load` read."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from halab.errors import Corrupted
from halab.images.cache import Architecture, sha256

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
# The full name of the image, in the index.
NAME_ANNOTATION = "io.containerd.image.name"
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class ImageManifest:
    """The exact bytes of an image's manifest: their digest is the digest of the image."""

    content: bytes
    media_type: str = MANIFEST_TYPE

    @property
    def digest(self) -> str:
        return digest_of(self.content)


@dataclass(frozen=True)
class Contents:
    """The content of an image of ours: files by their path in it, on top of a base layer (a tar) if there is one."""

    files: Mapping[str, Path]
    entrypoint: Sequence[str] = ()
    base: Path | None = None


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def write_image(target: Path, name: str, architecture: Architecture, contents: Contents) -> None:
    """Write an image of ours: the same bytes for the same contents, with uncompressed layers."""
    with TemporaryDirectory(dir=target.parent) as scratch:
        layer = Path(scratch) / "layer.tar"
        _write_layer(layer, contents.files)
        layers = [*([contents.base] if contents.base else []), layer]
        digests = [f"sha256:{sha256(path)}" for path in layers]
        config = _json(
            {
                "architecture": architecture,
                "os": "linux",
                "config": {"Env": [f"PATH={_SEARCH_PATH}"], "Entrypoint": list(contents.entrypoint)},
                "rootfs": {"type": "layers", "diff_ids": digests},
            }
        )
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
                "layers": [
                    {"mediaType": LAYER_TYPE, "digest": digest, "size": path.stat().st_size}
                    for digest, path in zip(digests, layers, strict=True)
                ],
            }
        )
        blobs: dict[str, Path | bytes] = {
            digest_of(config): config,
            **dict(zip(digests, layers, strict=True)),
        }
        write_layout(target, name, architecture, ImageManifest(manifest), blobs)


def write_layout(
    target: Path,
    name: str,
    architecture: Architecture,
    manifest: ImageManifest,
    blobs: Mapping[str, Path | bytes],
) -> None:
    """Write an image from its manifest and its blobs (digest → content)."""
    index = {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": [
            {
                "mediaType": manifest.media_type,
                "digest": manifest.digest,
                "size": len(manifest.content),
                "platform": {"architecture": architecture, "os": "linux"},
                "annotations": {
                    NAME_ANNOTATION: name,
                    "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                },
            }
        ],
    }
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(archive, "index.json", _json(index))
        for digest, content in {manifest.digest: manifest.content, **blobs}.items():
            _add(archive, _blob(digest), content)


def extract(image: Path, name: str, target: Path) -> None:
    """The program of that name from the uppermost layer of an image that has it. Raises Corrupted if none has it."""
    with tarfile.open(image) as archive:
        index = json.loads(_read(archive, "index.json"))
        manifest = json.loads(_read(archive, _blob(index["manifests"][0]["digest"])))
        for layer in reversed(manifest["layers"]):
            with tarfile.open(fileobj=_open(archive, _blob(layer["digest"]))) as files:
                for member in files:
                    if member.isfile() and member.name.rpartition("/")[2] == name:
                        with _open(files, member) as source, target.open("wb") as file:
                            shutil.copyfileobj(source, file)
                        return
    raise Corrupted(f"{name} is missing from the image: {image}")


def _open(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> IO[bytes]:
    try:
        file = archive.extractfile(member)
    except KeyError:
        file = None
    if file is None:
        raise Corrupted(f"{member} is missing from {str(archive.name)}")
    return file


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    with _open(archive, path) as file:
        return file.read()


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _write_layer(target: Path, files: Mapping[str, Path]) -> None:
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        folders = {parent for path in files for parent in Path(path).parents if parent.name}
        for folder in sorted(folders):
            _add_folder(archive, str(folder).lstrip("/"), 0o755)
        # some components make temporary files, and cannot make the folder on a read-only root
        _add_folder(archive, "tmp", 0o1777)
        for path, source in sorted(files.items()):
            _add(archive, path.lstrip("/"), source, mode=0o755)


def _add_folder(archive: tarfile.TarFile, path: str, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.type = tarfile.DIRTYPE
    entry.mode = mode
    archive.addfile(entry)


def _add(archive: tarfile.TarFile, path: str, content: Path | bytes, *, mode: int = 0o644) -> None:
    # A new TarInfo has root as owner and 1970 as its time: the same input gives the same bytes.
    entry = tarfile.TarInfo(path)
    entry.mode = mode
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    else:
        entry.size = content.stat().st_size
        with content.open("rb") as file:
            archive.addfile(entry, file)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
