"""Faults of services: real before they return, undone by SSH alone, and safe to undo twice."""

from __future__ import annotations

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab.errors import BadUsage
from halab.process import Completed


@pytest.mark.parametrize(
    ("fault", "service"),
    [
        ("stop-service", "ssh"),
        ("stop-service", "ssh.service"),
        ("restart-service", "halab-machine"),
    ],
)
def test_the_services_that_halab_needs_are_refused(fault: str, service: str) -> None:
    guests = FakeGuests()
    with pytest.raises(BadUsage, match="halab needs this service to heal cp2"):
        inject(site_of(guests), fault, service=service)
    assert guests.calls == []


def test_only_an_active_service_is_stopped() -> None:
    guests = FakeGuests({"is-active": Completed(3, "inactive\n", "")})
    with pytest.raises(BadUsage, match=r"not an active service on cp2: kubelet \(inactive\)"):
        inject(site_of(guests), "stop-service", service="kubelet")
    assert len(guests.calls) == 1


def test_a_stopped_service_is_waited_for_until_its_process_has_ended() -> None:
    guests = FakeGuests(
        {
            "is-active": "active\n",
            "MainPID": ["832\ndeactivating\n", "inactive\n832\n", "0\ninactive\n"],
        }
    )
    entry, seen = inject(site_of(guests), "stop-service", service="kubelet.service")
    assert seen == "kubelet.service is inactive"
    assert guests.commands("cp2")[1] == "systemctl stop kubelet.service"
    heal(site_of(guests), entry)
    assert guests.commands("cp2")[-1].endswith("systemctl start kubelet.service")


@pytest.mark.parametrize("kind", ["haproxy", "nginx"])
def test_the_load_balancer_s_service_is_the_one_of_the_lab_file(kind: str) -> None:
    guests = FakeGuests({"is-active": "active\n", "systemctl show": "inactive\n0\n"})
    inject(site_of(guests, load_balancer={"kind": kind}), "stop-service", "lb1", service="load-balancer")
    assert f"systemctl stop {kind}.service" in guests.commands("lb1")


def test_a_restarted_service_is_another_start_of_it() -> None:
    guests = FakeGuests({"InvocationID": ["a1\n", "a1\n", "", "b2\n"], "is-active": "active\n"})
    _, seen = inject(site_of(guests), "restart-service", service="containerd")
    assert seen == "containerd was restarted"
    assert "systemctl restart containerd.service" in guests.commands("cp2")
