from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.run_builder import LANES, STOP, MadeRun, with_values
from support.states_builder import (
    DIRECT,
    MACHINES,
    QUIET_DIRECT,
    QUIET_PROBES,
    QUIET_STATES,
    THROUGH,
    power_cut,
    readings,
)

from halab.config.expectation import FactName
from halab.report import axis, narrative
from halab.report.axis import Label, Strip
from halab.report.changes import changes
from halab.report.drawing import Drawing, Pictures, Row, draw
from halab.report.state_lanes import OF_MACHINES, leaders, of_machines
from halab.scenario.record import events
from halab.scenario.record.events import Record, Sample, StateReading
from halab.scenario.record.folder import Evidence
from halab.scenario.record.lanes import Lane
from halab.scenario.record.outage import Samples
from halab.scenario.record.states import States
from halab.scenario.verdict.verdict import judge


def drawn(evidence: Evidence) -> Pictures:
    return draw(evidence, judge(evidence))


def row(drawing: Drawing, name: str) -> Row:
    (row,) = [row for row in drawing.rows if row.name == name]
    return row


def leader_strip(values: Sequence[tuple[float, str | None]]) -> Strip:
    """The strip of the etcd leader in a run whose fault begins at 5.51 s and whose heal begins at 18.51 s."""
    read = readings("etcd-leader", None, values, end=31.0)
    evidence = replace(MadeRun().evidence(), states=States(read))
    (strip,) = leaders(evidence.history, axis.Scale(0.6, 31.0))
    return strip


def above(labels: Sequence[Label]) -> list[str]:
    return [label.text for label in labels if label.is_above]


def test_the_label_of_a_new_leader_has_the_time_since_the_fault() -> None:
    strip = leader_strip([(0, "cp2"), (6.8, "cp3")])
    assert above(strip.labels) == ["cp3, 1.3s after the fault"]
    assert [label.text for label in strip.labels if not label.is_above] == ["cp2", "cp3"]
    assert [bar.kind for bar in strip.bars] == ["leader-2", "leader-3"]


def test_a_new_leader_after_the_heal_is_counted_from_the_heal() -> None:
    assert above(leader_strip([(0, "cp2"), (21.0, "cp1")]).labels) == ["cp1, 2.5s after the heal"]


def test_the_label_of_a_new_leader_before_any_fault_has_its_time() -> None:
    assert above(leader_strip([(0, "cp2"), (3.0, "cp1")]).labels) == ["cp1, at 3.0s"]


def test_a_gap_between_two_times_of_the_same_leader_is_hatched_and_no_change() -> None:
    strip = leader_strip([(0, "cp2"), (6.0, None), (9.0, "cp2")])
    assert [bar.kind for bar in strip.bars] == ["leader-2", "unknown", "leader-2"]
    assert above(strip.labels) == []
    assert strip.note == "no change"


def test_a_short_gap_between_two_equal_values_is_ignored() -> None:
    assert len(leader_strip([(0, "cp2"), (6.0, None), (7.0, "cp2")]).bars) == 1


def test_a_time_without_readings_is_hatched() -> None:
    read = readings("etcd-leader", None, [(0, "cp2")], end=31.0)
    sparse = States(reading for reading in read if not 10 <= reading.t < 15)
    evidence = replace(MadeRun().evidence(), states=sparse)
    (strip,) = leaders(evidence.history, axis.Scale(0.6, 31.0))
    assert [bar.kind for bar in strip.bars] == ["leader-2", "unknown", "leader-2"]


def test_an_unknown_leader_has_its_own_colour() -> None:
    assert {bar.kind for bar in leader_strip([(0, "somebody")]).bars} == {"leader-0"}


@pytest.mark.parametrize(
    ("code", "output", "text"),
    [
        (0, ("[etcd] joined",), "kubeadm join on cp2 succeeded after 20s"),
        (
            1,
            ("error: no vote", "use --v=5"),
            "kubeadm join on cp2 failed with exit code 1 after 20s: error: no vote",
        ),
        (None, (), "kubeadm join on cp2 did not end and was stopped after 20s: no output"),
    ],
)
def test_the_end_of_a_join_is_in_the_narrative(code: int | None, output: tuple[str, ...], text: str) -> None:
    ended = events.JoinEnded(1, "cp2", "kubeadm join", code, 20.0, output)
    evidence = MadeRun(extra=[Record(12.0, ended)]).evidence()
    assert (12.0, text) in narrative.narrative(evidence)


def test_changes_of_leaders_are_in_the_narrative() -> None:
    sentences = [text for _, text in narrative.narrative(power_cut())]
    assert "cp3 replaces cp2 as etcd leader, 1.3s after inject power-cut" in sentences


def test_a_machine_that_was_switched_off_has_a_lane() -> None:
    machine = row(drawn(power_cut()).main, "machine cp2")
    assert [bar.kind for bar in machine.bars] == ["fine", "off", "changing", "fine"]
    assert [label.text for label in machine.labels] == ["off"]


@pytest.mark.parametrize(("fault", "kinds"), [("freeze", "frozen"), ("reset", "off"), ("cut-link", "apart")])
def test_the_bar_of_a_machine_shows_the_kind_of_fault(fault: str, kinds: str) -> None:
    evidence = power_cut()
    records = [replace(record, what=with_values(record.what, fault=fault)) for record in evidence.records]
    machine = row(drawn(replace(evidence, records=records)).main, "machine cp2")
    assert kinds in {bar.kind for bar in machine.bars}


def test_the_labels_of_a_backend_show_the_times_until_down_and_up() -> None:
    backend = row(drawn(power_cut()).main, "backend cp2")
    assert above(backend.labels) == ["down, 2.1s after the fault", "up, 5.9s after the heal"]
    assert backend.note == "down 16.8s"


def test_a_node_without_heartbeat_is_down() -> None:
    node = row(drawn(power_cut()).main, "node cp2")
    assert [bar.kind for bar in node.bars] == ["fine", "down", "fine"]


def test_there_is_a_lane_of_alarms_only_after_an_alarm() -> None:
    evidence = power_cut()
    assert not [row for row in drawn(evidence).main.rows if "alarm" in row.name]
    alarmed = [*readings("etcd-alarm", "cp1", [(0, "none"), (9.0, "NOSPACE")], end=31.0)]
    evidence = replace(evidence, states=States(alarmed))
    assert row(drawn(evidence).main, "etcd alarm cp1").note == "NOSPACE 21.8s"


# what is folded


def test_quiet_lanes_are_folded_and_all_are_in_the_second_picture() -> None:
    pictures = drawn(power_cut())
    folded = [(row.name, row.note) for row in pictures.main.rows if row.name.endswith(" others")]
    assert (f"{QUIET_DIRECT} others", "no outage") in folded
    assert folded.count((f"{QUIET_STATES} others", "always fine")) == 1
    assert pictures.quiet.lanes == QUIET_PROBES + QUIET_STATES
    assert "backend, node: cp1, cp3, cp4, cp5" in pictures.folded
    (direct,) = [text.removesuffix(": cp1, cp3, cp4, cp5") for text in pictures.folded if "-direct" in text]
    assert sorted(direct.split(", ")) == sorted(DIRECT)
    assert not {row.name for row in pictures.quiet.rows if not row.is_head} & {
        row.name for row in pictures.main.rows
    }


def test_more_quiet_machines_add_no_lanes() -> None:
    assert drawn(power_cut(MACHINES)).main.lanes == drawn(power_cut(MACHINES[:3])).main.lanes


def test_a_lane_with_a_promise_is_shown_even_if_nothing_failed() -> None:
    assert row(drawn(MadeRun().evidence()).main, "write-via-lb").note == "no outage"


def test_lanes_are_in_the_order_ready_read_others() -> None:
    names = [row.name for row in drawn(power_cut()).quiet.rows]
    assert [name for name in names if name in THROUGH][:2] == ["ready-via-lb", "read-via-lb"]
    assert "watch-via-lb" in names


def test_a_run_without_states_has_no_lanes_of_states() -> None:
    heads = [row.name for row in drawn(MadeRun().evidence()).main.rows if row.is_head]
    assert heads == ["Faults and recovery", "Through the load balancer", "Direct to the machines"]


def test_a_run_without_anything_is_drawn_without_lanes() -> None:
    skipped = [Record(0.1, events.Skipped("no"))]
    evidence = replace(MadeRun().evidence(), records=skipped, samples=Samples())
    assert drawn(evidence).main.lanes == 0


# probes


def test_every_lane_is_drawn_and_a_single_failure_is_visible() -> None:
    pictures = drawn(MadeRun(out={"read-via-lb": [(9, 9.1)]}).evidence())
    # both pictures together: every probe, the fault and the recovery, and two lines that stand for others
    assert pictures.main.lanes + pictures.quiet.lanes == len(LANES) + 2 + 1
    read = row(pictures.main, "read-via-lb")
    failed = [bar for bar in read.bars if bar.kind == "failed"]
    assert len(failed) == 1
    assert failed[0].width >= 1.5
    assert above(read.labels) == ["220ms"]


def test_an_outage_is_drawn_until_the_answer_that_ends_it() -> None:
    def hanging(taken: list[Sample]) -> list[Sample]:
        first_good = next(sample for sample in taken if sample.probe == "write-via-lb" and sample.t >= 10)
        others = [sample for sample in taken if sample.probe != "write-via-lb" or not 10 <= sample.t < 12]
        return [*others, replace(first_good, seconds=1.9)]

    run = MadeRun(out={"write-via-lb": [(9, 10)]}, changed_samples=hanging)
    write = row(drawn(run.evidence()).main, "write-via-lb")
    (failed,) = [bar for bar in write.bars if bar.kind == "failed"]
    (label,) = write.labels
    assert failed.x < label.x < failed.x + failed.width
    assert label.text == "2.9s"


def test_times_without_samples_are_drawn_as_unknown() -> None:
    read = row(drawn(MadeRun(missing={"read-via-lb": [(8, 12)]}).evidence()).main, "read-via-lb")
    assert [bar.kind for bar in read.bars] == ["ok", "unknown", "ok"]


def test_bars_stay_inside_the_drawing_and_do_not_overlap() -> None:
    pictures = drawn(MadeRun(out={"write-via-lb": [(7, 8), (8.4, 9), (20, 90)]}).evidence())
    for lane in [*pictures.main.rows, *pictures.quiet.rows]:
        right = 0.0
        for bar in lane.bars:
            assert bar.x >= axis.LEFT
            assert bar.x + bar.width <= axis.WIDTH
            assert bar.x >= right - 1.6
            right = bar.x + bar.width


# labels

TIMES = st.lists(st.floats(0.6, 30, allow_nan=False), min_size=0, max_size=12)


@given(TIMES, TIMES)
def test_labels_of_a_lane_stay_inside_and_do_not_overlap(outages: list[float], turns: list[float]) -> None:
    out = [(t, t + 0.3 + t / 10) for t in outages]
    values = [(0.0, "cp1"), *((t, f"cp{number % 3 + 1}") for number, t in enumerate(sorted(turns), 1))]
    evidence = replace(
        MadeRun(out={"write-via-lb": out, "ready-direct@cp1": out}).evidence(),
        states=States(readings("kcm-leader", None, values, end=31.0)),
    )
    for lane in drawn(evidence).main.rows:
        for is_above in (True, False):
            places = sorted(axis.extent(label) for label in lane.labels if label.is_above is is_above)
            for (_, end), (start, _) in zip(places, places[1:], strict=False):
                assert end <= start
            for start, end in places:
                assert start >= axis.LEFT - 1
                assert end <= axis.WIDTH + 1


def test_texts_of_many_faults_do_not_overlap() -> None:
    faults = [
        Record(
            6 + number / 10,
            events.FaultStarted(f"a-fault-with-a-long-name-{number}", "freeze", "cp1", "cp1"),
        )
        for number in range(20)
    ]
    moments = [moment for moment in drawn(MadeRun(extra=faults).evidence()).main.moments if moment.text]
    places: dict[float, list[tuple[float, float]]] = {}
    for moment in moments:
        width = axis.width_of(moment.text)
        start = moment.x - width if moment.is_left else moment.x
        places.setdefault(moment.y, []).append((start, start + width))
    for line in places.values():
        for (_, end), (start, _) in zip(sorted(line), sorted(line)[1:], strict=False):
            assert end <= start


def test_a_long_name_is_cut_and_complete_in_the_tooltip() -> None:
    name = "a-fault-with-a-name-of-forty-characters1"
    long = row(
        drawn(MadeRun(text=STOP.replace("stopped", name)).evidence()).main, "a-fault-with-a-name-of-fo…"
    )
    assert long.tip == f"{name}, on cp2"


def test_a_fault_on_several_machines_is_one_lane() -> None:
    evidence = MadeRun().evidence()
    others = [
        replace(record, what=with_values(record.what, machine="cp3"))
        for record in evidence.records
        if getattr(record.what, "machine", None) == "cp2"
    ]
    records = sorted([*evidence.records, *others], key=lambda record: record.t)
    assert row(drawn(replace(evidence, records=records)).main, "stopped").note == "on cp2, cp3"


def test_a_fault_that_was_never_healed_is_drawn_until_the_end() -> None:
    evidence = MadeRun(drop=lambda event: isinstance(event, events.HealStarted | events.Healed)).evidence()
    bars = row(drawn(evidence).main, "stopped").bars
    assert bars[-1].x + bars[-1].width == pytest.approx(axis.WIDTH - axis.RIGHT, abs=1)


def test_a_lane_without_readings_has_no_changes() -> None:
    assert changes(power_cut().history, Lane("no-such-state")) == []


def test_thousands_of_changes_give_a_few_hundred_bars() -> None:
    read = [StateReading(0.6 + t / 600, 0.001, "etcd-leader", None, f"cp{t % 3 + 1}") for t in range(18_000)]
    evidence = replace(MadeRun().evidence(), states=States(read))
    assert len(row(drawn(evidence).main, "etcd").bars) <= 901


def machine_strips(read: list[StateReading]) -> dict[str, Strip]:
    evidence = replace(MadeRun().evidence(), states=States(read))
    return {strip.name: strip for _, strip in of_machines(evidence.history, axis.Scale(0.6, 31.0))}


def test_a_member_that_is_a_learner_and_an_endpoint_that_is_gone_are_drawn_as_bad() -> None:
    strips = machine_strips(
        [
            *readings("etcd-member", "cp2", [(0, "voter"), (6, "learner")], end=31.0),
            *readings(
                "kubernetes-endpoint", "cp2", [(0, "listed"), (6, "absent"), (20, "listed")], end=31.0
            ),
        ]
    )
    assert [bar.kind for bar in strips["etcd member cp2"].bars] == ["fine", "down"]
    assert strips["etcd member cp2"].note.startswith("learner 24")
    assert strips["endpoint cp2"].note == "not listed 14s"


def test_a_unit_has_a_lane_on_the_machines_that_have_it() -> None:
    strips = machine_strips(
        [
            *readings("kubelet.service", "cp2", [(0, "active"), (6, "inactive")], end=31.0),
            *readings("kubelet.service", "lb1", [(0, None)], end=31.0),
        ]
    )
    assert strips.keys() == {"kubelet.service cp2"}
    assert strips["kubelet.service cp2"].note.startswith("inactive 24")


def test_the_lane_of_a_memory_shows_its_range_and_when_it_was_unknown() -> None:
    values: list[tuple[float, str | None]] = [(0, "200"), (6, "480"), (10, None), (20, "90")]
    strip = machine_strips(list(readings("kube-apiserver-memory", "cp2", values, end=31.0)))[
        "API memory cp2"
    ]
    assert strip.note == "90 to 480 MiB"
    assert [bar.kind for bar in strip.bars] == ["fine", "unknown", "fine"]


def test_the_api_server_of_a_node_has_the_colours_of_the_control_planes() -> None:
    read = readings("backend-of", "w1", [(0, "cp2"), (6.8, "cp3")], end=31.0)
    evidence = replace(MadeRun().evidence(), states=States(read))
    ((machine, strip),) = of_machines(evidence.history, axis.Scale(0.6, 31.0))
    assert (machine, strip.name, strip.note) == ("w1", "API server w1", "1 change")
    assert [bar.kind for bar in strip.bars] == ["leader-2", "leader-3"]
    assert above(strip.labels) == ["cp3, 1.3s after the fault"]


def test_every_state_of_machines_with_a_good_value_has_a_lane() -> None:
    # a lane of a unit has the name of the unit
    good = {
        fact: fact.traits.good_value
        for fact in FactName
        if fact.is_of_a_machine and fact.traits.good_value and fact is not FactName.UNIT_STATE
    }
    first = {state: next(iter(values)) for state, (_, values) in OF_MACHINES.items()}
    assert first == good, "OF_MACHINES in halab/report/state_lanes.py has the good value of each first"
