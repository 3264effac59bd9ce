"""Locks among all halab processes on this host, also those of other users."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.errors import HostProblem, TimedOut


class HostLock(StrEnum):
    """What only one halab process at a time may change."""

    NETWORKS = "networks"
    DISKS = "disks of boxes"


# On a busy host, libvirt makes two networks in 2 s. A disk of 1.1 GB may be copied over a slow line.
_SECONDS = {HostLock.NETWORKS: 60, HostLock.DISKS: 1800}


@contextmanager
def host_lock(about: HostLock, clock: Clock | None = None) -> Iterator[None]:
    """Wait for the lock and hold it. Raises HostProblem if others hold it for too long.

    The lock is an abstract Unix socket: users need not share a file, the lock is free when its holder dies, and its
    scope is that of the networks, because every network namespace has its own names.
    """
    holder = socket.socket(socket.AF_UNIX)

    def take() -> None:
        try:
            holder.bind(f"\0halab/{about}")
        except OSError as error:
            raise NotYet(f"another halab process holds the lock for {about}") from error

    with holder:
        try:
            deadline = Deadline.after(clock or RealClock(), _SECONDS[about])
            wait_for(f"the lock for {about} on this host", take, deadline, every_seconds=0.2)
        except TimedOut as error:
            raise HostProblem(error.message, hint="see which process: `pgrep -a halab`") from error
        yield
