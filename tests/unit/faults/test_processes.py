"""Faults of processes: real before they return, undone by SSH alone, and safe to undo twice."""

from __future__ import annotations

import pytest
from support.fakes import FakeGuests
from support.site_builder import heal, inject, site_of

from halab.errors import BadUsage, TimedOut
from halab.faults import processes
from halab.faults.journal import Entry


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
    assert seen == "etcd is paused, in state Tsl, Tl"
    assert len(guests.calls) == 4


def test_a_process_that_never_runs_is_not_paused() -> None:
    with pytest.raises(TimedOut, match="last seen: etcd does not run"):
        inject(site_of(FakeGuests()), "pause-process", process="etcd")


def test_a_paused_process_continues_and_may_have_ended() -> None:
    guests = FakeGuests()
    heal(site_of(guests), Entry("1", "pause-process", "cp2", {"process": "kube-controller-manager"}))
    assert guests.commands("cp2") == ["pkill -CONT -x kube-controller || [ $? -eq 1 ]"]


def test_a_process_that_halab_needs_is_not_paused() -> None:
    guests = FakeGuests()
    with pytest.raises(BadUsage, match="halab needs this process to heal cp2"):
        inject(site_of(guests), "pause-process", process="sshd")
    assert guests.calls == []
