"""Faults of processor, memory, disk and clock: bounded by what is the machine's own, or refused."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from support.fakes import Call, FakeGuests
from support.site_builder import FakePower, heal, inject, site_of

from halab.config.lab import ProviderKind
from halab.errors import BadUsage, TimedOut, Unable
from halab.faults import clocks, disk
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.process import Completed

VIRTUAL = Completed(1, "", "")
CONTAINER = Completed(0, "", "")


def test_a_machine_has_fewer_cores_once_its_kernel_says_so() -> None:
    guests, power = FakeGuests({"cpus": ["200000 100000\n", "20000 100000\n"]}), FakePower()
    entry, seen = inject(site_of(guests, power), "starve-cpu", cpus="0.2")
    assert seen == "cp2 has 20000 µs of each 100000 µs"
    heal(site_of(guests, power), entry)
    assert power.asked == ["cp2 has 0.2 cores", "cp2 has None cores"]


def test_as_many_cores_as_before_are_refused() -> None:
    power = FakePower()
    with pytest.raises(BadUsage, match="cp2 has 2 cores: 2.0 is not fewer"):
        inject(site_of(FakeGuests(), power), "starve-cpu", cpus="2.0")
    assert power.asked == []


@pytest.mark.parametrize(
    ("cpus", "fits"), [("0.2", True), (".5", True), ("1", True), ("0", False), ("0.0", False)]
)
def test_a_machine_keeps_a_part_of_a_core(cpus: str, fits: bool) -> None:
    assert (list(FAULTS["starve-cpu"].problems_with({"cpus": cpus})) == []) is fits


def test_memory_is_taken_until_little_is_free() -> None:
    guests = FakeGuests({"fallocate": ["2048 400\n", "2048 104\n"], "memory": "2048 1500\n"})
    entry, seen = inject(site_of(guests), "starve-memory", leave="100M")
    assert seen == "104M of 2048M are free"
    heal(site_of(guests), entry)
    assert f"umount /run/halab-memory-{entry.id}" in guests.commands("cp2")[-1]


def test_a_container_without_a_limit_would_take_the_host_s_memory() -> None:
    guests = FakeGuests({"memory": "none none\n"})
    with pytest.raises(Unable, match="cp2 has no memory limit of its own"):
        inject(site_of(guests), "starve-memory", leave="100M")
    assert len(guests.calls) == 1


@pytest.mark.parametrize(("leave", "why"), [("32M", "leave at least 64M"), ("1600M", "1600M is not less")])
def test_memory_that_cannot_or_need_not_be_taken_is_refused(leave: str, why: str) -> None:
    with pytest.raises(BadUsage, match=why):
        inject(site_of(FakeGuests({"memory": "2048 1500\n"})), "starve-memory", leave=leave)


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


@pytest.mark.parametrize(
    ("shift", "seconds"), [("+1h", 3600), ("-90s", -90), ("+2d", 172800), ("-5m", -300)]
)
def test_a_shift_is_a_time_with_a_sign(shift: str, seconds: int) -> None:
    assert clocks.seconds(shift) == seconds
    assert list(FAULTS["shift-clock"].problems_with({"by": shift})) == []


def test_a_shift_without_a_sign_is_refused() -> None:
    assert list(FAULTS["shift-clock"].problems_with({"by": "1h"}))


def test_a_container_s_clock_is_never_set() -> None:
    guests = FakeGuests({"systemd-detect-virt": CONTAINER})
    entry = Entry("42", "shift-clock", "cp2", {"by": "+1h"})
    for provider in ProviderKind.DOCKER, ProviderKind.LIBVIRT:
        site = site_of(guests, provider=provider)
        with pytest.raises(Unable):
            inject(site, "shift-clock", by="+1h")
        with pytest.raises(Unable):
            FAULTS["shift-clock"].inject(site, entry)
        with pytest.raises(Unable):
            heal(site, entry)
    assert not any("date" in command for command in guests.commands("cp2"))


def test_the_clock_of_a_virtual_machine_is_shifted_and_set_right_by_the_host_s() -> None:
    def told(call: Call) -> str:
        return f"{time.time() + 3600.4:.3f}\n"

    guests = FakeGuests({"^cp2: systemd-detect-virt": VIRTUAL, r"date \+%s\.%N": told})
    site = site_of(guests, provider=ProviderKind.LIBVIRT)
    entry, seen = inject(site, "shift-clock", by="+1h")
    assert seen == "its clock is +3600 s from the host's"
    (setting,) = [command for command in guests.commands("cp2") if "date -s" in command]
    assert setting.startswith("if systemd-detect-virt -cq; then")
    assert "date -s 'now +3600 seconds'" in setting
    heal(site, entry)
    right, looked = guests.commands("cp2")[-2:]
    assert abs(float(right.split("date -s @")[1].split(";")[0]) - time.time()) < 5
    # nothing was created meanwhile: nothing is removed
    assert "ctr" in looked and "containers rm" not in looked


def test_a_clock_may_differ_a_little_from_the_time_that_was_set() -> None:
    guests = FakeGuests(
        {
            "^cp2: systemd-detect-virt": VIRTUAL,
            r"date \+%s\.%N": lambda call: f"{time.time() - 172800 - 4.9:.3f}\n",
        }
    )
    _, seen = inject(site_of(guests, provider=ProviderKind.LIBVIRT), "shift-clock", by="-48h")
    assert seen == "its clock is -172805 s from the host's"


def test_a_clock_that_is_corrected_at_once_shows_no_effect() -> None:
    guests = FakeGuests(
        {"^cp2: systemd-detect-virt": VIRTUAL, r"date \+%s\.%N": lambda call: f"{time.time():.3f}\n"}
    )
    with pytest.raises(TimedOut, match=r"its clock is \+0 s from the host's"):
        inject(site_of(guests, provider=ProviderKind.LIBVIRT), "shift-clock", by="+1h")
