"""Looks at a libvirt that others change meanwhile: what it lists may be gone before it is asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from halab.errors import HostProblem

T = TypeVar("T")

# How often what goes while we look makes us look again.
_LOOKS = 5


class Gone(Exception):
    """Somebody else has removed it meanwhile."""


def until_unchanged(library: Any, look: Callable[[], T]) -> T:
    """What a look sees while nothing goes. HostProblem where something always does."""
    for _ in range(_LOOKS):
        with suppress(Gone), noticing(library):
            return look()
    raise HostProblem("libvirt does not rest: what it has comes and goes", hint="try again")


@contextmanager
def noticing(library: Any) -> Iterator[None]:
    """Gone where what was asked for is there no more."""
    gone = (
        library.VIR_ERR_NO_DOMAIN,
        library.VIR_ERR_NO_DOMAIN_SNAPSHOT,
        library.VIR_ERR_NO_NETWORK,
        library.VIR_ERR_NO_STORAGE_VOL,
        library.VIR_ERR_NO_STORAGE_POOL,
    )
    try:
        yield
    except library.libvirtError as error:
        if error.get_error_code() in gone:
            raise Gone from error
        raise
