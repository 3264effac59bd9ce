"""Faults of the disk that etcd writes to: bounded by what is the machine's own, or refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.fakes import FakeGuests
from support.site_builder import FakePower, heal, inject, site_of

from halab.config.lab import ProviderKind
from halab.errors import TimedOut, Unable
from halab.faults import disk


def test_a_process_is_throttled_once_its_control_group_says_so() -> None:
    guests = FakeGuests({"limit_file": ["", "254:0 5\n"]})
    entry, seen = inject(site_of(guests), "throttle-disk", iops="5")
    assert seen == "etcd may write 5 times a second to the disk 254:0"
    command = guests.commands("cp2")[-1]
    assert command.index(f">>/var/lib/halab/{entry.id}/limits") < command.index('limit "$file" "$disk" 5')
    heal(site_of(guests), entry)
    assert 'limit "$file" "$disk" 0' in guests.commands("cp2")[-1]


def test_a_disk_of_its_own_is_throttled_from_outside_and_nothing_in_the_machine_is_touched() -> None:
    guests, power = FakeGuests(), FakePower(has_disks=True)
    entry, seen = inject(site_of(guests, power), "throttle-disk", iops="5")
    assert seen == "cp2 may write 5 times a second to its disk"
    assert guests.calls == []
    heal(site_of(guests, power), entry)
    assert power.asked == ["cp2 may write 5 times a second", "cp2 may write None times a second"]


def test_a_process_that_is_named_is_throttled_alone() -> None:
    guests, power = FakeGuests({"limit_file": "254:0 5\n"}), FakePower(has_disks=True)
    _, seen = inject(site_of(guests, power), "throttle-disk", iops="5", process="etcd")
    assert seen == "etcd may write 5 times a second to the disk 254:0"
    assert power.asked == []


def test_a_process_that_does_not_run_is_not_throttled() -> None:
    with pytest.raises(TimedOut, match="last seen: etcd does not run"):
        inject(site_of(FakeGuests()), "throttle-disk", iops="5")


@pytest.mark.parametrize(
    ("file", "amount", "written"),
    [("write_iops_device", "5", "8:0 5"), ("io.max", "5", "8:0 wiops=5"), ("io.max", "0", "8:0 wiops=max"),
     ("write_iops_device", "0", "8:0 0"), ("io.max", "10", "8:0 wiops=10")],
)  # fmt: skip
def test_a_limit_has_the_form_of_its_control_group(
    tmp_path: Path, file: str, amount: str, written: str
) -> None:
    path = tmp_path / file
    script = f'{disk.LIMIT}\nlimit "{path}" 8:0 {amount}'
    subprocess.run(["bash", "-c", script], check=True, timeout=10)
    assert path.read_text().strip() == written


def test_a_container_has_no_disk_to_fill() -> None:
    guests = FakeGuests()
    with pytest.raises(Unable, match="the fault would fill the host"):
        inject(site_of(guests), "fill-disk")
    assert guests.calls == []


def test_a_disk_of_its_own_is_filled_and_emptied() -> None:
    guests = FakeGuests({"fallocate": "18000M were taken, and nothing can be written to /var/lib/etcd\n"})
    site = site_of(guests, provider=ProviderKind.LIBVIRT)
    entry, seen = inject(site, "fill-disk")
    assert "nothing can be written" in seen
    assert "systemd-detect-virt -cq" in guests.commands("cp2")[0]
    heal(site, entry)
    assert guests.commands("cp2")[-1].startswith(f"rm -rf /var/lib/halab/{entry.id}")


def test_etcds_own_disk_is_filled_where_it_is() -> None:
    guests = FakeGuests({"fallocate": "500M were taken\n"})
    disks = {"cp": {"disks": [{"mount": "/srv"}, {"mount": "/var/lib/etcd"}]}}
    site = site_of(guests, provider=ProviderKind.LIBVIRT, machines=disks)
    entry, _ = inject(site, "fill-disk")
    assert f"mkdir -p /var/lib/etcd/halab-{entry.id}\n" in guests.commands("cp2")[0]
    heal(site, entry)
    assert guests.commands("cp2")[-1].startswith(f"rm -rf /var/lib/etcd/halab-{entry.id}; ")
