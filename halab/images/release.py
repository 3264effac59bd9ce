"""The source `release`: the official binaries and images, verified by their published checksums."""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from halab.config.kubernetes import Release
from halab.errors import BadUsage, Corrupted, HalabError, HostProblem
from halab.images import cache
from halab.images.bundle_part import Make, Part, Workplace
from halab.images.cache import Architecture
from halab.images.download import Downloads
from halab.images.image_contents import tools_of
from halab.images.image_names import image_names
from halab.images.image_tar import extract
from halab.images.registry import Registry
from halab.progress import Step

# Increased when this module makes other files from the same versions.
_FORMAT = 1
_SPACE_BYTES = 3 << 30
_LIMIT_SECONDS = 1800
_BINARIES = ("kubeadm", "kubelet", "kubectl")
_CONTAINERD = ("containerd", "containerd-shim-runc-v2", "ctr")


@dataclass(frozen=True)
class Hosts:
    """Where the official files are. Tests use a server of their own."""

    binaries: str = "https://dl.k8s.io"
    registry: str = "https://registry.k8s.io"
    containerd: str = "https://github.com/containerd/containerd/releases/download"


class Official:
    """Makes bundles from official files."""

    def __init__(self, hosts: Hosts | None = None, downloads: Downloads | None = None) -> None:
        self._hosts = hosts or Hosts()
        self._downloads = downloads or Downloads()

    def recipe(self, release: Release, architecture: Architecture) -> object:
        return {"format": _FORMAT, "hosts": asdict(self._hosts)}

    def obstacle(self, release: Release, *, patience_seconds: float) -> HalabError | None:
        url = f"{_binary(self._hosts, release, cache.architecture(), 'kubeadm')}.sha256"
        try:
            status = self._downloads.status(url, seconds=patience_seconds)
        except HostProblem as problem:
            return problem
        host = urlsplit(url).netloc
        if status == httpx.codes.NOT_FOUND:
            return BadUsage(
                f"{host} has no Kubernetes {release.kubernetes}",
                hint="its releases: https://kubernetes.io/releases",
            )
        return (
            HostProblem(f"{host} answers {status}", hint="try again later")
            if httpx.codes.is_error(status)
            else None
        )

    def space_bytes(self) -> int:
        return _SPACE_BYTES

    def parts(self, release: Release, architecture: Architecture, workplace: Workplace) -> Sequence[Part]:
        fetch = _Fetch(self._hosts, self._downloads, release, architecture, workplace)
        makes: dict[str, Make] = {
            **{f"bin/{name}": fetch.binary(name) for name in _BINARIES},
            **{f"bin/{name}": fetch.containerd(name) for name in _CONTAINERD},
            **{f"images/{name}.tar": fetch.image(full) for name, full in image_names(release).items()},
            **{f"bin/{name}": fetch.etcd_tool(name) for name in tools_of("etcd")},
        }
        return [Part(path, make, _LIMIT_SECONDS) for path, make in makes.items()]


@dataclass(frozen=True)
class _Fetch:
    hosts: Hosts
    downloads: Downloads
    release: Release
    architecture: Architecture
    workplace: Workplace

    def binary(self, name: str) -> Make:
        def make(target: Path, step: Step) -> Sequence[str]:
            url = _binary(self.hosts, self.release, self.architecture, name)
            file, origin = self._checked(url, f"{url}.sha256", step)
            file.rename(target)
            return [origin]

        return make

    def containerd(self, name: str) -> Make:
        def make(target: Path, step: Step) -> Sequence[str]:
            version = self.release.containerd
            # the static build runs on every distribution
            archive = f"containerd-static-{version}-linux-{self.architecture}.tar.gz"
            url = f"{self.hosts.containerd}/v{version}/{archive}"
            file, origin = self._checked(url, f"{url}.sha256sum", step)
            with tarfile.open(file) as tar:
                _copy_member(tar, f"bin/{name}", target, url)
            return [origin]

        return make

    def image(self, name: str) -> Make:
        def make(target: Path, step: Step) -> Sequence[str]:
            registry = Registry(self.hosts.registry, self.downloads)
            return [
                registry.pull(name, self.architecture, target, blobs=self.workplace.downloads, step=step)
            ]

        return make

    def etcd_tool(self, name: str) -> Make:
        def make(target: Path, step: Step) -> Sequence[str]:
            extract(self.workplace.tree / "images/etcd.tar", name, target)
            return [f"out of {image_names(self.release)['etcd']}"]

        return make

    def _checked(self, url: str, checksum_url: str, step: Step) -> tuple[Path, str]:
        """Download a file whose checksum is published beside it; its path and its origin."""
        said = self.downloads.content(checksum_url).text
        checksum = re.match(r"[0-9a-f]{64}\b", said)
        if not checksum:
            raise Corrupted(
                f"not a checksum: {checksum_url}", hint="a proxy may have answered instead of the server"
            )
        file = self.workplace.downloads / url.rpartition("/")[2]
        self.downloads.file(url, file, checksum[0], step)
        return file, f"{url} sha256:{checksum[0]}"


def _binary(hosts: Hosts, release: Release, architecture: Architecture, name: str) -> str:
    return f"{hosts.binaries}/release/v{release.kubernetes}/bin/linux/{architecture}/{name}"


def _copy_member(archive: tarfile.TarFile, path: str, target: Path, where: str) -> None:
    try:
        source = archive.extractfile(path)
    except KeyError:
        source = None
    if source is None:
        raise Corrupted(f"{path} is missing from {where}")
    with source, target.open("wb") as file:
        shutil.copyfileobj(source, file)
