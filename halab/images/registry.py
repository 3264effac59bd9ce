"""Images from a registry: one architecture of a multi-architecture image, with every digest verified."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from halab.errors import Corrupted, HostProblem
from halab.images.cache import Architecture
from halab.images.download import Downloads
from halab.images.image_tar import INDEX_TYPE, MANIFEST_TYPE, ImageManifest, digest_of, write_layout
from halab.progress import Step

M = TypeVar("M", bound=BaseModel)

_DOCKER_INDEX_TYPE = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_ACCEPT = ", ".join([INDEX_TYPE, _DOCKER_INDEX_TYPE, MANIFEST_TYPE, _DOCKER_MANIFEST_TYPE])


class _Platform(BaseModel):
    os: str = ""
    architecture: str = ""


class _Descriptor(BaseModel):
    mediaType: str = ""
    digest: str
    size: int
    platform: _Platform = _Platform()


class _Index(BaseModel):
    manifests: list[_Descriptor]


class _ImageManifest(BaseModel):
    config: _Descriptor
    layers: list[_Descriptor]


class Registry:
    def __init__(self, address: str, downloads: Downloads) -> None:
        self._address = address.rstrip("/")
        self._downloads = downloads

    def pull(self, name: str, architecture: Architecture, target: Path, *, blobs: Path, step: Step) -> str:
        """Write the image of that full name as a tar. Blobs stay in a folder, so that a broken pull can continue.

        Returns its origin: the address, and the digest that its tag pointed to.
        """
        repository, _, tag = name.partition("/")[2].rpartition(":")
        index_digest, manifest = self._manifest(repository, tag, architecture)
        parsed = _parse(_ImageManifest, manifest.content, f"{self._address}/{repository}")
        files: dict[str, Path | bytes] = {}
        for blob in (parsed.config, *parsed.layers):
            checksum = _sha256(blob.digest)
            path = blobs / checksum
            self._downloads.file(
                f"{self._address}/v2/{repository}/blobs/{blob.digest}", path, checksum, step
            )
            files[blob.digest] = path
        write_layout(target, name, architecture, manifest, files)
        return f"{self._address}/{repository}:{tag}@{index_digest}"

    def _manifest(self, repository: str, tag: str, architecture: Architecture) -> tuple[str, ImageManifest]:
        """The digest that the tag points to, and the manifest for the architecture."""
        address = f"{self._address}/v2/{repository}/manifests"
        answer = self._downloads.content(f"{address}/{tag}", accept=_ACCEPT)
        index = _parse(_Index, answer.content, f"{address}/{tag}")
        for entry in index.manifests:
            if (entry.platform.os, entry.platform.architecture) == ("linux", architecture):
                break
        else:
            available = ", ".join(sorted({entry.platform.architecture for entry in index.manifests}))
            raise HostProblem(
                f"the image is not made for {architecture}: {repository}:{tag}",
                hint=f"it is made for {available}",
            )
        content = self._downloads.content(f"{address}/{entry.digest}", accept=_ACCEPT).content
        if digest_of(content) != entry.digest:
            raise Corrupted(f"digest mismatch of a manifest: {address}/{entry.digest}")
        return digest_of(answer.content), ImageManifest(content, entry.mediaType or MANIFEST_TYPE)


def _parse(model: type[M], content: bytes, where: str) -> M:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise Corrupted(
            f"not an answer of a registry: {where}", hint="a proxy may have answered instead of the server"
        ) from error


def _sha256(digest: str) -> str:
    # it becomes the name of a file
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise Corrupted(f"not a sha256 digest: {digest}")
    return digest.removeprefix("sha256:")
