"""A simulated lab: from what really happened, the folder that halab would have written.

This uses no code of the judge. What the lab did (outages, lost writes, failed checks) is decided first, and all answers
follow from it. spoiled_evidence.py then spoils the files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]

PERIOD = 0.2
TIME_LIMIT = 2.0
ANSWER = 0.02
FAULT_AT = 3.0
BACK_AFTER_HEAL = 2.0
OTHERS = ("cp1", "cp3")
HIT = "cp2"
WRITES = "write-via-lb"
CHECKS = ("test_members", "test_balancer")

SCENARIO = """\
title: One API server is stopped
teaches: The others answer for it.
steps:
  - inject: hold-static-pod
    name: stopped
    on: any-cp
    with: {{pod: kube-apiserver}}
  - expect: {{probe: ready-direct, on: stopped, fails: within 10s}}
  - wait: {wait}s
  - heal: stopped
  - expect: {{probe: write-via-lb, longest_outage: {bound}s, during: stopped}}
  - expect: {{probe: ready-direct, on: others, ok: always, during: stopped}}
recover: {{steady: within {recover}s}}
checks: [checks/test_members.py, checks/test_balancer.py]
twin: {{replace: {{stopped: nothing}}}}
"""


@dataclass(frozen=True)
class Outage:
    """No answers for `seconds` from `start` on. If it `hangs`, questions that still wait are answered at its end."""

    start: float
    seconds: float
    hangs: bool = False

    @property
    def end(self) -> float:
        return self.start + self.seconds


@dataclass(frozen=True)
class Truth:
    """What the lab did. Times of outages are seconds since the run began."""

    wait: float = 6.0
    bound: float = 3.0
    writes_out: tuple[Outage, ...] = ()
    others_out: tuple[tuple[str, Outage], ...] = ()
    fault_works: bool = True
    steady_after: float = 8.0
    recover: float = 30.0
    lost: int = 0
    differs: bool = False
    failed_checks: int = 0

    @property
    def looked_at(self) -> float:
        """How many seconds the run waited to see the fault."""
        return 1.5 if self.fault_works else 14.5

    @property
    def injected_at(self) -> float:
        return FAULT_AT + 0.5

    @property
    def healed_from(self) -> float:
        return self.injected_at + self.looked_at + self.wait

    @property
    def sampled_until(self) -> float:
        return self.healed_from + self.steady_after + 0.3

    def outages(self, lane: str) -> list[Outage]:
        if lane == WRITES:
            return list(self.writes_out)
        machine = lane.partition("@")[2]
        if machine == HIT:
            back = self.healed_from + BACK_AFTER_HEAL
            return [Outage(FAULT_AT + 0.3, back - FAULT_AT - 0.3)] if self.fault_works else []
        return [outage for name, outage in self.others_out if name == machine]


@dataclass
class Files:
    """The evidence of a run, before it is written."""

    truth: Truth
    scenario: str
    meta: Line
    timeline: list[Line]
    samples: list[Line]
    checks: str | None

    def event(self, name: str) -> Line:
        return next(each for each in self.timeline if each["event"] == name)

    def write(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "scenario.yml").write_text(self.scenario)
        (folder / "meta.json").write_text(json.dumps(self.meta))
        (folder / "timeline.jsonl").write_text("".join(json.dumps(each) + "\n" for each in self.timeline))
        (folder / "samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in self.samples))
        if self.checks is not None:
            (folder / "checks.xml").write_text(self.checks)


def simulate(truth: Truth) -> Files:
    """What a working sampler and an undisturbed runner record of that truth."""
    samples = _samples(truth)
    return Files(
        truth=truth,
        # a file whose wait is shorter than its bound is refused; a run may have been quicker than its file
        scenario=SCENARIO.format(
            wait=max(truth.wait, truth.bound), bound=truth.bound, recover=truth.recover
        ),
        meta=_meta(),
        timeline=_timeline(truth, samples),
        samples=samples,
        checks=checks_xml(truth.failed_checks),
    )


def _samples(truth: Truth) -> list[Line]:
    """In the order in which a sampler writes them: by their ends."""
    found: list[Line] = []
    lanes: Sequence[tuple[str, str | None]] = (
        (WRITES, None),
        *(("ready-direct", machine) for machine in (*OTHERS, HIT)),
    )
    number = 0
    for place, (probe, machine) in enumerate(lanes):
        lane = f"{probe}@{machine}" if machine else probe
        asked = 0.6 + place * 0.03
        while asked < truth.sampled_until:
            number += probe == WRITES
            seconds, ok, detail = _answer(asked, truth.outages(lane))
            found.append(
                {
                    "t": round(asked, 4), "seconds": round(seconds, 4), "probe": probe, "machine": machine,
                    "ok": ok, "detail": detail, "number": number if probe == WRITES else None,
                }
            )  # fmt: skip
            asked += PERIOD
    return sorted(found, key=lambda each: each["t"] + each["seconds"])


def _answer(asked: float, outages: Sequence[Outage]) -> tuple[float, bool, str]:
    during = next((each for each in outages if each.start <= asked < each.end), None)
    if during is None:
        return ANSWER, True, "200"
    if not during.hangs:
        return 0.002, False, "connection refused"
    waited = during.end - asked + ANSWER
    return (waited, True, "200") if waited < TIME_LIMIT else (TIME_LIMIT, False, "timed out")


def _timeline(truth: Truth, samples: Sequence[Line]) -> list[Line]:
    fault = {"name": "stopped", "fault": "hold-static-pod", "target": "any-cp", "machine": HIT}
    injected, healed = truth.injected_at, truth.healed_from
    went_on = injected + truth.looked_at
    acknowledged = [each["number"] for each in samples if each["number"] and each["ok"]]
    counts: dict[str, int] = {}
    for each in samples:
        lane = f"{each['probe']}@{each['machine']}" if each["machine"] else each["probe"]
        counts[lane] = counts.get(lane, 0) + 1
    machines = (*OTHERS, HIT)
    hashes = dict.fromkeys(machines, 7)
    if truth.differs:
        hashes[HIT] = 8
    over = truth.sampled_until
    steady_after = healed + truth.steady_after
    written = sum(each["number"] is not None for each in samples)
    run: list[tuple[float, str, Line]] = [
        (
            0.0,
            "run-started",
            {"wall": "2026-11-23T10:15:00+01:00", "scenario": "made-up", "lab": "ha", "seed": 1},
        ),
        (0.4, "steady", {"when": "before", "ok": True, "seconds": 0.4, "seen": "etcd on cp1"}),
        (0.5, "sampler-started", {}),
        (FAULT_AT, "step-started", {"index": 0}),
        (FAULT_AT, "fault-started", fault),
        (injected, "fault-injected", {**fault, "effect": "it stopped"}),
        (injected, "step-ended", {"index": 0}),
        *_step(1, injected, went_on, "expectation"),
        *_step(2, went_on, healed),
        (healed, "step-started", {"index": 3}),
        (healed, "heal-started", fault),
        (healed + 0.2, "healed", fault),
        (healed + 0.2, "step-ended", {"index": 3}),
        *_step(4, healed + 0.2, healed + 0.2, "expectation"),
        *_step(5, healed + 0.2, healed + 0.2, "expectation"),
        (
            steady_after,
            "steady",
            {"when": "after", "ok": True, "seconds": truth.steady_after - 0.2, "seen": "etcd on cp1"},
        ),
        (over + 0.1, "sampler-stopped", {"samples": counts}),
        (
            over + 2.5,
            "ledger",
            {
                "written": written,
                "acknowledged": len(acknowledged),
                "missing": acknowledged[: truth.lost],
                "unacknowledged_found": 0,
            },
        ),
        (
            over + 2.9,
            "members",
            {"revision": 900, "hashes": hashes, "keys": dict.fromkeys(machines, 500), "missing": {}},
        ),
        (
            over + 6.0,
            "checks",
            {"passed": len(CHECKS) - truth.failed_checks, "failed": truth.failed_checks, "error": None},
        ),
        (over + 7.0, "audit", {"leftovers": []}),
        (over + 7.1, "run-ended", {}),
    ]
    return [{"t": round(t, 4), "event": event, **values} for t, event, values in run]


def _step(index: int, start: float, end: float, kind: str = "") -> list[tuple[float, str, Line]]:
    inside = [(start, f"{kind}-started"), (end, f"{kind}-ended")] if kind else []
    events = [(start, "step-started"), *inside, (end, "step-ended")]
    return [(t, event, {"index": index}) for t, event in events]


def checks_xml(failed: int, files: Sequence[str] = CHECKS) -> str:
    """What pytest writes: a test in each file, of which the first ones failed."""
    cases = "".join(
        f'<testcase classname="{name}" name="test_it" time="0.1">'
        + ('<failure message="assert 2 == 3">assert 2 == 3</failure>' if number < failed else "")
        + "</testcase>"
        for number, name in enumerate(files)
    )
    counts = f'errors="0" failures="{failed}" skipped="0" tests="{len(files)}"'
    return f'<?xml version="1.0"?><testsuites><testsuite name="pytest" {counts}>{cases}</testsuite></testsuites>'


def _meta() -> Line:
    machines = [{"name": "lb1", "role": "lb", "address": "10.213.7.10"}]
    machines += [
        {"name": f"cp{number}", "role": "cp", "address": f"10.213.7.1{number}"} for number in (1, 2, 3)
    ]
    return {
        "scenario": "made-up", "lab": "ha", "started": "2026-11-23T10:15:00+01:00", "provider": "docker",
        "load_balancer": "haproxy", "kubernetes": "1.37.2", "machines": machines, "schema": 1,
    }  # fmt: skip
