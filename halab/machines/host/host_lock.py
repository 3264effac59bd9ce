"""What one halab at a time does to this host, whichever user's it is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from halab.clock import Clock, Deadline, NotYet, RealClock, wait_for
from halab.errors import HostProblem, TimedOut


class HostLock(StrEnum):
    """What nobody may do beside somebody else."""

    NETWORKS = "networks"
    DISKS = "disks of boxes"


# Two networks of libvirt take 2 s to make on a busy host; a disk of 1.1 GB may have to go over a slow line.
_SECONDS = {HostLock.NETWORKS: 60, HostLock.DISKS: 1800}


@contextmanager
def host_lock(about: HostLock, clock: Clock | None = None) -> Iterator[None]:
    """Wait until nobody else is at it. HostProblem where somebody always is.

    The lock is a name of the kernel's for sockets, which needs no file that users would have to share, is free when its
    holder dies, and is known where the networks are: every network namespace has its own.
    """
    holder = socket.socket(socket.AF_UNIX)

    def take() -> None:
        try:
            holder.bind(f"\0halab/{about}")
        except OSError as error:
            raise NotYet(f"another halab is at its {about}") from error

    with holder:
        try:
            deadline = Deadline.after(clock or RealClock(), _SECONDS[about])
            wait_for(f"a turn at the {about} of this host", take, deadline, every_seconds=0.2)
        except TimedOut as error:
            raise HostProblem(error.message, hint="see what it waits for: `pgrep -a halab`") from error
        yield
