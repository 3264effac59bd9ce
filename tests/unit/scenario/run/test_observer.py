"""The facts that a run reads while it waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.fakes import Call, FakeClock, FakeGuests, Recorded, lab_of
from support.run_builder import scenario

from halab.config.lab import ProviderKind
from halab.config.lab_traits import LabTraits
from halab.config.load_balancer import Balancer
from halab.config.step import Expect
from halab.faults.processes import short
from halab.faults.site import Site
from halab.scenario.record import events
from halab.scenario.record.events import Sample
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.timeline import Timeline
from halab.scenario.run.facts import Reader
from halab.scenario.run.observer import Observer
from halab.scenario.verdict.evaluation import evaluate
from halab.scenario.verdict.judgement import JudgementState

# etcd is back after a minute and a half, its API server at once
SLOW_ETCD = """
title: etcd is killed
teaches: It comes back.
needs: {control_planes: 3}
steps:
  - inject: kill-process
    name: dead
    on: cp1
    with: {process: etcd}
  - expect: {fact: etcd-started, on: dead, changed: within 3m}
  - expect: {fact: kube-apiserver-started, on: dead, changed: within 60s}
  - heal: dead
  - expect: {fact: kubelet-started, on: dead, changed: within 60s}
recover: {steady: within 90s}
twin: {replace: {dead: nothing}}
"""
BACK_AFTER = {"etcd": 90.0, "kube-apiserver": 1.0, "kubelet": 1.0}


class Stage:
    """A fault was injected just now; nothing was read since."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.guests = FakeClock(), FakeGuests({"pgrep": self._started})
        self.timeline = Timeline(folder / "timeline.jsonl", self.clock)
        unused: Any = None
        self.shown = Recorded()
        site = Site(lab_of(), self.guests, self.clock, unused, unused)
        self.killed_at = float("inf")
        setting = LabTraits("1.37.2", ProviderKind.DOCKER, Balancer.HAPROXY, 3)
        self.observer = Observer(
            scenario(SLOW_ETCD), setting, site.lab, self.clock, self.timeline, RunFolder(folder),
            Reader(site, self.timeline), self.shown,
        )  # fmt: skip
        self.observer.read_before({"dead": ["cp1"]})
        self.clock.sleep(1)
        self.timeline.add(events.StepStarted(0))
        self.timeline.add(events.FaultStarted("dead", "kill-process", "cp1", "cp1"))
        self.killed_at = self.clock.now()
        self.timeline.add(events.FaultInjected("dead", "kill-process", "cp1", "cp1", effect="gone"))
        self.timeline.add(events.StepEnded(0))

    def expect(self, index: int) -> None:
        step = self.observer.scenario.steps[index]
        assert isinstance(step, Expect)
        self.timeline.add(events.StepStarted(index))
        self.observer.expect(index, step.expectation)
        self.timeline.add(events.StepEnded(index))

    def asked(self, process: str) -> int:
        return sum(_looks_for(process, call) for call in self.guests.calls)

    def _started(self, call: Call) -> str:
        process = next(each for each in BACK_AFTER if _looks_for(each, call))
        return "2000" if self.clock.now() >= self.killed_at + BACK_AFTER[process] else "1000"


def _looks_for(process: str, call: Call) -> bool:
    return f"-x {short(process)})" in call.command


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_fact_whose_limit_has_begun_is_read_while_the_run_waits_for_another(stage: Stage) -> None:
    stage.expect(1)
    assert stage.clock.now() >= stage.killed_at + 90
    stage.expect(2)
    judged = evaluate(stage.observer.history(), 2, stage.timeline.now())
    assert judged.state is JudgementState.MET
    assert judged.figures[0].value < 2


def test_a_promise_that_is_broken_is_shown_as_bad(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACK_AFTER, "kube-apiserver", 10000.0)
    stage.expect(1)
    stage.expect(2)
    kept, broken = [line for line in stage.shown.lines if not line.startswith("begin")]
    assert kept.startswith("end expect etcd-started")
    assert broken.startswith("bad expect kube-apiserver-started")


def test_a_fact_that_was_read_in_time_is_not_read_again(stage: Stage) -> None:
    stage.expect(1)
    assert stage.asked("etcd") > 400
    assert stage.asked("kube-apiserver") < 10


def test_a_fact_after_another_step_is_not_read_before_it(stage: Stage) -> None:
    before = stage.asked("kubelet")
    stage.expect(1)
    stage.expect(2)
    assert stage.asked("kubelet") == before


def test_all_samples_are_counted_after_an_interrupt_during_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(tmp_path)
    lines = [Sample(t, 0.1, "read-via-lb", None, True, "200").to_json() + "\n" for t in range(5)]
    stage.observer.folder.samples.write_text("".join(lines))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(stage.observer.samples, "add", interrupted)
        stage.observer.read_new()
    assert stage.observer.counts() == {"read-via-lb": 5}


CHOOSING = SLOW_ETCD.replace(
    "{control_planes: 3}", "{control_planes: 3, workers: 1, load_balancer: local}"
).replace(
    "  - heal: dead",
    "  - expect: {fact: backend-of, on: w1, changed: within 5s}\n  - heal: dead",
)


def test_the_choice_of_a_node_is_known_before_the_fault(tmp_path: Path) -> None:
    guests, clock = FakeGuests({"^w1: .*show sess": "cp3", "pgrep": "1000"}), FakeClock()
    timeline = Timeline(tmp_path / "timeline.jsonl", clock)
    unused: Any = None
    site = Site(lab_of(load_balancer={"kind": "local"}, workers=1), guests, clock, unused, unused)
    setting = LabTraits("1.37.2", ProviderKind.DOCKER, Balancer.LOCAL, 3)
    observer = Observer(
        scenario(CHOOSING), setting, site.lab, clock, timeline, RunFolder(tmp_path), Reader(site, timeline), Recorded()
    )  # fmt: skip
    observer.read_before({})
    recorded = [read for _, read in events.select(timeline.records, events.Fact)]
    assert events.Fact("backend-of", "w1", "cp3") in recorded
    # a kubelet that is connected to none has no value
    guests.answers["^w1: .*show sess"] = ""
    observer.read_before({})
    assert len(events.select(timeline.records, events.Fact)) == 2 * (len(recorded) - 1) + 1
