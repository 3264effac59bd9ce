"""A lab without machines on which drills are played: what is found of the tasks is scripted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from halab.config.drill import Act, Drill, Violation
from halab.drill.attempt import Attempt
from halab.drill.grade import Finding, Sighting, TaskState, ViolationState
from halab.drill.lab_actions import InjectedBreak
from halab.drill.library import DrillScript
from halab.drill.play import DrillDeps
from halab.faults.journal import Entry, Journal
from halab.lifecycle.lab import LabDir, open_file
from halab.progress import Progress
from support.fakes import Recorded, brought_up

DRILL = """
title: An API server is gone
difficulty: easy
course: test
estimated_time: 5m
requires: {control_planes: 3}
initial_situation: One is missing.
objective: All are back.
break: [{inject: hold-static-pod, name: held, on: any-cp, with: {pod: kube-apiserver}}]
tasks:
  back: {text: All answer., points: 60, expect: {probe: ready-direct, on: all-cp, ok: within 5s}}
  held-once: {text: It worked., points: 10, mode: edge, check: test_it.py}
  who: {text: "Which machine?", points: 30, answer: "{held.name}"}
hints: [{cost: 5, text: "Not {held.name}?"}, {cost: 10, text: Look.}]
solve: [{on: held, run: "restore {self}"}]
wrong: {restart: [{on: held, run: restart}], wait: [{on: held, run: wait}]}
time_limit: 10m
debrief: It was {held.name}.
"""


@dataclass
class DrillRoom:
    """`found` is what every check finds, and `sighted` what it sees of violations.

    `did` has all steps, `recorded` the moments at which a sampler was asked for.
    `during` is called in the step of that name, and `errors` are raised by it.
    """

    folder: Path
    lab: str = "ha"
    found: dict[str, TaskState] = field(default_factory=dict)
    sighted: dict[Violation, Sighting] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    during: dict[str, Callable[[], None]] = field(default_factory=dict)
    did: list[str] = field(default_factory=list)
    recorded: list[float] = field(default_factory=list)
    at: datetime = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
    progress: Recorded = field(default_factory=Recorded)

    def __post_init__(self) -> None:
        (self.folder / "lab.yml").write_text(f"name: {self.lab}\n")
        self.work = brought_up(self.folder, self.lab)
        self.write(DRILL)
        (self.folder / "test_it.py").write_text("def test_it(): pass\n")

    def write(self, text: str) -> None:
        (self.folder / "mine.yml").write_text(text)

    @property
    def name(self) -> str:
        return str(self.folder / "mine.yml")

    @property
    def lab_dir(self) -> LabDir:
        return open_file(self.folder / "lab.yml")

    @property
    def deps(self) -> DrillDeps:
        return DrillDeps(
            self._require,
            self._restore,
            self._break,
            self._observe,
            lambda: self.at,
            self._record,
            self._look,
        )

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def act(self, lab_dir: LabDir, attempt: Attempt, acts: Sequence[Act], progress: Progress) -> None:
        """What an author's script does: `restore` solves the drill."""
        self._step(acts[0].run.split()[0])
        if acts[0].run.startswith("restore"):
            self.found = dict.fromkeys(("back", "held-once"), TaskState.DONE)

    def _step(self, name: str) -> None:
        self.did.append(name)
        self.during.get(name, lambda: None)()
        if name in self.errors:
            raise self.errors[name]

    def _record(self, lab_dir: LabDir, attempt: Attempt, now: datetime) -> None:
        if "record" in self.errors:
            raise self.errors["record"]
        self.recorded.append(attempt.seconds(now))

    def _require(self, lab_dir: LabDir) -> None:
        self._step("require")

    def _look(self, lab_dir: LabDir, drill: Drill, attempt: Attempt) -> Mapping[Violation, Sighting]:
        self._step("look")
        absent = Sighting(ViolationState.ABSENT)
        return {name: self.sighted.get(name, absent) for name in drill.fail_if}

    def _restore(self, lab_dir: LabDir, progress: Progress) -> None:
        self._step("restore-lab")
        self.found, self.sighted = {}, {}
        lab_dir.work.journal.unlink(missing_ok=True)

    def _break(self, lab_dir: LabDir, script: DrillScript, progress: Progress) -> InjectedBreak:
        Journal(lab_dir.work.journal).opened(
            Entry("42", "hold-static-pod", "cp2", {"pod": "kube-apiserver"})
        )
        self._step("break")
        lab_dir.work.journal.unlink()
        return InjectedBreak({"held": ["cp2"]})

    def _observe(
        self, lab_dir: LabDir, drill: Drill, attempt: Attempt, progress: Progress
    ) -> Mapping[str, Finding]:
        self._step("observe")
        return {name: Finding(state, f"{name} on cp2") for name, state in self.found.items()}
