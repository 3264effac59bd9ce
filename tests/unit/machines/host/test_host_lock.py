"""One halab at a time."""

from __future__ import annotations

import pytest
from support.fakes import FakeClock

from halab.errors import HostProblem
from halab.machines.host.host_lock import HostLock, host_lock


def test_networks_are_chosen_and_made_by_one_halab_at_a_time() -> None:
    with (
        host_lock(HostLock.NETWORKS, FakeClock()),
        pytest.raises(HostProblem, match="another halab process holds the lock for networks"),
        host_lock(HostLock.NETWORKS, FakeClock()),
    ):
        pass
    # who has died, or has ended, keeps nobody waiting
    with host_lock(HostLock.NETWORKS, FakeClock()):
        pass


def test_who_copies_a_disk_keeps_nobody_from_making_networks() -> None:
    with host_lock(HostLock.DISKS, FakeClock()), host_lock(HostLock.NETWORKS, FakeClock()):
        pass
