"""The log of a game day: who did what when, and what clients saw."""

from __future__ import annotations

import json
from dataclasses import replace

from support.run_builder import META

from halab.config.loading import loads
from halab.config.scenario import Scenario
from halab.config.twin import Verdict
from halab.report import game_day, page
from halab.scenario.record import events, game_day_events
from halab.scenario.record.events import Record, Sample, SteadyCheckPoint
from halab.scenario.record.folder import Evidence
from halab.scenario.record.outage import Samples
from halab.scenario.verdict.result import PromiseStatus
from halab.scenario.verdict.verdict import judge

SCENARIO = """\
title: Two breaks
teaches: Look before you repair.
steps:
  - {inject: nothing, name: game-day, on: cp1}
  - expect: {probe: write-via-lb, longest_outage: 10s, during: game-day}
  - {inject: pause-process, name: hung, on: any-cp, with: {process: kube-apiserver}}
  - {heal: game-day}
recover: {steady: within 60s}
ledger: all
twin: {}
"""
WHOLE = {"name": "game-day", "fault": "nothing", "target": "cp1", "machine": "cp1"}
HUNG = {"name": "hung", "fault": "pause-process", "target": "any-cp", "machine": "cp2"}


def evidence(*, out_until: float = 24.0, stopped: str = "") -> Evidence:
    """A game day of a minute: the API server hangs from 20 s to 40 s, and clients cannot write for a while."""
    happened: list[tuple[float, events.Event]] = [
        (0.0, events.RunStarted("2026-11-23T10:15:00+01:00", "storm", "ha")),
        (0.4, events.Steady(SteadyCheckPoint.BEFORE, True, 0.4, "etcd on cp1")),
        (0.5, events.SamplerStarted()),
        (3.0, events.FaultStarted(**WHOLE)),
        (3.0, events.FaultInjected(**WHOLE, effect="nothing")),
        (3.0, events.StepEnded(0)),
        (3.0, events.ExpectationStarted(1)),
        (3.0, events.ExpectationEnded(1)),
        (20.0, events.FaultStarted(**HUNG)),
        (20.5, events.FaultInjected(**HUNG, effect="it hangs")),
        (31.0, game_day_events.Note("anna", "cp2 hangs", "2026-11-23T10:15:28+01:00")),
        (32.0, game_day_events.Note("", "nonsense", "yesterday")),
        *([(35.0, game_day_events.Stopped(stopped))] if stopped else []),
        (40.0, events.HealStarted(**HUNG)),
        (40.5, events.Healed(**HUNG)),
        (60.0, events.HealStarted(**WHOLE)),
        (60.0, events.Healed(**WHOLE)),
        (66.0, events.Steady(SteadyCheckPoint.AFTER, True, 6.0, "etcd on cp1")),
    ]
    samples = [
        Sample(
            t / 2, 0.01, "write-via-lb", None, not 21 <= t / 2 < out_until, "200" if t / 2 < 21 else "503", t
        )
        for t in range(2, 130)
    ]
    acknowledged = sum(sample.ok for sample in samples)
    machines = ("cp1", "cp2", "cp3")
    happened += [
        (66.5, events.SamplerStopped({"write-via-lb": len(samples)})),
        (67.0, events.Ledger(len(samples), acknowledged, (), 0)),
        (67.0, events.Members(9, dict.fromkeys(machines, 7), dict.fromkeys(machines, 70))),
        (68.0, events.Audit(())),
        (69.0, events.RunEnded()),
    ]
    return Evidence(
        replace(META, is_game_day=True),
        loads(SCENARIO, "scenario.yml", Scenario),
        [Record(t, event) for t, event in happened],
        Samples(samples),
    )


def told(seen: Evidence) -> list[tuple[str, str, str]]:
    return [(row.clock, row.who, row.what) for row in game_day.log(seen)]


def test_the_log_has_breaks_heals_notes_and_outages_in_the_order_of_time() -> None:
    assert told(evidence()) == [
        ("10:15:03", "halab", "the game day begins"),
        ("10:15:20", "halab", "injects hung: pause-process on cp2 (any-cp)"),
        ("10:15:20", "halab", "hung took effect: it hangs"),
        ("10:15:21", "clients", "write-via-lb fails for 3s (503)"),
        ("10:15:28", "anna", "cp2 hangs"),
        ("10:15:32", "somebody", "nonsense"),
        ("10:15:40", "halab", "hung is healed on cp2"),
        ("10:16:00", "halab", "the game day is over"),
        ("10:16:06", "halab", "the lab is steady again, after 6s"),
    ]


def test_errors_and_interrupts_and_heals_that_fail_are_in_the_log() -> None:
    seen = evidence()
    more = [
        Record(41.0, events.HealFailed(**HUNG, why="no route")),
        Record(42.0, events.Error("break two: too wet", "wait")),
        Record(43.0, events.RunInterrupted("SIGINT")),
    ]
    texts = [what for _, _, what in told(replace(seen, records=[*seen.records, *more]))]
    assert "hung could not be healed on cp2: no route" in texts
    assert "error: break two: too wet; wait" in texts
    assert "interrupted by SIGINT" in texts


def test_a_game_day_passes_if_no_promise_is_broken() -> None:
    result = judge(evidence())
    assert (result.verdict, result.reasons) == (Verdict.PASS, ())


def test_a_game_day_that_was_stopped_fails() -> None:
    result = judge(evidence(stopped="3 of 20 acknowledged writes are lost: 1, 2, 3"))
    assert result.verdict is Verdict.FAIL
    [broken] = result.of(PromiseStatus.BROKEN)
    assert (broken.name, broken.seen) == ("stop", "3 of 20 acknowledged writes are lost: 1, 2, 3")


def test_an_outage_beyond_its_bound_fails_whether_or_not_it_stopped_the_game_day() -> None:
    result = judge(evidence(out_until=33.0))
    assert result.verdict is Verdict.FAIL
    assert any("write-via-lb was out for 12s" in reason for reason in result.reasons)


def test_the_page_and_the_file_have_the_log() -> None:
    seen = evidence(stopped="<late>")
    shown = page.html(judge(seen), seen, logs=[])
    assert "Log of the game day" in shown
    assert "stops, and heals everything: &lt;late&gt;" in shown
    assert "Game day made-up" in shown
    content = json.loads(game_day.to_json(seen))
    assert [fault["name"] for fault in content["faults"]] == ["hung"]
    assert content["outages"] == [{"probe": "write-via-lb", "start": 21.0, "end": 24.0, "detail": "503"}]
    assert {row["who"] for row in content["log"]} == {"halab", "anna", "clients", "somebody"}
