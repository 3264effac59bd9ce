"""The Kubernetes versions that halab knows, with the versions of their components."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from halab.errors import BadUsage

DEFAULT = "1.37"
# Where an API server listens.
API_PORT = 6443


class BundleSource(StrEnum):
    """Where a bundle comes from."""

    AUTO = "auto"  # release if the release host answers, else modules
    RELEASE = "release"  # the official binaries and images
    MODULES = "modules"  # built here from the Go modules


@dataclass(frozen=True)
class Release:
    """One Kubernetes version and the versions of its components, without a leading `v`.

    CoreDNS and pause are the versions in the constants.go of that kubeadm. etcd is the newest patch of the minor that
    kubeadm uses, because kubeadm's own choice may lack fixes (GHSA-6vch-q96h-7gc3 is fixed in 3.6.14 and 3.7.1, the
    stale reads of etcd#20418 in 3.6.9).
    """

    kubernetes: str
    etcd: str
    coredns: str
    pause: str
    containerd: str

    @property
    def minor(self) -> str:
        return ".".join(self.kubernetes.split(".")[:2])


RELEASES = {
    release.minor: release
    for release in (
        Release("1.34.12", etcd="3.6.16", coredns="1.12.1", pause="3.10.1", containerd="2.2.9"),
        Release("1.35.8", etcd="3.6.16", coredns="1.13.1", pause="3.10.1", containerd="2.2.9"),
        Release("1.36.5", etcd="3.6.16", coredns="1.14.2", pause="3.10.2", containerd="2.2.9"),
        Release("1.37.2", etcd="3.7.3", coredns="1.14.6", pause="3.10.2", containerd="2.2.9"),
    )
}


def resolve(version: str) -> Release:
    """The release of `1.37` (its pinned patch), `1.37.1` (this patch, other components of 1.37) or `latest`."""
    if version == "latest":
        return max(RELEASES.values(), key=lambda release: _numbers(release.kubernetes))
    known = ", ".join(RELEASES)
    if not re.fullmatch(r"1\.[0-9]{1,3}(\.[0-9]{1,3})?", version):
        raise BadUsage(
            f"not a Kubernetes version: {version}",
            hint=f"write a minor ({known}), a patch such as 1.37.2, or latest",
        )
    minor = ".".join(version.split(".")[:2])
    if minor not in RELEASES:
        raise BadUsage(f"unknown Kubernetes version: {version}", hint=f"halab knows {known}")
    release = RELEASES[minor]
    return release if version == minor else replace(release, kubernetes=version)


def at_least(version: str, minimum: str) -> bool:
    return _numbers(version) >= _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
