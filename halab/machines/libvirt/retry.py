"""Ask a libvirt again if another program removed an object between the listing and the question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from halab.errors import HostProblem

T = TypeVar("T")

_LOOKS = 5


class Gone(Exception):
    """Somebody else has removed the object."""


def until_unchanged(look: Callable[[], T]) -> T:
    """Look again, a few times, while objects go away during a look. Raises HostProblem if that happens every time."""
    for _ in range(_LOOKS):
        with suppress(Gone), noticing():
            return look()
    raise HostProblem("libvirt's objects kept changing while halab listed them", hint="try again")


@contextmanager
def noticing() -> Iterator[None]:
    """Raise Gone if the object that libvirt was asked about no longer exists."""
    import libvirt

    gone = (
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT,
        libvirt.VIR_ERR_NO_NETWORK,
        libvirt.VIR_ERR_NO_STORAGE_VOL,
        libvirt.VIR_ERR_NO_STORAGE_POOL,
    )
    try:
        yield
    except libvirt.libvirtError as error:
        if error.get_error_code() in gone:
            raise Gone from error
        raise
