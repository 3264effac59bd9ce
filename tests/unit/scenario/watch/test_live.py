"""The live view: probes of the last minute, states and changes."""

from __future__ import annotations

from halab.config.expectation import FactName
from halab.scenario.record.events import Sample, StateReading
from halab.scenario.record.lanes import Lane
from halab.scenario.watch.live import STATE_NAMES, WINDOW_SECONDS, Cell, Live


def sample(t: float, *, ok: bool = True, probe: str = "read-via-lb", machine: str | None = None) -> Sample:
    return Sample(t, 0.005, probe, machine, ok, "200" if ok else "timed out")


def leader(t: float, value: str | None) -> StateReading:
    return StateReading(t, 0.001, "etcd-leader", None, value)


def said(live: Live) -> list[str]:
    return [change.text for change in live.changes(100)]


def test_a_failing_probe_is_reported_once_and_again_when_it_recovers() -> None:
    live = Live()
    live.add_samples([sample(0), sample(1, ok=False), sample(2, ok=False), *map(sample, (3, 4, 5, 6))])
    assert said(live) == ["read-via-lb fails: timed out", "read-via-lb answers again, after 4.0 s"]
    assert [change.is_bad for change in live.changes(2)] == [True, False]


def test_one_ok_answer_between_failures_is_not_a_recovery() -> None:
    live = Live()
    live.add_samples([sample(1, ok=False), sample(2), sample(3, ok=False)])
    assert said(live) == ["read-via-lb fails: timed out"]
    now = live.now(Lane("read-via-lb"))
    assert (now.ok, now.since, now.detail) == (False, 1, "timed out")


def test_the_last_minute_is_divided_into_cells_with_the_oldest_first() -> None:
    live = Live()
    live.add_samples([sample(1), sample(58.5), sample(59.1, ok=False), sample(59.2)])
    cells = live.cells(59.9, Lane("read-via-lb"), 60)
    assert (cells[-1].asked, cells[-1].failed) == (2, 1)
    assert cells[-2] == Cell(1, 0, 0.005)
    assert cells[1].asked == 1
    assert sum(cell.asked for cell in cells) == 4


def test_a_drawn_cell_does_not_change_when_it_moves() -> None:
    live = Live()
    live.add_samples([sample(10 + number / 10, ok=number % 7 != 0) for number in range(100)])
    earlier = live.cells(20.3, Lane("read-via-lb"), 60)
    assert live.cells(21.3, Lane("read-via-lb"), 60)[:-1] == earlier[1:]


def test_the_failed_share_is_of_the_last_minute() -> None:
    live = Live()
    live.add_samples([sample(0, ok=False), sample(70), sample(71, ok=False), sample(72), sample(73)])
    assert live.failed_share(73, Lane("read-via-lb")) == 0.25


def test_old_samples_are_forgotten() -> None:
    live = Live()
    live.add_samples(map(sample, range(1000)))
    assert len(live._lanes[Lane("read-via-lb")].samples) <= 2 * WINDOW_SECONDS + 1


def test_probes_through_the_load_balancer_come_first() -> None:
    live = Live()
    live.add_samples([
        sample(1, probe="ready-direct", machine="cp1"), sample(1), sample(1, probe="etcd-direct", machine="cp2")
    ])  # fmt: skip
    assert tuple(map(str, live.lanes)) == ("read-via-lb", "etcd-direct@cp2", "ready-direct@cp1")


def test_a_new_leader_is_a_change_with_both_names() -> None:
    live = Live()
    live.add_readings([leader(1, "cp1"), leader(2, None), leader(3, "cp2")])
    assert said(live) == ["the etcd leader: cp1 → cp2"]
    assert live.state(3.5, "etcd-leader") == "cp2"


def test_a_state_without_a_recent_answer_is_unknown() -> None:
    live = Live()
    live.add_readings([leader(1, "cp1"), leader(6, None)])
    assert live.state(2, "etcd-leader") == "cp1"
    assert live.state(6, "etcd-leader") is None
    assert live.state(6, "backend", "cp1") is None


def test_a_backend_that_goes_down_is_bad_and_one_that_comes_up_is_not() -> None:
    live = Live()
    live.add_readings(
        [StateReading(t, 0, "backend", "cp2", value) for t, value in ((1, "up"), (2, "down"), (3, "up"))]
    )
    assert [(change.text, change.is_bad) for change in live.changes(5)] == [
        ("backend on cp2: up → down", True),
        ("backend on cp2: down → up", False),
    ]


def test_a_new_term_is_not_reported_as_a_change() -> None:
    live = Live()
    live.add_readings([StateReading(t, 0, "etcd-term", None, str(t)) for t in (1, 2, 3)])
    assert said(live) == []
    assert live.state(3, "etcd-term") == "3"


def test_machines_and_faults_that_come_and_go_are_changes() -> None:
    live = Live()
    live.see_machines(1, {"cp1": "running"})
    live.see_faults(1, ["cut-power on cp2"])
    live.see_machines(2, {"cp1": "off"})
    live.see_faults(2, ["freeze on cp1"])
    assert said(live) == ["cp1: running → off", "fault: freeze on cp1", "healed: cut-power on cp2"]
    assert (live.machine("cp1"), live.machine("cp9"), live.faults) == ("off", "", ("freeze on cp1",))


def test_every_change_is_reported_once() -> None:
    live = Live()
    live.see_machines(1, {"cp1": "running"})
    live.see_machines(2, {"cp1": "off"})
    count, changes = live.changes_after(0)
    assert (count, len(changes)) == (1, 1)
    assert live.changes_after(count) == (1, [])


def test_a_member_and_a_unit_that_change_are_reported() -> None:
    live = Live()
    values = [("etcd-member", "voter"), ("kubelet.service", "active"), ("etcd-memory", "60")]
    live.add_readings([StateReading(1, 0, state, "cp2", value) for state, value in values])
    values = [("etcd-member", "absent"), ("kubelet.service", "failed"), ("etcd-memory", "61")]
    live.add_readings([StateReading(2, 0, state, "cp2", value) for state, value in values])
    assert [(change.text, change.is_bad) for change in live.changes(5)] == [
        ("etcd member on cp2: voter → absent", True),
        ("kubelet.service on cp2: active → failed", True),
    ]


def test_a_view_may_look_back_further() -> None:
    live = Live(300.0)
    live.add_samples([sample(1, ok=False), *map(sample, range(2, 290))])
    assert live.failed_share(290, Lane("read-via-lb")) == 1 / 289
    assert live.cells(290, Lane("read-via-lb"), 150)[4] == Cell(1, 1)


def test_every_state_with_known_values_has_a_name() -> None:
    # a unit has its own name
    states = {fact for fact in FactName if fact.traits.values} - {FactName.UNIT_STATE}
    missing = sorted(states - STATE_NAMES.keys())
    assert not missing, f"add to STATE_NAMES in halab/scenario/watch/live.py: {', '.join(missing)}"
