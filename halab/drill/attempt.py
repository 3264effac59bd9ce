"""The state of an attempt on disk, and the history of the attempts that have ended."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from halab import files
from halab.config.drill import Drill, TaskMode, Violation
from halab.config.twin import Verdict
from halab.drill import moments
from halab.drill.grade import Effort, Finding, Grade, Sighting, TaskState
from halab.drill.moments import Moment
from halab.errors import Corrupted, LabProblem
from halab.machines.work import Work
from halab.scenario.sampler.probes import Objects

_START = "`halab drill start NAME` starts one; `halab drill list` lists the drills"
_RESET = "`halab drill reset` restores the lab"


class Phase(StrEnum):
    STARTING = "starting"  # the lab is being prepared; after an interruption, only a reset may follow
    RUNNING = "running"
    OVER = "over"  # graded; the lab is not restored yet


class Ending(StrEnum):
    COMPLETE = "complete"
    FINAL = "final"
    TIME = "time"
    GAVE_UP = "gave-up"
    VIOLATION = "violation"  # something happened that fails the drill
    RESET = "reset"


@dataclass(frozen=True)
class ClientsSaw:
    """What the requests of one probe met during an attempt.

    `outages` are the times, from and to, in which some failed, and `unknown` those in which no request was sent.
    """

    asked: int
    failed: int
    outages: tuple[tuple[float, float], ...] = ()
    unknown: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `verdict` is None for one that ended without a grade.

    `clients` is what clients saw until then, by probe; empty if it was not recorded. `violations` are what failed it,
    with what was seen. `detected_seconds` and `repaired_seconds` are None if they are not known: see `times_of`.
    `timeline` is what happened, in order; empty in histories of older halabs.
    """

    drill: str
    title: str
    seed: int
    started: datetime
    seconds: float
    ending: Ending
    verdict: Verdict | None
    score: int
    points: int
    cost: int
    total: int
    hints: int
    checks: int
    tasks: Mapping[str, TaskState]
    held: Mapping[str, float]
    clients: Mapping[str, ClientsSaw] = field(default_factory=dict)
    violations: Mapping[Violation, str] = field(default_factory=dict)
    detected_seconds: float | None = None
    repaired_seconds: float | None = None
    timeline: tuple[Moment, ...] = ()


@dataclass(frozen=True)
class Identity:
    """What the lab was at the start of an attempt, so that a new cluster or a node that was reset can be told from it.

    `cluster` is the UID of the namespace kube-system. `nodes` are checksums of certificates, by machine. `writes` are
    the numbers of the writes that the API acknowledged while halab broke the lab.
    """

    cluster: str = ""
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    writes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """`chosen` are the machines of the break's faults, by name. `check_files` are the copies, by path as written.

    `held` is when a task was first found done, in seconds since the start, and `since` from when on every check has
    found it done. `found` and `sighted` are what the last check found. `hint_costs` has the cost of each shown hint.
    `moments` are the checks, hints and answers, in order.
    `is_proof` is true for the attempts of an author. `outcome` is None until the attempt is over.
    """

    drill: str
    path: str
    title: str
    seed: int
    started: datetime
    phase: Phase = Phase.STARTING
    chosen: Mapping[str, list[str]] = field(default_factory=dict)
    objects: Objects = Objects()
    identity: Identity = Identity()
    check_files: Mapping[str, str] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)
    since: Mapping[str, float] = field(default_factory=dict)
    found: Mapping[str, Finding] = field(default_factory=dict)
    sighted: Mapping[Violation, Sighting] = field(default_factory=dict)
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hint_costs: tuple[int, ...] = ()
    moments: tuple[Moment, ...] = ()
    checks: int = 0
    is_proof: bool = False
    outcome: Outcome | None = None

    @property
    def effort(self) -> Effort:
        return Effort(frozenset(self.held), self.answers, sum(self.hint_costs))

    def seconds(self, now: datetime) -> float:
        """How long it has lasted. It never runs backwards, whatever the clock of the host did."""
        return max(0.0, (now - self.started).total_seconds())

    def checked(
        self,
        found: Mapping[str, Finding],
        seconds: float,
        sighted: Mapping[Violation, Sighting] | None = None,
        edges: Collection[str] = (),
    ) -> Attempt:
        """The attempt after a check. What held once is remembered with its first time.

        Tasks in `edges` need to hold only once: the timeline does not say that they are no longer done.
        """
        held, since, checks = dict(self.held), dict(self.since), self.checks + 1
        told = {name: finding for name, finding in found.items() if name not in edges or name not in held}
        moment = moments.of_check(checks, round(seconds, 1), self.found, told)
        for name, finding in found.items():
            if finding.state is TaskState.DONE:
                held.setdefault(name, round(seconds, 1))
                since.setdefault(name, round(seconds, 1))
            elif finding.state is TaskState.NOT_YET:
                since.pop(name, None)
        return replace(
            self,
            found={**self.found, **found},
            sighted=sighted or {},
            held=held,
            since=since,
            checks=checks,
            moments=(*self.moments, moment),
        )

    def hinted(self, cost: int, seconds: float) -> Attempt:
        costs = (*self.hint_costs, cost)
        moment = moments.of_hint(len(costs), round(seconds, 1), cost)
        return replace(self, hint_costs=costs, moments=(*self.moments, moment))

    def answered(self, name: str, answer: str, seconds: float, *, is_right: bool) -> Attempt:
        given = (*self.answers.get(name, ()), answer)
        held = {name: round(seconds, 1), **self.held} if is_right else self.held
        moment = moments.of_answer(name, round(seconds, 1), answer, is_right=is_right)
        return replace(
            self, answers={**self.answers, name: given}, held=held, moments=(*self.moments, moment)
        )


def outcome_of(
    attempt: Attempt,
    drill: Drill,
    grade: Grade,
    ending: Ending,
    seconds: float,
    clients: Mapping[str, ClientsSaw],
) -> Outcome:
    """Only a score that was reached in time, and without giving up, passes."""
    verdict: Verdict | None = grade.verdict
    if ending in (Ending.TIME, Ending.GAVE_UP):
        verdict = Verdict.FAIL
    elif ending is Ending.RESET:
        verdict = None
    detected, repaired = times_of(attempt, drill, grade)
    outages = [outage for saw in clients.values() for outage in saw.outages]
    timeline = moments.timeline(attempt.moments, outages, seconds)
    return Outcome(
        attempt.drill, attempt.title, attempt.seed, attempt.started, round(seconds, 1), ending, verdict,
        grade.score, grade.points, grade.cost, grade.total, len(attempt.hint_costs), attempt.checks,
        {task.name: task.state for task in grade.tasks}, attempt.held, clients,
        {name: grade.violations[name].seen for name in grade.violated}, detected, repaired,
        timeline,
    )  # fmt: skip


def times_of(attempt: Attempt, drill: Drill, grade: Grade) -> tuple[float | None, float | None]:
    """When the learner had detected and repaired the break, in seconds since the start; None if that is not known.

    Detected: the first right answer, or the first task that a check found done. Repaired: the check from which on
    everything that is no question was done. A learner may have been faster, and have checked later.
    """
    repairs = [task for task in grade.tasks if task.name not in drill.questions]
    is_repaired = repairs and all(task.state is TaskState.DONE for task in repairs)
    # a task that must only hold once counts from its first time
    times = [
        (attempt.held if drill.tasks[task.name].mode is TaskMode.EDGE else attempt.since).get(task.name)
        for task in repairs
    ]
    known = [seconds for seconds in times if seconds is not None]
    repaired = max(known) if is_repaired and len(known) == len(repairs) else None
    return min(attempt.held.values(), default=None), repaired


def ending_of(drill: Drill, grade: Grade, seconds: float, *, is_final: bool) -> Ending | None:
    """Why a check ends the attempt; None if it goes on."""
    if grade.violated:
        return Ending.VIOLATION
    if drill.time_limit is not None and seconds > drill.time_limit:
        return Ending.TIME
    # if a violation could not be checked, another check may still show that there is none
    if grade.is_complete and grade.verdict is not Verdict.ERROR:
        return Ending.COMPLETE
    return Ending.FINAL if is_final else None


def load(work: Work) -> Attempt:
    """The running attempt. Raises LabProblem if there is none, and Corrupted if it cannot be read."""
    try:
        return TypeAdapter(Attempt).validate_json(files.read(work.attempt, files.RECORD_BYTES))
    except FileNotFoundError as error:
        raise LabProblem("no drill is running", hint=_START) from error
    except ValidationError as error:
        raise Corrupted(f"cannot read {work.attempt}", hint=_RESET) from error


def save(work: Work, attempt: Attempt) -> None:
    """Write the attempt in one step, readable for its owner only."""
    work.drill.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.replace(work.attempt, TypeAdapter(Attempt).dump_json(attempt, indent=1).decode() + "\n")


def require_running(attempt: Attempt) -> None:
    """Raise LabProblem if the learner cannot work on the attempt now."""
    if attempt.phase is Phase.STARTING:
        raise LabProblem(f"the start of the drill {attempt.drill} was interrupted", hint=_RESET)
    if attempt.phase is Phase.OVER:
        raise LabProblem(f"the drill {attempt.drill} is over, but the lab was not restored", hint=_RESET)


def history(work: Work) -> list[Outcome]:
    """The attempts that have ended, the oldest first."""
    try:
        lines = files.read(work.drill_history, files.RECORD_BYTES).splitlines()
    except FileNotFoundError:
        return []
    outcomes = []
    for number, line in enumerate(lines, 1):
        try:
            outcomes.append(TypeAdapter(Outcome).validate_json(line))
        except ValidationError as error:
            hint = "the file was changed by hand: remove that line"
            raise Corrupted(
                f"not a line of the drill history: {work.drill_history}:{number}", hint=hint
            ) from error
    return outcomes


def record(work: Work, outcome: Outcome) -> None:
    """Add an attempt to the history."""
    before = ""
    with suppress(FileNotFoundError):
        before = files.read(work.drill_history, files.RECORD_BYTES).decode(errors="replace")
    if before and not before.endswith("\n"):
        # an editor has removed the end of the last line
        before += "\n"
    with files.writing(work.runs):
        work.runs.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.replace(work.drill_history, before + json.dumps(as_data(outcome)) + "\n")


def as_data(outcome: Outcome) -> dict[str, Any]:
    """An outcome for programs."""
    return {**asdict(outcome), "started": outcome.started.isoformat(timespec="seconds")}


def progress_of(outcomes: Sequence[Outcome], drill: str) -> str:
    """How far somebody came with a drill: `passed, 100 %`, `tried, 40 %`, or `-`."""
    graded = [each for each in outcomes if each.drill == drill and each.verdict is not None]
    if not graded:
        return "-"
    best = max(graded, key=lambda each: (each.verdict is Verdict.PASS, each.score))
    return f"{'passed' if best.verdict is Verdict.PASS else 'tried'}, {best.score} %"
