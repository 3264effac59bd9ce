from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from halab.errors import BadUsage, Corrupted
from halab.scenario.record import events, game_day_events, linearity, timeline
from halab.scenario.record.events import Event, Sample, SteadyCheckPoint
from halab.scenario.record.lines import EVENTS
from halab.scenario.record.timeline import SampleReader, Timeline

_OF = {"name": "n", "fault": "f", "target": "t", "machine": "cp1"}
EVERY: list[Event] = [
    events.RunStarted("2026-11-23T10:15:00+01:00", "s", "ha", {"etcd": "3.7.0"}, 42),
    events.LabSet("check tcp", "tcp"),
    events.Steady(SteadyCheckPoint.BEFORE, True, 1.5, "etcd on cp1"),
    events.StepStarted(0),
    events.FaultStarted(**_OF),
    events.FaultInjected(**_OF, effect="gone"),
    events.FaultInjected(**_OF, effect="edited", detail="-one\n+two"),
    events.JoinEnded(1, "cp1", "kubeadm join", 1, 121.5, ("error: no vote",)),
    events.JoinEnded(1, "cp2", "kubeadm join", None, 180.0, ()),
    events.StepEnded(0),
    events.Fact("etcd-started", "cp1", "123"),
    events.Fact("etcd-leader", None, None),
    events.ExpectationStarted(1),
    events.ExpectationEnded(1),
    events.HealStarted(**_OF),
    events.Healed(**_OF),
    events.HealFailed(**_OF, why="no answer"),
    events.SamplerStarted(),
    events.SamplerStopped({"write-via-lb": 3}),
    events.Ledger(10, 9, (3, 4), 1),
    events.FaultRefused(**_OF, why="no netem"),
    events.Members(7, {"cp1": 4, "cp2": 4}, {"cp1": 300, "cp2": 300}, {"cp2": (3, 4)}),
    linearity.Operations(20, 10, 1, linearity.Linearity.ILLEGAL, 'the answer "7" to a read'),
    events.Audit(("qdisc tbf on eth1 of cp1",)),
    events.Checks(1, 2, None),
    events.Skipped("one control plane"),
    game_day_events.Note("anna", "cp2 hangs", "2026-11-23T10:15:28+01:00"),
    game_day_events.WritesRead(120, (3, 4)),
    game_day_events.Stopped("an outage"),
    events.RunInterrupted("SIGTERM"),
    events.Error("boom", "do this\nor that"),
    events.RunEnded(),
]


class Ticking:
    """A clock that goes on by a second at every look."""

    def __init__(self) -> None:
        self._now = 1000.0

    def now(self) -> float:
        self._now += 1
        return self._now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps here")


def test_every_kind_of_event_is_tried_here() -> None:
    assert {type(event) for event in EVERY} == set(EVENTS.values())


def test_events_are_read_back_as_recorded(tmp_path: Path) -> None:
    record = Timeline(tmp_path / "timeline.jsonl", Ticking())
    for event in EVERY:
        record.add(event)
    read = timeline.read(tmp_path / "timeline.jsonl")
    assert [each.what for each in read] == EVERY
    assert [each.t for each in read] == list(range(1, len(EVERY) + 1))
    assert tuple(read) == record.records


def test_a_record_is_on_disk_when_add_returns(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    Timeline(path, Ticking()).add(events.Error("boom"))
    assert json.loads(path.read_text()) == {"t": 1.0, "event": "error", "what": "boom", "hint": ""}


def test_a_half_written_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    Timeline(path, Ticking()).add(events.RunEnded())
    with path.open("a") as sink:
        sink.write('{"t": 2.0, "event": "err')
    assert [each.what for each in timeline.read(path)] == [events.RunEnded()]


def test_a_missing_timeline_is_empty(tmp_path: Path) -> None:
    assert timeline.read(tmp_path / "none.jsonl") == []
    assert timeline.read_samples(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        "{}",
        '{"t": 1}',
        '{"t": 1, "event": "unheard-of"}',
        '{"t": 1, "event": "steady"}',
        '{"t": "x"}',
        '{"t": 1, "event": "skipped", "why": "\\ud83d"}',
        "",
    ],
)
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    path.write_text('{"t": 0, "event": "run-ended"}\n' + line + '\n{"t": 3, "event": "run-ended"}\n')
    with pytest.raises(Corrupted, match=r"timeline\.jsonl:2"):
        timeline.read(path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"t": "1", "event": "run-ended"}', 't is not a number of seconds: "1"'),
        ('{"t": true, "event": "run-ended"}', "t is not a number of seconds: true"),
        ('{"t": NaN, "event": "run-ended"}', "t is not a number of seconds: NaN"),
        ('{"t": -1, "event": "run-ended"}', "t is not a number of seconds: -1"),
        ('{"t": 1, "event": ["run-ended"]}', "no such event: "),
        ('{"t": 1, "event": "step-ended", "index": "2"}', "index: input should be a valid integer"),
        ('{"t": 1, "event": "step-ended", "index": 2.0}', "index: input should be a valid integer"),
        (
            '{"t": 1, "event": "steady", "when": "after", "ok": "yes", "seconds": 1, "seen": ""}',
            "ok: input should be a valid boolean",
        ),
        ('{"t": 1, "event": "checks", "passed": 1, "failed": "0"}', "failed: input should be a valid integer"),
        ('{"t": 1, "event": "audit", "leftovers": "none"}', "leftovers: input should be a valid"),
        ('{"t": 1, "event": "sampler-stopped", "samples": {"p": "3"}}', "samples.p: input should be a valid integer"),
        ("[" * 100_000, "it is not JSON"),
    ],
)  # fmt: skip
def test_an_event_with_a_field_of_another_type_is_not_converted(line: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(Corrupted, match=re.escape(f"timeline.jsonl:1: {why}")):
        timeline.read(path)


SAMPLE = {"t": 1, "seconds": 0.1, "probe": "p", "machine": None, "ok": True, "detail": "200", "number": 1}
STATE = {"t": 1, "seconds": 0.1, "state": "s", "machine": None, "value": "up", "detail": ""}


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("ok", "x", 'ok is not true or false: "x"'),
        ("ok", 1, "ok is not true or false: 1"),
        ("ok", None, "ok is not true or false: null"),
        ("t", "1", 't is not a number of seconds: "1"'),
        ("t", float("nan"), "t is not a number of seconds: NaN"),
        ("t", 10**400, "t is not a number of seconds: 1000"),
        ("seconds", float("inf"), "seconds is not a number of seconds: Infinity"),
        ("seconds", -0.1, "seconds is not a number of seconds: -0.1"),
        ("probe", None, "probe is not text: null"),
        ("machine", 1, "machine is not text or null: 1"),
        ("detail", ["200"], 'detail is not text: ["200"]'),
        ("number", "1", 'number is not a whole number or null: "1"'),
        ("number", True, "number is not a whole number or null: true"),
        ("number", 1.5, "number is not a whole number or null: 1.5"),
    ],
)
def test_a_sample_with_a_field_of_another_type_is_not_converted(
    field: str, value: object, why: str, tmp_path: Path
) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (SAMPLE, {**SAMPLE, field: value})))
    with pytest.raises(Corrupted, match=re.escape(f"samples.jsonl:2: {why}")):
        timeline.read_samples(path)


@pytest.mark.parametrize("field", sorted(STATE))
def test_a_reading_needs_all_its_fields(field: str, tmp_path: Path) -> None:
    path = tmp_path / "states.jsonl"
    path.write_text(json.dumps(STATE) + "\n")
    assert len(timeline.read_states(path)) == 1
    for line, why in (
        ({name: value for name, value in STATE.items() if name != field}, f"{field} is missing"),
        ({**STATE, field: True}, f"{field} is not "),
    ):
        path.write_text(json.dumps(line) + "\n")
        with pytest.raises(Corrupted, match=re.escape(f"states.jsonl:1: {why}")):
            timeline.read_states(path)


@pytest.mark.parametrize("field", sorted(SAMPLE))
def test_a_sample_needs_all_its_fields(field: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps({name: value for name, value in SAMPLE.items() if name != field}) + "\n")
    with pytest.raises(Corrupted, match=re.escape(f"samples.jsonl:1: {field} is missing")):
        timeline.read_samples(path)


def test_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    path.write_text('{"t": 0, "event": "run-ended", "mood": "good"}\n')
    assert timeline.read(path)[0].what == events.RunEnded()


def test_samples_with_a_clock_that_went_back_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    times = (4.0, 5.0, 4.95, 2.0)
    path.write_text("".join(Sample(t, 0.1, "p", None, True, "200").to_json() + "\n" for t in times[:3]))
    assert len(timeline.read_samples(path)) == 3
    path.write_text("".join(Sample(t, 0.1, "p", None, True, "200").to_json() + "\n" for t in times))
    with pytest.raises(Corrupted, match=r"time goes back by 2\.9.?s: .*samples\.jsonl:4"):
        timeline.read_samples(path)


def test_samples_are_read_in_the_order_of_their_starts(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    slow, quick = (
        Sample(0.0, 2.0, "p", "cp1", False, "timed out", 7),
        Sample(1.0, 0.1, "p", None, True, "200"),
    )
    path.write_text(quick.to_json() + "\n" + slow.to_json() + "\n")
    assert timeline.read_samples(path) == [slow, quick]
    assert (str(slow.lane), str(quick.lane), slow.end) == ("p@cp1", "p", 2.0)


def test_samples_can_be_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    reader = SampleReader(path)
    assert reader.new() == []
    first, second = Sample(0, 0.1, "p", None, True, "200"), Sample(1, 0.1, "p", None, True, "200")
    half = second.to_json()[:10]
    path.write_text(first.to_json() + "\n" + half)
    assert reader.new() == [first]
    assert reader.new() == []
    with path.open("a") as sink:
        sink.write(second.to_json()[10:] + "\n")
    assert reader.new() == [second]


def test_a_damaged_sample_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(Sample(0, 0.1, "p", None, True, "200").to_json() + '\n{"t": 1}\n')
    with pytest.raises(Corrupted, match=r"samples\.jsonl:2"):
        timeline.read_samples(path)


def test_the_reference_names_every_event_and_its_fields() -> None:
    from halab import data

    text = (data.root() / "docs" / "reference" / "run-folder.md").read_text()
    for name, kind in EVENTS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` ")]
        for field in fields(kind):
            assert f"`{field.name}`" in row, f"{name}: {field.name}"


@pytest.mark.parametrize("read", [timeline.read, timeline.read_samples, timeline.read_states])
def test_evidence_that_is_not_a_regular_file_is_refused_at_once(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    os.mkfifo(tmp_path / "evidence.jsonl")
    with pytest.raises(BadUsage, match="not a regular file"):
        read(tmp_path / "evidence.jsonl")
