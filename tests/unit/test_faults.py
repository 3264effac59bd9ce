"""Faults: real before they return, undone by SSH alone, and safe to undo twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import Call, FakeClock, FakeGuests, lab_of

from halab.errors import BadUsage, CommandFailed, LabProblem, TimedOut, Unreachable
from halab.faults import injection, processes
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site

MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
HELD = "/etc/kubernetes/halab-held/kube-apiserver.yaml"
HOLD = {"pod": "kube-apiserver"}


def site(guests: FakeGuests, **written: Any) -> Site:
    return Site(lab_of(**written), guests, FakeClock())


def inject(fault: str, guests: FakeGuests, options: dict[str, str], **written: Any) -> str:
    return FAULTS[fault].inject(site(guests, **written), "cp2", options)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def test_a_killed_process_is_waited_for_until_it_is_another() -> None:
    guests = FakeGuests({"pgrep": ["1234\n", "1234\n", "1234\n", "5678\n"]})
    assert inject("kill-process", guests, {"process": "etcd"}) == "etcd, started at 1234, is gone"
    assert guests.commands("cp2")[1] == "pkill -KILL -x etcd"


def test_a_killed_process_need_not_come_back() -> None:
    guests = FakeGuests({"pgrep": ["1234\n", ""]})
    assert "is gone" in inject("kill-process", guests, {"process": "etcd", "signal": "TERM"})
    assert "pkill -TERM -x etcd" in guests.commands("cp2")


def test_a_process_that_did_not_run_is_said_and_not_waited_for() -> None:
    guests = FakeGuests()
    assert inject("kill-process", guests, {"process": "etcd"}) == "etcd was not running"
    assert len(guests.calls) == 1


def test_a_process_that_stays_is_a_fault_without_effect() -> None:
    guests = FakeGuests({"pgrep": "1234\n"})
    with pytest.raises(TimedOut, match="waited 60 s for etcd on cp2 to be gone; last seen: etcd still runs"):
        inject("kill-process", guests, {"process": "etcd"})


def test_patience_stretches_the_wait_for_an_effect() -> None:
    with pytest.raises(TimedOut, match="waited 120 s"):
        inject("kill-process", FakeGuests({"pgrep": "1\n"}), {"process": "etcd"}, patience=2)


def test_what_is_killed_is_quoted() -> None:
    guests = FakeGuests({"pgrep": ["1\n", ""]})
    inject("kill-process", guests, {"process": "a; id", "signal": "$(id)"})
    assert guests.commands("cp2")[1] == "pkill -'$(id)' -x 'a; id'"


def test_the_kernel_knows_15_characters_of_a_name() -> None:
    guests = FakeGuests({"pgrep": "42\n"})
    assert processes.started(guests, "cp1", "kube-controller-manager") == "42"
    assert "pgrep -o -x kube-controller)" in guests.commands("cp1")[0]
    assert processes.started(FakeGuests(), "cp1", "etcd") is None


def test_a_held_pod_is_waited_for_until_it_stopped() -> None:
    guests = FakeGuests({"pgrep": ["1\n", "1\n", ""]})
    assert inject("hold-static-pod", guests, HOLD) == "kube-apiserver is stopped"
    assert f"mv -f {MANIFEST} {HELD}" in guests.commands("cp2")[0]


def test_nothing_but_manifests_is_ever_among_manifests() -> None:
    assert not HELD.startswith(str(Path(MANIFEST).parent))


def test_a_held_pod_is_let_go_without_the_api() -> None:
    guests = FakeGuests()
    FAULTS["hold-static-pod"].heal(site(guests), "cp2", HOLD)
    (command,) = guests.commands("cp2")
    assert f"mv -f {HELD} {MANIFEST}" in command
    assert "kubectl" not in command


def test_only_a_static_pod_of_kubeadm_can_be_held() -> None:
    with pytest.raises(BadUsage, match="no such static pod: ../../x"):
        inject("hold-static-pod", FakeGuests(), {"pod": "../../x"})


def test_nothing_touches_no_machine() -> None:
    guests = FakeGuests()
    assert inject("nothing", guests, {}) == "nothing was done"
    FAULTS["nothing"].heal(site(guests), "cp2", {})
    assert guests.calls == []


def test_every_fault_says_what_it_does() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.does.endswith(".")
        assert not fault.required & fault.optional


def test_a_fault_is_written_down_before_it_acts(journal: Journal) -> None:
    def answer(call: Call) -> str:
        assert [entry.fault for entry in journal.open_faults()] == ["hold-static-pod"]
        return ""

    guests = FakeGuests({"": answer})
    entry = injection.prepare(journal, "hold-static-pod", "cp2", HOLD)
    assert guests.calls == []
    assert injection.inject(site(guests), entry) == "kube-apiserver is stopped"
    injection.heal(site(guests), journal, entry)
    assert journal.open_faults() == []


def test_a_fault_that_cannot_be_healed_stays_in_the_journal(journal: Journal) -> None:
    entry = injection.prepare(journal, "hold-static-pod", "cp2", HOLD)
    with pytest.raises(Unreachable):
        injection.heal(site(FakeGuests({"": Unreachable("cp2 is gone")})), journal, entry)
    assert journal.open_faults() == [entry]
    injection.heal(site(FakeGuests()), journal, entry)
    assert journal.open_faults() == []


def test_all_faults_are_healed_the_youngest_first_and_failures_do_not_stop_it(journal: Journal) -> None:
    one, two, three = (
        injection.prepare(journal, "hold-static-pod", machine, HOLD) for machine in ("cp1", "cp2", "cp3")
    )
    gone = CommandFailed("no", code=1)
    healed: list[Entry] = []
    failed = injection.heal_all(site(FakeGuests({"cp2: ": gone})), journal, healed=healed.append)
    assert healed == [three, one]
    assert failed == [(two, gone)]
    assert journal.open_faults() == [two]


def test_a_fault_of_another_version_is_said_and_kept(journal: Journal) -> None:
    entry = Entry("1", "set-fire", "cp1")
    journal.opened(entry)
    with pytest.raises(LabProblem, match="set-fire"):
        injection.heal(site(FakeGuests()), journal, entry)
    assert journal.open_faults() == [entry]
