"""A game day without machines: its notice, its book and its record are real, and grow as a test says."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from halab.gameday import book, library, notice
from halab.machines.work import Work
from halab.report.render import render
from halab.scenario.record import events
from halab.scenario.record.events import Record, Sample, SteadyCheckPoint
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result
from support.run_builder import META

DAY = """\
title: Two failures
about: A hung API server answers nobody.
lasts: 10m
needs: {control_planes: 3}
breaks:
  - name: first-api
    at: 1m
    heal_after: 3m
    steps: [{inject: pause-process, name: hung, on: any-cp, with: {process: kube-apiserver}}]
  - name: no-kubelet
    at: 5m
    steps: [{inject: stop-service, name: stopped, on: cp3, with: {service: kubelet}}]
stop: {outage: {write-via-lb: 60s, read-via-lb: 60s}}
"""
# What the team must not know: breaks, faults, machines, the aim, the seed and the file.
SECRETS = (
    "first-api",
    "no-kubelet",
    "pause-process",
    "stop-service",
    "hung",
    "answers nobody",
    "seed",
    "storm.yml",
)
WHOLE = {"name": "game-day", "fault": "nothing", "target": "cp1", "machine": "cp1"}
HUNG = {"name": "hung", "fault": "pause-process", "target": "any-cp", "machine": "cp2"}
STOPPED = {"name": "stopped", "fault": "stop-service", "target": "cp3", "machine": "cp3"}
PROBES = ("read-via-lb", "write-via-lb")
# The game day begins this long after its run.
BEGIN = 3.0


@dataclass
class DayRoom:
    """`began` is when the run begins. Times are in seconds after it."""

    folder: Path
    work: Work
    began: datetime
    text: str = DAY
    acknowledged: int = 0
    _sampled: float = BEGIN - 2
    _counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROBES, 0))
    _undo: ExitStack = field(default_factory=ExitStack)

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.work.runs / "20261128-120000-storm")

    def open(self) -> None:
        """The process of a game day has begun; its record is empty."""
        self.file.write_text(self.text)
        self._undo.enter_context(book.opened(self.work))

    @property
    def file(self) -> Path:
        return self.folder / "storm.yml"

    def prepare(self) -> None:
        """The folder of the run is there, and the notice is posted."""
        found, run = library.find(self.file, 7), self.run
        run.make()
        run.scenario.write_bytes(found.script.content)
        run.game_day.write_bytes(found.content)
        meta = replace(
            META, is_game_day=True, scenario="storm", seed=7, started=self.began.isoformat("T", "seconds")
        )
        run.meta.write_text(meta.to_json())
        notice.post(self.work, notice.of(found, 7), run)
        self.happen(0.0, events.RunStarted(meta.started, "storm", "ha"))

    def begin(self) -> None:
        self.open()
        self.prepare()
        self.happen(0.4, events.Steady(SteadyCheckPoint.BEFORE, True, 0.4, "etcd on cp1"))
        self.happen(0.5, events.SamplerStarted())
        self.happen(
            BEGIN,
            events.FaultStarted(**WHOLE),
            events.FaultInjected(**WHOLE, effect="nothing"),
            events.StepEnded(0),
        )
        for index in (1, 2):
            self.happen(BEGIN, events.ExpectationStarted(index), events.ExpectationEnded(index))

    def happen(self, t: float, *what: events.Event) -> None:
        with self.run.timeline.open("a") as sink:
            for event in what:
                sink.write(Record(t, event).to_json() + "\n")

    def sample(self, until: float, *, fails: bool = False) -> None:
        """Both probes ask until then, twice a second."""
        with self.run.samples.open("a") as sink:
            while self._sampled < until:
                for probe in PROBES:
                    self._counts[probe] += 1
                    number = self._counts[probe] if probe.startswith("write") else None
                    self.acknowledged += number is not None and not fails
                    sample = Sample(
                        self._sampled, 0.01, probe, None, not fails, "503" if fails else "200", number
                    )
                    sink.write(sample.to_json() + "\n")
                self._sampled += 0.5

    def inject(self, t: float, fault: dict[str, str], effect: str = "it hangs") -> None:
        self.happen(t, events.FaultStarted(**fault), events.FaultInjected(**fault, effect=effect))

    def heal(self, t: float, fault: dict[str, str]) -> None:
        self.happen(t, events.HealStarted(**fault), events.Healed(**fault))

    def end(self, t: float) -> Result:
        """Everything is healed; the verdict and the report are written, and the process ends."""
        self.heal(t, WHOLE)
        self.sample(t + 6)
        self.happen(t + 5, events.Steady(SteadyCheckPoint.AFTER, True, 5.0, "etcd on cp1"))
        self.happen(t + 6, events.SamplerStopped(dict(self._counts)))
        machines = META.control_planes
        self.happen(
            t + 7,
            events.Ledger(self._counts["write-via-lb"], self.acknowledged, (), 0),
            events.Members(9, dict.fromkeys(machines, 7), dict.fromkeys(machines, 70)),
            events.Audit(()),
            events.RunEnded(),
        )
        result = render(self.run)
        self.close()
        return result

    def close(self) -> None:
        """The process of the game day ends, or is killed if nothing was rendered."""
        self._undo.close()
