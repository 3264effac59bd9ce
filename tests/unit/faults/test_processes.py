"""Faults of processes and services: real before they return, undone by SSH alone, and safe to undo twice."""

from __future__ import annotations

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab.errors import BadUsage, TimedOut
from halab.faults import processes
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.process import Completed


def test_a_killed_process_is_waited_for_until_it_is_another() -> None:
    guests = FakeGuests({"pgrep": ["1234\n", "1234\n", "1234\n", "5678\n"]})
    _, seen = inject(site_of(guests), "kill-process", process="etcd")
    assert seen == "etcd, started at 1234, is gone"
    assert guests.commands("cp2")[1] == "pkill -KILL -x etcd"


def test_a_killed_process_need_not_come_back() -> None:
    guests = FakeGuests({"pgrep": ["1234\n", ""]})
    _, seen = inject(site_of(guests), "kill-process", process="etcd", signal="TERM")
    assert "is gone" in seen
    assert "pkill -TERM -x etcd" in guests.commands("cp2")


def test_a_process_that_did_not_run_is_reported_and_not_waited_for() -> None:
    guests = FakeGuests()
    _, seen = inject(site_of(guests), "kill-process", process="etcd")
    assert seen == "etcd was not running"
    assert len(guests.calls) == 1


def test_a_process_that_stays_is_a_fault_without_effect() -> None:
    guests = FakeGuests({"pgrep": "1234\n"})
    with pytest.raises(
        TimedOut, match="waited 150 s for etcd on cp2 to be gone; last seen: etcd still runs"
    ):
        inject(site_of(guests), "kill-process", process="etcd")


def test_patience_stretches_the_wait_for_an_effect() -> None:
    with pytest.raises(TimedOut, match="waited 300 s"):
        inject(site_of(FakeGuests({"pgrep": "1\n"}), patience=2), "kill-process", process="etcd")


def test_the_name_of_a_process_is_quoted() -> None:
    guests = FakeGuests({"pgrep": ["1\n", ""]})
    inject(site_of(guests), "kill-process", process="a; id")
    assert guests.commands("cp2")[1] == "pkill -KILL -x 'a; id'"


def test_the_kernel_knows_15_characters_of_a_name() -> None:
    guests = FakeGuests({"pgrep": "42\n"})
    assert processes.started(guests, "cp1", "kube-controller-manager") == "42"
    assert "pgrep -o -x kube-controller)" in guests.commands("cp1")[0]
    assert processes.started(FakeGuests(), "cp1", "etcd") is None


def test_a_paused_process_is_waited_for_until_every_one_of_that_name_is_stopped() -> None:
    guests = FakeGuests({"pkill -STOP": ["", "Ssl\n", "Tsl\nSl\n", "Tsl\nTl\nZ\n"]})
    _, seen = inject(site_of(guests), "pause-process", process="etcd")
    assert seen == "etcd is stopped, in state Tsl, Tl"
    assert len(guests.calls) == 4


def test_a_process_that_never_runs_is_not_paused() -> None:
    with pytest.raises(TimedOut, match="last seen: etcd does not run"):
        inject(site_of(FakeGuests()), "pause-process", process="etcd")


def test_a_paused_process_goes_on_and_need_not_be_there_any_more() -> None:
    guests = FakeGuests()
    heal(site_of(guests), Entry("1", "pause-process", "cp2", {"process": "kube-controller-manager"}))
    assert guests.commands("cp2") == ["pkill -CONT -x kube-controller || [ $? -eq 1 ]"]


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("pause-process", {"process": "sshd"}),
        ("stop-service", {"service": "ssh"}),
        ("stop-service", {"service": "ssh.service"}),
        ("restart-service", {"service": "halab-machine"}),
    ],
)
def test_the_services_that_halab_needs_are_refused(fault: str, options: dict[str, str]) -> None:
    guests = FakeGuests()
    with pytest.raises(BadUsage, match="halab needs this (process|service) to heal cp2"):
        inject(site_of(guests), fault, **options)
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


def test_nothing_touches_no_machine() -> None:
    guests = FakeGuests()
    entry, seen = inject(site_of(guests), "nothing")
    assert seen == "nothing was done"
    heal(site_of(guests), entry)
    assert guests.calls == []


def test_every_fault_says_what_it_does() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.does.endswith(".")


def test_the_example_of_every_option_fits_it() -> None:
    for fault in FAULTS.values():
        given = {name: each.example for name, each in fault.options.items() if each.example}
        assert list(fault.problems_with({**fault.complete({}), **given})) == [], fault.name
