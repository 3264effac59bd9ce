"""Build runs second by second, for tests of verdicts and drawings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from halab.config.lab import ProviderKind
from halab.config.load_balancer import Balancer
from halab.config.loading import loads
from halab.config.scenario import Scenario
from halab.config.step import Expect, Heal, Inject, Join, Wait
from halab.scenario.record import events
from halab.scenario.record.check_results import CheckResult, CheckState
from halab.scenario.record.events import Event, Record, Sample, StateReading, SteadyCheckPoint
from halab.scenario.record.folder import Evidence, MachineNote, Meta
from halab.scenario.record.lanes import TIME_LIMIT_SECONDS, Lane
from halab.scenario.record.outage import Samples
from halab.scenario.record.states import States
from halab.scenario.verdict.result import Result

RATE_HERTZ = 5
CONTROL_PLANES = ("cp1", "cp2", "cp3")
LANES = (
    ("ready-via-lb", None),
    ("read-via-lb", None),
    ("write-via-lb", None),
    *((probe, machine) for machine in CONTROL_PLANES for probe in ("ready-direct", "write-direct")),
)

META = Meta(
    scenario="made-up",
    lab="ha",
    started="2026-11-23T10:15:00+01:00",
    provider=ProviderKind.DOCKER,
    load_balancer=Balancer.HAPROXY,
    load_balancer_check="readyz",
    kubernetes="1.37.2",
    machines=(
        MachineNote("lb1", "lb", "10.213.7.10"),
        *(MachineNote(name, "cp", f"10.213.7.1{number}") for number, name in enumerate(CONTROL_PLANES, 1)),
    ),
    command=("halab", "run", "made-up", "--seed", "42"),
    versions={"etcd": "3.7.0", "containerd": "2.2.9"},
    seed=42,
)

STOP = """
title: One API server is stopped
teaches: The others answer for it.
needs: {control_planes: 3}
steps:
  - inject: hold-static-pod
    name: stopped
    on: any-cp
    with: {pod: kube-apiserver}
  - expect: {probe: ready-direct, on: stopped, fails: within 10s}
  - wait: 10s
  - heal: stopped
  - expect: {probe: write-via-lb, longest_outage: 5s, during: stopped}
  - expect: {probe: ready-direct, on: others, ok: always, during: stopped}
recover: {steady: within 90s}
twin: {replace: {stopped: nothing}}
"""


def scenario(text: str = STOP) -> Scenario:
    return loads(text, "made-up.yml", Scenario)


def samples(
    probe: str = "write-via-lb",
    machine: str | None = None,
    *,
    start: float = 0.0,
    end: float = 60.0,
    out: Iterable[tuple[float, float]] = (),
    missing: Iterable[tuple[float, float]] = (),
    hertz: float = RATE_HERTZ,
    timeout: float = 0.002,
) -> list[Sample]:
    """Samples at a fixed rate; those that start in `out` fail, and there are none in `missing`."""
    out, missing = list(out), list(missing)
    made = []
    for number in range(round((end - start) * hertz)):
        t = round(start + number / hertz, 4)
        if any(first <= t < last for first, last in missing):
            continue
        ok = not any(first <= t < last for first, last in out)
        seconds = 0.02 if ok else timeout
        made.append(Sample(t, seconds, probe, machine, ok, "200" if ok else "connection refused"))
    return made


def readings(
    state: str,
    machine: str | None,
    values: Mapping[float, str | None],
    *,
    end: float = 60.0,
    missing: Iterable[tuple[float, float]] = (),
    hertz: float = RATE_HERTZ,
) -> list[StateReading]:
    """Readings at a fixed rate; `values` maps the start of every value to the value."""
    missing = list(missing)
    made = []
    for number in range(round((end - min(values)) * hertz)):
        t = round(min(values) + number / hertz, 4)
        if any(first <= t < last for first, last in missing):
            continue
        value = values[max(moment for moment in values if moment <= t)]
        made.append(StateReading(t, 0.02, state, machine, value, "" if value else "no answer"))
    return made


def lane(pattern: str, *, hertz: float = 5, start: float = 0.0) -> list[Sample]:
    """`+` ok, `-` failed, `.` not asked, `h` given up after two seconds, `s` ok after one and a half."""
    made = []
    for number, mark in enumerate(pattern):
        if mark != ".":
            seconds = {"h": 2.0, "s": 1.5}.get(mark, 0.01)
            made.append(Sample(start + number / hertz, seconds, "p", None, mark in "+s", "refused"))
    return made


def leaders(**options: Any) -> list[StateReading]:
    """cp2 leads, until a while after the fault."""
    return readings("etcd-leader", None, {0: "cp2", 6.2: None, 8.2: "cp3"}, **options)


def waiting(words: str) -> str:
    """The scenario with another expectation directly after its fault."""
    return STOP.replace("probe: ready-direct, on: stopped, fails: within 10s", words)


def ledger(**changes: Any) -> Callable[[Event], Event]:
    return lambda event: replace(event, **changes) if isinstance(event, events.Ledger) else event


def with_values(event: Event, **values: Any) -> Event:
    """The event with these values, if it has fields of these names."""
    return replace(event, **values) if all(hasattr(event, name) for name in values) else event


def measured(result: Result) -> dict[str, float]:
    """All measured values by name."""
    values = {
        f"{outcome.name}: {figure.name}": figure.value
        for outcome in result.outcomes
        for figure in outcome.figures
    }
    for impact in result.impacts:
        for name in ("failed_after_seconds", "good_after_seconds", "good_after_heal_seconds"):
            value = getattr(impact, name)
            if value is not None:
                values[f"{impact.fault}: {impact.lane} {name}"] = value
    return values


@dataclass
class MadeRun:
    """A run of `stop-apiserver` on cp2 that passes unless a field is changed."""

    text: str = STOP
    machine: str = "cp2"
    meta: Meta = META
    baseline: float = 5.0
    inject_seconds: float = 1.0
    heal_seconds: float = 0.5
    expect_seconds: float = 2.0
    recover_seconds: float = 12.0
    out: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    missing: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    facts: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    drop: Callable[[Event], bool] = lambda event: False
    change: Callable[[Event], Event] = lambda event: event
    extra: list[Record] = field(default_factory=list)
    states: list[StateReading] = field(default_factory=list)
    # how every join ends: the command, its exit code, its seconds, its output
    join: tuple[str, int | None, float, tuple[str, ...]] | None = None
    checks: list[CheckResult] | None = None
    changed_samples: Callable[[list[Sample]], list[Sample]] = lambda samples: samples

    def evidence(self) -> Evidence:
        played = scenario(self.text)
        played = played.losing() if self.meta.is_twin else played
        records, end = self._records(played)
        taken = Samples(self.changed_samples(self._samples(end)), limit_seconds=TIME_LIMIT_SECONDS)
        made = recounted(Evidence(self.meta, played, records, taken, self.checks, States(self.states)))
        records = [
            replace(each, what=self.change(each.what)) for each in made.records if not self.drop(each.what)
        ]
        return replace(made, records=sorted([*records, *self.extra], key=lambda each: each.t))

    def _records(self, played: Scenario) -> tuple[list[Record], float]:
        t, records = 0.0, []
        still_open: dict[str, dict[str, str]] = {}

        def add(event: Event, seconds: float = 0.0) -> None:
            nonlocal t
            t = round(t + seconds, 4)
            records.append(Record(t, event))

        def heal(of: dict[str, str]) -> None:
            add(events.HealStarted(**of))
            add(events.Healed(**of), self.heal_seconds)

        add(events.RunStarted(self.meta.started, self.meta.scenario, self.meta.lab))
        add(events.Steady(SteadyCheckPoint.BEFORE, True, 0.4, "etcd on cp1"), 0.4)
        add(events.SamplerStarted(), 0.1)
        t += self.baseline
        for index, step in enumerate(played.steps):
            add(events.StepStarted(index))
            if isinstance(step, Inject):
                of = {"name": step.name, "fault": step.fault, "target": step.target, "machine": self.machine}
                for fact, (before, _) in self.facts.items():
                    add(events.Fact(fact, self.machine, before))
                add(events.FaultStarted(**of), 0.01)
                add(events.FaultInjected(**of, effect="it stopped"), self.inject_seconds)
                still_open[step.name] = of
            elif isinstance(step, Heal):
                heal(still_open.pop(step.name))
            elif isinstance(step, Wait):
                t += step.seconds
            elif isinstance(step, Join) and self.join:
                command, code, seconds, output = self.join
                add(events.JoinEnded(index, self.machine, command, code, seconds, output), seconds)
            elif isinstance(step, Expect):
                add(events.ExpectationStarted(index))
                t += self.expect_seconds if step.expectation.during is None else 0
                for fact, (_, after) in self.facts.items():
                    add(events.Fact(fact, self.machine, after))
                add(events.ExpectationEnded(index))
            add(events.StepEnded(index))
        for name in list(reversed(still_open)):
            heal(still_open.pop(name))
        add(
            events.Steady(SteadyCheckPoint.AFTER, True, self.recover_seconds, "etcd on cp1"),
            self.recover_seconds,
        )
        add(events.SamplerStopped({}), 0.1)
        end = t
        add(events.Ledger(0, 0, (), 3), 0.5)
        if played.checks:
            states = [each.state for each in self.checks or [PASSED]]
            add(events.Checks(states.count(CheckState.PASSED), states.count(CheckState.FAILED)), 4.0)
        add(events.RunEnded(), 0.1)
        return records, end

    def _samples(self, end: float) -> list[Sample]:
        made = []
        for probe, machine in LANES:
            lane = str(Lane(probe, machine))
            out = self.out.get(lane, [])
            if machine == self.machine and lane not in self.out:
                # the fault begins at 5.51 s, is real a second later and is healed 12 s after that
                out = [(6.0, 22.0)]
            missing = self.missing.get(lane, [])
            taken = samples(probe, machine, start=0.6, end=end, out=out, missing=missing)
            if lane == "write-via-lb":
                # every write has a number: 0 at 0.6 s, five a second
                taken = [replace(sample, number=number) for number, sample in enumerate(taken)]
            made += taken
        return made


def recounted(evidence: Evidence) -> Evidence:
    """The evidence with counts at the end of the run that agree with its samples."""
    acknowledged, written = evidence.history.ledger()

    def counted(event: Event) -> Event:
        if isinstance(event, events.SamplerStopped):
            return events.SamplerStopped(
                {str(lane): count for lane, count in evidence.samples.counts.items()}
            )
        if isinstance(event, events.Ledger):
            return replace(event, written=written, acknowledged=len(acknowledged))
        return event

    return replace(evidence, records=[replace(each, what=counted(each.what)) for each in evidence.records])


PASSED = CheckResult("checks.test_etcd", "test_members_are_healthy", CheckState.PASSED, 1.0)
FAILED = CheckResult(
    "checks.test_etcd",
    "test_members_are_healthy",
    CheckState.FAILED,
    1.0,
    "assert 2 == 3",
    "E assert 2 == 3",
)
