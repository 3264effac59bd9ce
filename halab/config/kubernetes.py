"""The Kubernetes versions that halab knows, with the versions of their components."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from halab.errors import BadUsage

DEFAULT = "1.37"
# Before an upgrade to the first, every member needs the second (etcd's guide for upgrades to 3.7).
_STRICT_ETCD, _LEAST_BEFORE = "3.7.0", "3.6.11"
# Where an API server listens.
API_PORT = 6443


class BundleSource(StrEnum):
    """Where a bundle comes from."""

    AUTO = "auto"  # release if the release host answers, else modules
    RELEASE = "release"  # the official binaries and images
    MODULES = "modules"  # built here from the Go modules


def minor_of(version: str) -> str:
    """`1.37` of `1.37.2`."""
    return ".".join(version.split(".")[:2])


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
        return minor_of(self.kubernetes)


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
    minor = minor_of(version)
    if minor not in RELEASES:
        raise BadUsage(f"unknown Kubernetes version: {version}", hint=f"halab knows {known}")
    release = RELEASES[minor]
    return release if version == minor else replace(release, kubernetes=version)


def at_least(version: str, minimum: str) -> bool:
    """Whether a version is the same or a later one. A pre-release (`3.7.0-rc.1`) comes before its release."""
    return order(version) >= order(minimum)


def order(version: str) -> tuple[tuple[int, ...], bool, str, int]:
    """A key that sorts versions: `3.6.16`, `3.7.0-alpha.0`, `3.7.0-rc.10`, `3.7.0`."""
    release, _, before = version.partition("-")
    stage, _, number = before.partition(".")
    return _numbers(release), not before, stage, int(number or 0)


def upgrade_problem(before: str, after: str) -> tuple[str, str] | None:
    """Why a cluster cannot go from one version to another, and what to do; None if it can.

    The rules are those of kubeadm and of Kubernetes' version skew policy.
    """
    if _numbers(after) == _numbers(before):
        return f"the lab already has Kubernetes {before}", "`halab status` shows the lab"
    if not at_least(after, before):
        return (
            f"a cluster cannot go back from Kubernetes {before} to {after}",
            "restore a snapshot from before the upgrade, or build a lab of that version: `halab down && halab up`",
        )
    minors = _numbers(after)[1] - _numbers(before)[1]
    if minors > 1:
        following = f"1.{_numbers(before)[1] + 1}"
        return (
            f"kubeadm cannot skip a minor version, and Kubernetes {after} is {minors} after {before}",
            f"upgrade to the next minor first: `halab upgrade {following}`",
        )
    return None


def etcd_upgrade_problem(
    running: Mapping[str, str], after: str, *, allow_unsupported: bool = False
) -> tuple[str, str] | None:
    """Why members of etcd (machine → version) cannot be replaced by a new version one by one, and what to do.

    A lab that allows what is not supported may break the rule about the version before 3.7: etcd starts, whatever it
    does then.
    """
    newer = [name for name, version in running.items() if not at_least(after, version)]
    if newer:
        return (
            f"etcd on {', '.join(newer)} is {running[newer[0]]}, and etcd cannot go back to {after}",
            "choose a version of Kubernetes with a newer etcd",
        )
    old = [name for name, version in running.items() if not at_least(version, _LEAST_BEFORE)]
    if old and at_least(after, _STRICT_ETCD) and not allow_unsupported:
        return (
            f"before the upgrade to etcd {after}, every member needs etcd {_LEAST_BEFORE} or later; "
            f"{', '.join(old)} {'has' if len(old) == 1 else 'have'} {running[old[0]]}",
            "upgrade within the present minor first, for example to its newest patch; or write "
            "`allow_unsupported: true` below `kubernetes` in the lab file to see what happens",
        )
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
