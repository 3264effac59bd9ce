"""The audit: what faults have left behind."""

from __future__ import annotations

import subprocess

import pytest
from support.fakes import FakeGuests
from support.site_builder import FakePower, site_of

from halab.errors import Unreachable
from halab.faults.audit import audit, script
from halab.machines.power import PowerState


def test_an_unchanged_lab_has_nothing_left_behind() -> None:
    guests = FakeGuests()
    assert audit(site_of(guests)) == []
    assert sorted(call.machine for call in guests.calls) == ["cp1", "cp2", "cp3", "lb1"]


def test_leftovers_are_reported_with_their_machine() -> None:
    guests = FakeGuests({"cp2": "stopped process etcd\nunit halab-hold-42.service\n"})
    assert audit(site_of(guests)) == ["stopped process etcd on cp2", "unit halab-hold-42.service on cp2"]


def test_a_machine_that_is_off_or_frozen_is_reported() -> None:
    guests = FakeGuests()
    power = FakePower({"cp2": PowerState.OFF, "cp3": PowerState.FROZEN})
    assert audit(site_of(guests, power)) == ["not running: cp2 (off)", "not running: cp3 (frozen)"]
    assert sorted(call.machine for call in guests.calls) == ["cp1", "lb1"]


def test_a_machine_that_does_not_answer_is_reported() -> None:
    guests = FakeGuests({"cp3": Unreachable("cp3 does not answer over SSH")})
    assert audit(site_of(guests)) == ["not audited: cp3 (cp3 does not answer over SSH)"]


@pytest.mark.parametrize("machine", ["lb1", "cp1", "w1"])
def test_every_kind_of_machine_is_checked_for_its_own_role(machine: str) -> None:
    site = site_of(FakeGuests(), workers=1)
    text = script(site, site.lab.machine(machine))
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=10)
    assert ("balancer configuration" in text) is (machine == "lb1")
    assert ("manifests" in text) is (machine == "cp1")
    assert ("for name in containerd kubelet" in text) is (machine != "lb1")
