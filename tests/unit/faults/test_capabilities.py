"""What machines can do."""

from __future__ import annotations

from typing import Any

import pytest
from support.fakes import FakeGuests
from support.site_builder import FakePower, site_of

from halab.config.lab import ProviderKind
from halab.config.lab_traits import Capability
from halab.errors import LabProblem
from halab.faults import capabilities

PROBED = "container yes\nnetem qdisc kind is unknown\ntbf yes\nnft-numgen yes\ndisk-throttle yes\n"


def probe(said: str, **written: Any) -> capabilities.Capabilities:
    return capabilities.probe(site_of(FakeGuests({"cp1": said}), **written))


def test_a_missing_capability_has_a_reason() -> None:
    found = probe(PROBED)
    assert found.has == {"tbf", "nft-numgen", "disk-throttle", "safe-disk", "snapshot"}
    assert found.lacking["netem"] == "the kernel cannot delay packets: qdisc kind is unknown"


def test_a_name_of_the_endpoint_is_a_setting_of_the_lab() -> None:
    assert "endpoint-name" in probe(PROBED, endpoint="api.lab.example").has
    assert "endpoint: api.lab.example" in probe(PROBED).lacking["endpoint-name"]


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


def test_every_capability_is_probed() -> None:
    found = probe(PROBED)
    assert found.has | set(found.lacking) == set(Capability)


def test_a_machine_without_an_answer_is_an_error() -> None:
    with pytest.raises(LabProblem, match="cp1 did not say whether it can do 'container'"):
        probe("")
    with pytest.raises(LabProblem, match="cp1 did not say whether it can do 'tbf'"):
        probe(PROBED.replace("tbf yes\n", ""))


def test_a_power_cut_needs_disks_that_keep_flushed_data() -> None:
    virtual = PROBED.replace("container yes", "container no")
    unsafe = probe(virtual, provider=ProviderKind.LIBVIRT, disk_cache="unsafe")
    assert unsafe.lacking["safe-disk"].startswith("the lab file says disk_cache: unsafe")
    assert "safe-disk" in probe(virtual, provider=ProviderKind.LIBVIRT).has
    # a container shares the disk of its host, whatever is written there
    assert "safe-disk" in probe(PROBED, disk_cache="unsafe").has


def test_without_a_load_balancer_s_machine_a_worker_s_disk_is_throttled() -> None:
    power = FakePower(has_disks=True)
    guests = FakeGuests({"^cp1": PROBED.replace("container yes", "container no"), "^w1": ["50\n", "1150\n"]})
    site = site_of(
        guests, power, provider=ProviderKind.LIBVIRT, workers=1, load_balancer={"kind": "kube-vip"}
    )
    assert "disk-throttle" in capabilities.probe(site).has
    assert power.asked[0] == "w1 may write 4 times a second"
