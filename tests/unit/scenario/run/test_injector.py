"""Faults of a run: on all their machines at once, in the journal and on the timeline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeClock, FakeGuests, Recorded, lab_of

from halab.errors import BadUsage, HalabError, HostProblem, TimedOut, Unable
from halab.faults.catalogue import FAULTS
from halab.faults.fault import Fault, Option
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.scenario.record import events
from halab.scenario.record.timeline import Timeline
from halab.scenario.run import by_hand
from halab.scenario.run.injector import Injector


class Burning:
    """A fault that keeps a list of what it did; `broken` are machines on which it fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.burning: list[str] = []
        self.broken: set[str] = set()
        self.refused: set[str] = set()
        options = {"whom": Option("a target", default="", is_target=True)}
        fault = Fault("burn", "Burn.", self.inject, self.heal, options, check=self.check)
        monkeypatch.setitem(FAULTS, "burn", fault)

    def check(self, site: Site, entry: Entry) -> None:
        if entry.machine in self.refused:
            raise Unable(f"cannot burn: {entry.machine}")

    def inject(self, site: Site, entry: Entry) -> str:
        if entry.machine in self.broken:
            raise TimedOut(f"does not burn: {entry.machine}")
        self.burning.append(entry.machine)
        return "burns"

    def heal(self, site: Site, entry: Entry) -> None:
        if entry.machine in self.broken and entry.machine in self.burning:
            raise HalabError(f"still burns: {entry.machine}")
        if entry.machine in self.burning:
            self.burning.remove(entry.machine)


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Burning:
    return Burning(monkeypatch)


@pytest.fixture
def injector(tmp_path: Path, fault: Burning) -> Injector:
    unused: Any = None
    clock = FakeClock()
    site = Site(lab_of(), FakeGuests(), clock, unused, unused)
    journal, timeline = Journal(tmp_path / "journal.jsonl"), Timeline(tmp_path / "timeline.jsonl", clock)
    return Injector(site, unused, journal, timeline, Recorded(), seed=1)


def recorded(injector: Injector, kind: type[events.FaultEvent]) -> list[str]:
    faults = events.select(injector.timeline.records, kind)
    return sorted(f"{fault.name} on {fault.machine}" for _, fault in faults)


def test_the_lines_after_the_first_are_the_detail_of_an_effect(
    injector: Injector, fault: Burning, monkeypatch: pytest.MonkeyPatch
) -> None:
    detailed = replace(FAULTS["burn"], inject=lambda site, entry: "burns\n-wood\n+ash")
    monkeypatch.setitem(FAULTS, "burn", detailed)
    injector.inject("burn", "fire", ["cp1"], {})
    ((_, event),) = events.select(injector.timeline.records, events.FaultInjected)
    assert (event.effect, event.detail) == ("burns", "-wood\n+ash")
    assert any(line.endswith(": burns") for line in injector.progress.lines)  # type: ignore[attr-defined]


def test_a_fault_hits_all_its_machines_with_separate_records(injector: Injector, fault: Burning) -> None:
    injector.inject("burn", "fire", ["cp1", "cp3"], {})
    assert sorted(fault.burning) == ["cp1", "cp3"]
    assert recorded(injector, events.FaultStarted) == ["fire on cp1", "fire on cp3"]
    assert recorded(injector, events.FaultInjected) == ["fire on cp1", "fire on cp3"]
    assert {entry.machine for entry in injector.journal.open_faults()} == {"cp1", "cp3"}
    injector.heal("fire")
    assert fault.burning == []
    assert recorded(injector, events.Healed) == ["fire on cp1", "fire on cp3"]
    assert injector.journal.open_faults() == []


def test_every_machine_is_on_the_record_before_any_is_touched(injector: Injector) -> None:
    injector.inject("burn", "fire", ["all-cp"], {})
    kinds = [type(record.what) for record in injector.timeline.records]
    assert kinds == [events.FaultStarted] * 3 + [events.FaultInjected] * 3


def test_a_later_fault_finds_the_machines_of_an_earlier_one(injector: Injector, fault: Burning) -> None:
    injector.inject("burn", "fire", ["cp2"], {})
    injector.inject("burn", "more", ["fire"], {})
    assert injector.chosen == {"fire": ["cp2"], "more": ["cp2"]}


def test_facts_before_a_fault_are_read_when_its_machines_are_known(injector: Injector) -> None:
    seen: list[object] = []
    injector.inject(
        "burn",
        "fire",
        ["cp2"],
        {},
        before=lambda: seen.append((dict(injector.chosen), injector.timeline.records)),
    )
    assert seen == [({"fire": ["cp2"]}, ())]


def test_options_in_the_journal_name_machines(injector: Injector) -> None:
    injector.inject("burn", "fire", ["cp2"], {"whom": "all-cp"})
    (entry,) = injector.journal.open_faults()
    assert entry.options == {"whom": "cp1,cp3"}


def test_a_fault_that_one_machine_does_not_support_is_injected_on_none(
    injector: Injector, fault: Burning
) -> None:
    fault.refused = {"cp3"}
    with pytest.raises(Unable, match="cannot burn: cp3"):
        injector.inject("burn", "fire", ["cp1", "cp3"], {})
    assert fault.burning == []
    assert injector.journal.open_faults() == []
    assert recorded(injector, events.FaultStarted) == []
    assert recorded(injector, events.FaultRefused) == ["fire on cp3"]


def test_a_fault_does_not_go_where_it_makes_no_sense(injector: Injector) -> None:
    with pytest.raises(BadUsage, match="burn needs a control plane, but this is another machine: lb1"):
        injector.inject("burn", "fire", ["lb"], {})


def test_a_fault_without_effect_on_one_machine_is_still_open_on_all(
    injector: Injector, fault: Burning
) -> None:
    fault.broken = {"cp1"}
    with pytest.raises(TimedOut, match="does not burn: cp1"):
        injector.inject("burn", "fire", ["cp1", "cp2"], {})
    assert sorted(each.entry.machine for each in injector.open) == ["cp1", "cp2"]
    injector.heal_all()
    assert fault.burning == []
    assert injector.journal.open_faults() == []


def test_the_latest_faults_are_healed_first(injector: Injector) -> None:
    injector.inject("burn", "one", ["cp1"], {})
    injector.inject("burn", "two", ["cp2", "cp3"], {})
    injector.heal_all()
    healed = [
        record.what.name for record in injector.timeline.records if isinstance(record.what, events.Healed)
    ]
    assert healed == ["two", "two", "one"]


def test_a_failed_heal_does_not_prevent_the_others(injector: Injector, fault: Burning) -> None:
    injector.inject("burn", "one", ["cp1"], {})
    injector.inject("burn", "two", ["cp2", "cp3"], {})
    fault.broken = {"cp3"}
    injector.heal_what_can_be()
    assert fault.burning == ["cp3"]
    assert [entry.machine for entry in injector.journal.open_faults()] == ["cp3"]
    assert recorded(injector, events.HealFailed) == ["two on cp3"]
    with pytest.raises(HalabError, match="still burns: cp3"):
        injector.heal_all()


def test_healing_a_fault_that_was_not_injected_does_nothing(injector: Injector) -> None:
    injector.heal("fire")
    assert injector.timeline.records == ()


def test_the_first_fault_is_what_recovery_may_count_from(injector: Injector) -> None:
    assert injector.first_injected_at is None
    injector.site.clock.sleep(5)
    injector.inject("burn", "one", ["cp1"], {})
    injector.site.clock.sleep(5)
    injector.inject("burn", "two", ["cp2"], {})
    assert injector.first_injected_at == 5


class FullDisk(Timeline):
    """A record that takes nothing more."""

    is_full = False

    def add(self, event: events.Event) -> events.Record:
        if self.is_full:
            raise HostProblem("cannot write timeline.jsonl: No space left on device")
        return super().add(event)


def test_a_record_that_cannot_be_written_stops_no_heal(
    injector: Injector, fault: Burning, tmp_path: Path
) -> None:
    injector.timeline = FullDisk(tmp_path / "full.jsonl", injector.site.clock)
    injector.inject("burn", "one", ["cp1"], {})
    injector.inject("burn", "two", ["cp2", "cp3"], {})
    injector.timeline.is_full = True
    with pytest.raises(HostProblem, match="No space left"):
        injector.heal("two")
    assert fault.burning == ["cp1"]
    injector.heal_what_can_be()
    assert fault.burning == []
    assert injector.journal.open_faults() == []


def test_a_bug_in_one_heal_stops_no_other(
    injector: Injector, fault: Burning, monkeypatch: pytest.MonkeyPatch
) -> None:
    injector.inject("burn", "one", ["cp1"], {})
    injector.inject("burn", "two", ["cp2"], {})

    def heal(site: Site, entry: Entry) -> None:
        if entry.machine == "cp2":
            raise ZeroDivisionError
        fault.heal(site, entry)

    monkeypatch.setitem(FAULTS, "burn", replace(FAULTS["burn"], heal=heal))
    injector.heal_what_can_be()
    assert fault.burning == ["cp2"]
    injector.inject("burn", "one", ["cp1"], {})
    # and so in the heal that follows a run, and in `halab heal`
    entries = injector.journal.open_faults()
    ((entry, error),) = by_hand.heal_all(injector.site, injector.journal, entries, injector.progress)
    assert (entry.machine, error.message) == ("cp2", "ZeroDivisionError: ")
    assert fault.burning == ["cp2"]
