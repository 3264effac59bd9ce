"""Faults of processor and memory: bounded by what is the machine's own, or refused."""

from __future__ import annotations

import pytest
from support.fakes import FakeGuests
from support.site_builder import FakePower, heal, inject, site_of

from halab.errors import BadUsage, Unable
from halab.faults.catalogue import FAULTS


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
