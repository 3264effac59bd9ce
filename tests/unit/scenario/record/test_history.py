"""The history of a run: its events by kind, and its faults."""

from __future__ import annotations

from dataclasses import replace

from support.run_builder import META, MadeRun

from halab.config.expectation import ProbeExpectation
from halab.scenario.record import events
from halab.scenario.record.events import Record, SteadyCheckPoint
from halab.scenario.record.folder import MachineNote


def test_events_of_a_kind_come_with_their_times_in_order() -> None:
    again = Record(60.0, events.Audit(("a file on cp1",)))
    history = MadeRun(extra=[again, Record(50.0, events.Audit(()))]).evidence().history
    assert history.events(events.Audit) == [(50.0, events.Audit(())), (60.0, again.what)]
    assert history.events(events.Error) == []


def test_the_last_wait_for_the_steady_state_counts() -> None:
    late = events.Steady(SteadyCheckPoint.AFTER, False, 9.0, "etcd on cp1")
    history = MadeRun(extra=[Record(90.0, late)]).evidence().history
    assert history.steady(SteadyCheckPoint.AFTER) == (90.0, late)


def test_a_fault_has_the_times_of_all_its_events() -> None:
    (fault,) = MadeRun().evidence().history.faults
    assert (fault.name, fault.machine, fault.effect) == ("stopped", "cp2", "it stopped")
    assert fault.injected is not None
    assert fault.heal_started is not None
    assert fault.healed is not None
    assert fault.started < fault.injected < fault.heal_started < fault.healed


def test_an_event_of_a_fault_that_never_started_is_ignored() -> None:
    healed = events.Healed("other", "freeze", "cp1", "cp1")
    history = MadeRun(extra=[Record(30.0, healed)]).evidence().history
    assert [fault.name for fault in history.faults] == ["stopped"]


def test_the_others_are_members_for_what_only_members_have() -> None:
    apart = tuple(MachineNote(f"etcd{number}", "etcd", f"10.213.7.4{number}") for number in (1, 2, 3))
    run = MadeRun(meta=replace(META, machines=(*META.machines, *apart)))
    history = run.evidence().history

    def asked(probe: str, on: str) -> list[str | None]:
        words = {"probe": probe, "on": on, "longest_outage": "5s", "during": "stopped"}
        return history.machines_asked(1, ProbeExpectation.model_validate(words))

    assert asked("ready-direct", "others") == ["cp1", "cp3"]
    assert asked("etcd-direct", "others") == ["etcd1", "etcd2", "etcd3"]
    assert asked("etcd-direct", "all-etcd") == ["etcd1", "etcd2", "etcd3"]
    assert asked("ready-direct", "all-cp") == ["cp1", "cp2", "cp3"]
