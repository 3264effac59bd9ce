"""The versions of single components that a lab file chooses, and which of them work together.

The rules are those of Kubernetes' version skew policy, of kubeadm and of etcd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field

from halab.config.kubernetes import Release, at_least, minor_of
from halab.printable import shortened

# A pre-release has a stage and a number: 3.7.0-rc.1.
VERSION = r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-(alpha|beta|rc)\.[0-9]{1,3})?$"
ETCD, COREDNS = "etcd", "coredns"
REGISTRY = "registry.k8s.io"
_POLICY = "Kubernetes' version skew policy"
# In the lab file, these two are beside the version; the others are below `components`.
_BESIDE = (ETCD, COREDNS)


class ControlPlanePart(StrEnum):
    """A component of the control plane that can have a version of its own: kubeadm patches the image of its pod."""

    API_SERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"


class Versioned(StrEnum):
    """Everything of a lab that has a version in its release or in its lab file."""

    KUBERNETES = "kubernetes"
    ETCD = ETCD
    COREDNS = COREDNS
    CONTAINERD = "containerd"
    API_SERVER = ControlPlanePart.API_SERVER
    CONTROLLER_MANAGER = ControlPlanePart.CONTROLLER_MANAGER
    SCHEDULER = ControlPlanePart.SCHEDULER


def _version(value: str) -> str:
    if not re.fullmatch(VERSION, value):
        raise ValueError(f"should be a version with three numbers, such as 3.6.8, not {shortened(value)}")
    return value


ComponentVersion = Annotated[str, AfterValidator(_version), Field(json_schema_extra={"pattern": VERSION})]


def release_version(release: Release, component: str) -> str:
    """The version of a component in a release."""
    own = {ETCD: release.etcd, COREDNS: release.coredns, Versioned.CONTAINERD: release.containerd}
    return own.get(component, release.kubernetes)


def image(component: str, version: str, *, is_own: bool = False) -> str:
    """The full name of the image of a component, under which kubeadm looks for it.

    `is_own`: it is built from a checkout, and has a tag of its own, because the bundle may have the same version.
    """
    suffix = "-source" if is_own else ""
    if component == ETCD:
        return f"{REGISTRY}/etcd:{version}{suffix or '-0'}"
    folder = "coredns/" if component == COREDNS else ""
    return f"{REGISTRY}/{folder}{component}:v{version}{suffix}"


def differing(release: Release, written: Mapping[str, str]) -> dict[str, str]:
    """Component → version, of those that differ from the release: the bundle has all others."""
    return {
        component: version
        for component, version in written.items()
        if version != release_version(release, component)
    }


def setting(component: str) -> tuple[str, ...]:
    """The path of a component's version in the lab file. containerd has none."""
    if component == Versioned.KUBERNETES:
        return ("kubernetes", "version")
    return ("kubernetes", component) if component in _BESIDE else ("kubernetes", "components", component)


def problems(release: Release, written: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The components whose version breaks a rule, with the rule."""
    etcd = written.get(ETCD)
    if etcd and minor_of(etcd) != minor_of(release.etcd):
        yield (
            ETCD,
            f"{etcd}: kubeadm {release.minor} supports etcd {minor_of(release.etcd)}, such as {release.etcd}",
        )
    api_server = written.get(ControlPlanePart.API_SERVER, release.kubernetes)
    for component in ControlPlanePart:
        version = written.get(component)
        if version and (rule := _broken_rule(component, version, release, api_server)):
            yield component, f"{version}: {rule}"


def _broken_rule(component: ControlPlanePart, version: str, release: Release, api_server: str) -> str:
    """The rule that the version of a component breaks; empty if it breaks none."""
    minor, server = minor_of(version), minor_of(api_server)
    if _minors(release.kubernetes, version) > 0:
        return f"kubeadm {release.minor} installs no component of a later minor version ({_POLICY})"
    if component is ControlPlanePart.API_SERVER:
        # the kubelets have the version of the release
        if minor != release.minor:
            return (
                f"a kubelet must not be newer than the API server, and the kubelets of this lab are "
                f"{release.kubernetes} ({_POLICY})"
            )
        return ""
    if _minors(api_server, version) > 0:
        return f"{component} must not be newer than the API server, which is {server} here ({_POLICY})"
    if _minors(version, api_server) > 1:
        return (
            f"{component} may be at most one minor version older than the API server, which is {server} here "
            f"({_POLICY})"
        )
    return ""


def _minors(before: str, after: str) -> int:
    """By how many minor versions the second is newer; of another major version, by more than any rule allows."""
    (major, minor), (other_major, other_minor) = (
        tuple(map(int, version.split(".")[:2])) for version in (before, after)
    )
    if major != other_major:
        return 1000 if at_least(after, before) else -1000
    return other_minor - minor
