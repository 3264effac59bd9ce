"""Container images of the user's own as tar files: what `docker save`, `podman save` and `ctr images export` write."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from halab import files
from halab.errors import BadUsage
from halab.images.cache import sha256
from halab.images.image_tar import NAME_ANNOTATION

_LARGEST_INDEX_BYTES = 4_000_000
_COMPRESSED = {b"\x1f\x8b": "gunzip", b"\x28\xb5\x2f\xfd": "unzstd", b"\xfd7zXZ": "unxz", b"BZh": "bunzip2"}
_HUB = "docker.io"
_HINT = "write it with `docker save NAME:TAG >FILE.tar`, `podman save` or `ctr images export`"


@dataclass(frozen=True)
class ImageArchive:
    """A tar file with images. `name` is its path in the lab file, `images` the names that containerd will know."""

    name: str
    path: str
    sha256: str
    size_bytes: int
    images: tuple[str, ...]


def read(folder: Path, name: str) -> ImageArchive:
    """Check a tar file. Raises BadUsage if containerd could not import it, or its images would have no name."""
    path = folder / name
    try:
        files.require_regular(path)
        _refuse_compressed(path, name)
        with tarfile.open(path, "r:") as archive:
            images = tuple(dict.fromkeys(_images(archive, name)))
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise BadUsage(f"no such file: {path}", hint=_HINT) from error
    except (OSError, ValueError) as error:
        raise BadUsage(f"cannot read {name}: {getattr(error, 'strerror', None) or error}") from error
    except tarfile.TarError as error:
        raise BadUsage(f"{name} is not a tar file, or is incomplete: {error}", hint=_HINT) from error
    if not images:
        raise BadUsage(
            f"no image in {name} has a name, so no pod could use it",
            hint="save it by its name, not by its id: `docker save NAME:TAG >FILE.tar`",
        )
    return ImageArchive(name, str(path.resolve()), sha256(path), size, images)


def to_json(archives: Sequence[ImageArchive]) -> str:
    return json.dumps([asdict(archive) for archive in archives], indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> tuple[ImageArchive, ...]:
    return tuple(
        ImageArchive(**{**archive, "images": tuple(archive["images"])}) for archive in json.loads(text)
    )


def _refuse_compressed(path: Path, name: str) -> None:
    with path.open("rb") as file:
        head = file.read(6)
    for magic, program in _COMPRESSED.items():
        if head.startswith(magic):
            raise BadUsage(
                f"{name} is compressed, and containerd imports only plain tar files",
                hint=f"run `{program}` on {name}",
            )


def _images(archive: tarfile.TarFile, name: str) -> Iterator[str]:
    """The names of the images, as containerd finds them: an OCI layout comes before docker's manifest."""
    members = {member.name.removeprefix("./"): member for member in archive}
    if "oci-layout" in members and "index.json" in members:
        for entry in _list(_load(archive, members["index.json"]).get("manifests")):
            _require(members, name, f"blobs/{str(entry.get('digest')).replace(':', '/')}")
            image = (entry.get("annotations") or {}).get(NAME_ANNOTATION)
            if image:
                yield str(image)
    elif "manifest.json" in members:
        for entry in _list(_load(archive, members["manifest.json"])):
            _require(members, name, str(entry.get("Config")), *map(str, entry.get("Layers") or ()))
            yield from (_full_name(str(image)) for image in entry.get("RepoTags") or ())
    else:
        raise BadUsage(
            f"{name} has no images: neither an OCI layout (oci-layout, index.json) nor docker's manifest.json",
            hint=_HINT,
        )


def _load(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    file = archive.extractfile(member) if member.size <= _LARGEST_INDEX_BYTES else None
    if file is None:
        raise BadUsage(f"{member.name} in {str(archive.name)} is not a file, or is too large", hint=_HINT)
    try:
        return json.loads(file.read())
    except ValueError as error:
        raise BadUsage(f"{member.name} in {str(archive.name)} is not JSON: {error}", hint=_HINT) from error


def _list(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _require(members: dict[str, tarfile.TarInfo], name: str, *paths: str) -> None:
    for path in paths:
        if path not in members:
            raise BadUsage(f"{name} is incomplete: it lacks {path}", hint=_HINT)


def _full_name(image: str) -> str:
    """The name as containerd has it: docker leaves out its own registry and `library/`."""
    registry, slash, _ = image.partition("/")
    if slash and ("." in registry or ":" in registry or registry == "localhost"):
        return image
    return f"{_HUB}/{image}" if slash else f"{_HUB}/library/{registry}"
