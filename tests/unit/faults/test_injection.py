"""Injecting and healing with the journal kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeClock, FakeGuests, lab_of

from halab.errors import LabProblem, Unable, Unreachable
from halab.faults import injection
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Fault, Option, nothing_to_heal
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site

HOLD = {"pod": "kube-apiserver"}


def site(guests: FakeGuests) -> Site:
    unused: Any = None
    return Site(lab_of(), guests, FakeClock(), unused, unused)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def test_a_fault_is_recorded_before_it_acts(journal: Journal) -> None:
    def answer(call: Call) -> str:
        assert [entry.fault for entry in journal.open_faults()] == ["hold-static-pod"]
        return ""

    guests = FakeGuests({"": answer})
    entry = injection.plan(site(FakeGuests()), "hold-static-pod", "cp2", HOLD)
    assert journal.open_faults() == []
    assert injection.inject(site(guests), journal, entry) == "kube-apiserver is stopped"
    injection.heal(site(guests), journal, entry)
    assert journal.open_faults() == []


def test_a_fault_that_cannot_be_healed_stays_in_the_journal(journal: Journal) -> None:
    entry = injection.plan(site(FakeGuests()), "hold-static-pod", "cp2", HOLD)
    journal.opened(entry)
    with pytest.raises(Unreachable):
        injection.heal(site(FakeGuests({"": Unreachable("cp2 is gone")})), journal, entry)
    assert journal.open_faults() == [entry]
    injection.heal(site(FakeGuests()), journal, entry)
    assert journal.open_faults() == []


def test_a_fault_of_another_version_stays_in_the_journal(journal: Journal) -> None:
    entry = Entry("1", "set-fire", "cp1")
    journal.opened(entry)
    with pytest.raises(LabProblem, match="set-fire"):
        injection.heal(site(FakeGuests()), journal, entry)
    assert journal.open_faults() == [entry]


def test_an_impossible_fault_is_refused_before_it_is_recorded(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(site: Site, entry: Entry) -> None:
        raise Unable(f"no clock of its own: {entry.machine}")

    shift = Fault("shift", "Shift.", lambda site, entry: "", nothing_to_heal, check=refuse)
    monkeypatch.setitem(FAULTS, "shift", shift)
    with pytest.raises(Unable, match="no clock of its own: cp1"):
        injection.plan(site(FakeGuests()), "shift", "cp1", {})
    assert journal.open_faults() == []


def test_options_that_were_not_given_have_their_defaults() -> None:
    entry = injection.plan(site(FakeGuests()), "kill-process", "cp1", {"process": "etcd"})
    assert entry.options == {"process": "etcd", "signal": "KILL"}


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"pod": "etcd"}, []),
        ({}, ["hold needs the option pod (a pod)"]),
        ({"pod": "etcd", "por": "1"}, ["hold has no option por; it takes from, pod"]),
        ({"pod": "../../x"}, ["pod: should be a pod, such as etcd, not ../../x"]),
        ({"pod": "etcd\n"}, ["pod: should be a pod, such as etcd, not etcd\n"]),
        # a target is looked up when the fault hits
        ({"pod": "etcd", "from": "anything"}, []),
    ],
)
def test_options_are_checked(given: dict[str, str], problems: list[str]) -> None:
    options = {
        "pod": Option("a pod", "[a-z]+", "etcd"),
        "from": Option("whom", "[A-Z]", default="", is_target=True),
    }
    hold = Fault("hold", "Hold.", lambda site, entry: "", nothing_to_heal, options)
    assert list(hold.problems_with(given)) == problems


def test_every_fault_says_what_it_does_and_what_it_takes() -> None:
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.does.endswith(".")
        for option in fault.options.values():
            assert option.means
            assert not option.means.endswith(".")
            if option.example:
                assert not list(
                    Fault(name, "", fault.inject, fault.heal, {"x": option}).problems_with(
                        {"x": option.example}
                    )
                )


def test_a_default_is_a_value_that_the_fault_takes() -> None:
    for fault in FAULTS.values():
        given = {name: option.default for name, option in fault.options.items() if option.default}
        lacking = ("needs the option", "changes nothing")
        wrong = [each for each in fault.problems_with(given) if not any(what in each for what in lacking)]
        assert wrong == [], fault.name
