"""The other host that the environment names for a lab's machines, if it names one that is reached over SSH."""

from __future__ import annotations

import os

from halab.config.remote import Remote
from halab.errors import HostProblem

_FORMS = {"DOCKER_HOST": "ssh://USER@HOST", "LIBVIRT_DEFAULT_URI": "qemu+ssh://USER@HOST/system"}


def libvirt_address() -> str:
    """The address of libvirt: LIBVIRT_DEFAULT_URI, which its own tools use as well, or else this host's."""
    return os.environ.get("LIBVIRT_DEFAULT_URI") or "qemu:///system"


def by_docker() -> Remote | None:
    """The host of the engine that DOCKER_HOST names."""
    return named("DOCKER_HOST", os.environ.get("DOCKER_HOST"))


def by_libvirt(uri: str | None) -> Remote | None:
    """The host of the libvirt that a lab file names, or else of LIBVIRT_DEFAULT_URI."""
    return named("LIBVIRT_DEFAULT_URI", uri or os.environ.get("LIBVIRT_DEFAULT_URI"))


def named(variable: str, address: str | None) -> Remote | None:
    """The host that the value of a variable names."""
    try:
        return Remote.of(address)
    except ValueError as error:
        raise HostProblem(
            f"{variable} {error}: {address}", hint=f"export {variable}={_FORMS[variable]}"
        ) from error
