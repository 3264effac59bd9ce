"""What machines can do, and what faults have left behind."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from support.fakes import FakeGuests
from support.site_builder import FakePower, site_of

from halab.config.lab import ProviderKind
from halab.errors import LabProblem, Unreachable
from halab.faults import capabilities
from halab.faults.audit import audit, script
from halab.machines.power import PowerState

PROBED = "container yes\nnetem qdisc kind is unknown\ntbf yes\nnft-numgen yes\ndisk-throttle yes\n"


def probe(said: str, **written: Any) -> capabilities.Capabilities:
    return capabilities.probe(site_of(FakeGuests({"cp1": said}), **written))


def test_a_missing_capability_has_a_reason() -> None:
    found = probe(PROBED)
    assert found.has == {"tbf", "nft-numgen", "disk-throttle", "safe-disk", "snapshot"}
    assert found.lacking["netem"] == "the kernel cannot delay packets: qdisc kind is unknown"


def test_a_container_never_has_a_clock_of_its_own() -> None:
    said = PROBED.replace("container yes", "container no")
    assert probe(said).lacking["own-clock"] == "a container shares the clock of its host"
    assert "own-clock" in probe(PROBED, provider=ProviderKind.LIBVIRT).lacking


def test_a_virtual_machine_has_what_a_container_lacks() -> None:
    found = probe(PROBED.replace("container yes", "container no"), provider=ProviderKind.LIBVIRT)
    assert {"own-clock", "own-kernel", "own-disk", "snapshot"} <= found.has


@pytest.mark.parametrize(
    ("took", "why"),
    [
        (["50\n", "1150\n"], None),
        (["50\n", "60\n"], "8 writes took 50 ms, and 60 ms at 4 a second"),
        (["900\n", "1150\n"], "8 writes took 900 ms, and 1150 ms at 4 a second"),
        (["50\n", "dd: no space\n"], "invalid literal"),
    ],
)
def test_a_hypervisor_can_throttle_if_writes_take_longer(took: list[str], why: str | None) -> None:
    power = FakePower(has_disks=True)
    guests = FakeGuests({"^cp1": PROBED.replace("container yes", "container no"), "^lb1": [*took]})
    found = capabilities.probe(site_of(guests, power, provider=ProviderKind.LIBVIRT))
    assert ("disk-throttle" in found.has) is (why is None)
    assert why is None or why in found.lacking["disk-throttle"]
    assert power.asked == ["lb1 may write 4 times a second", "lb1 may write None times a second"]


def test_every_capability_that_a_fault_needs_is_probed() -> None:
    from halab.faults.catalogue import FAULTS

    found = probe(PROBED)
    for fault in FAULTS.values():
        assert fault.needs <= found.has | set(found.lacking), fault.name


def test_a_machine_without_an_answer_is_an_error() -> None:
    with pytest.raises(LabProblem, match="cp1 did not say whether it can do 'container'"):
        probe("")


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


def test_a_power_cut_needs_disks_that_keep_flushed_data() -> None:
    virtual = PROBED.replace("container yes", "container no")
    unsafe = probe(virtual, provider=ProviderKind.LIBVIRT, disk_cache="unsafe")
    assert unsafe.lacking["safe-disk"].startswith("the lab file says disk_cache: unsafe")
    assert "safe-disk" in probe(virtual, provider=ProviderKind.LIBVIRT).has
    # a container shares the disk of its host, whatever is written there
    assert "safe-disk" in probe(PROBED, disk_cache="unsafe").has
