"""Locks among all halab processes on a host."""

from __future__ import annotations

import pytest
from support.fakes import FakeClock

from halab.errors import HostProblem
from halab.machines.host.host_lock import HostLock, host_lock


def test_one_halab_at_a_time_chooses_and_makes_networks() -> None:
    with (
        host_lock(HostLock.NETWORKS, FakeClock()),
        pytest.raises(HostProblem, match="another halab process holds the lock for networks"),
        host_lock(HostLock.NETWORKS, FakeClock()),
    ):
        pass
    # the lock of a process that died or ended is free
    with host_lock(HostLock.NETWORKS, FakeClock()):
        pass


def test_the_lock_for_disks_does_not_block_networks() -> None:
    with host_lock(HostLock.DISKS, FakeClock()), host_lock(HostLock.NETWORKS, FakeClock()):
        pass
