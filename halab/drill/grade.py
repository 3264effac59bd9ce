"""Decide from evidence which tasks of a drill are done, and what an attempt is worth. Pure: no IO, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from halab.config.drill import Drill, Task, TaskMode, Violation
from halab.config.twin import Verdict
from halab.printable import one_line
from halab.scenario.record.check_results import CheckResult, CheckState
from halab.scenario.verdict.judgement import Judgement, JudgementState


class TaskState(StrEnum):
    DONE = "done"
    NOT_YET = "not-yet"
    UNCHECKED = "unchecked"  # could not be checked: that is never the learner's fault
    WAITING = "waiting"  # it holds, but a task that it needs is not done
    CLOSED = "closed"  # a question without any tries left, or a task that needs one: it can give no points any more


class ViolationState(StrEnum):
    """Whether something happened that must not happen."""

    ABSENT = "absent"
    FOUND = "found"
    UNCHECKED = (
        "unchecked"  # not looked for yet, or it could not be checked: that is never the learner's fault
    )


@dataclass(frozen=True)
class Finding:
    """What was found of one task, apart from the tasks that it needs."""

    state: TaskState
    seen: str = ""


@dataclass(frozen=True)
class Effort:
    """What the learner did so far: tasks that once held, answers to questions, and what the hints have cost."""

    held: frozenset[str] = frozenset()
    answers: Mapping[str, Sequence[str]] | None = None
    cost: int = 0


@dataclass(frozen=True)
class Sighting:
    """What was seen of a violation."""

    state: ViolationState
    seen: str = ""


@dataclass(frozen=True)
class TaskResult:
    name: str
    text: str
    points: int
    state: TaskState
    seen: str = ""


@dataclass(frozen=True)
class Grade:
    """`cost` is the cost of the hints. `most_points` also count every task that could not be checked.

    `violations` has all that the drill fails for, whether or not it happened.
    """

    tasks: tuple[TaskResult, ...]
    most_points: int
    cost: int
    total: int
    passing_score: int
    violations: Mapping[Violation, Sighting] = field(default_factory=dict)

    @property
    def points(self) -> int:
        return sum(task.points for task in self.of(TaskState.DONE))

    @property
    def score(self) -> int:
        """In percent, from 0 to 100."""
        return self._percent(self.points)

    @property
    def is_complete(self) -> bool:
        """True if every task is done or closed."""
        return all(task.state in (TaskState.DONE, TaskState.CLOSED) for task in self.tasks)

    @property
    def verdict(self) -> Verdict:
        """Fail for a violation, and else pass or fail by the score; error if what could not be checked decides."""
        if self.violated or self._percent(self.most_points) < self.passing_score:
            return Verdict.FAIL
        is_known = self.score >= self.passing_score and not self.unknown_violations
        return Verdict.PASS if is_known else Verdict.ERROR

    @property
    def violated(self) -> list[Violation]:
        return self._violations(ViolationState.FOUND)

    @property
    def unknown_violations(self) -> list[Violation]:
        return self._violations(ViolationState.UNCHECKED)

    def of(self, state: TaskState) -> list[TaskResult]:
        return [task for task in self.tasks if task.state is state]

    def _violations(self, state: ViolationState) -> list[Violation]:
        return [name for name, sighting in self.violations.items() if sighting.state is state]

    def _percent(self, points: int) -> int:
        # rounded down: 69.9 % does not reach 70 %
        return max(0, 100 * (points - self.cost) // self.total)


def grade(
    drill: Drill,
    found: Mapping[str, Finding],
    effort: Effort,
    sighted: Mapping[Violation, Sighting] | None = None,
) -> Grade:
    """Grade what was found. A task that is not in `found` was not asked for yet, nor a violation not in `sighted`."""
    findings = {name: _finding(task, found.get(name), effort, name) for name, task in drill.tasks.items()}
    done = _counting(drill, findings, TaskState.DONE)
    could_be_done = _counting(drill, findings, TaskState.DONE, TaskState.UNCHECKED)
    left = _counting(drill, findings, TaskState.DONE, TaskState.UNCHECKED, TaskState.NOT_YET)
    results = tuple(
        _result(name, task, findings[name], done=done, left=left) for name, task in drill.tasks.items()
    )
    most = sum(drill.tasks[name].points for name in could_be_done)
    unknown = Sighting(ViolationState.UNCHECKED, "not checked yet")
    violations = {name: (sighted or {}).get(name, unknown) for name in drill.fail_if}
    return Grade(results, most, effort.cost, drill.total, drill.passing_score, violations)


def _counting(drill: Drill, findings: Mapping[str, Finding], *states: TaskState) -> set[str]:
    """The tasks that are in one of these states, as are all that they need, directly or through others."""
    counting: set[str] = set()
    # a task may be written before those that it needs
    for _ in drill.tasks:
        counting |= {
            name
            for name, task in drill.tasks.items()
            if findings[name].state in states and counting.issuperset(task.needs)
        }
    return counting


def of_judgement(judgement: Judgement) -> Finding:
    """What a judgement of the evidence means for a task."""
    states = {
        JudgementState.MET: TaskState.DONE,
        JudgementState.BROKEN: TaskState.NOT_YET,
        JudgementState.OPEN: TaskState.UNCHECKED,
    }
    return Finding(states[judgement.state], one_line(judgement.seen))


def of_checks(results: Sequence[CheckResult] | None, error: str | None) -> Finding:
    """What the tests of a check file mean for a task: a failed assertion is a fact, any other failure is none."""
    results = results or ()
    for result in results:
        if result.state is CheckState.FAILED and not result.raised:
            return Finding(TaskState.NOT_YET, one_line(result.text))
    for result in results:
        if result.state in (CheckState.FAILED, CheckState.ERROR):
            return Finding(TaskState.UNCHECKED, one_line(result.text))
    if error or not any(result.state is CheckState.PASSED for result in results):
        return Finding(TaskState.UNCHECKED, one_line(error or "no test of the check file ran"))
    return Finding(TaskState.DONE)


def is_right(task: Task, answer: str) -> bool:
    """True for a right answer, whatever its case and the space around it."""
    return is_among(answer, task.answer or ())


def is_among(answer: str, answers: Iterable[str]) -> bool:
    """True if an answer is the same as one of these, whatever its case and the space around it."""
    return _plain(answer) in map(_plain, answers)


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _finding(task: Task, found: Finding | None, effort: Effort, name: str) -> Finding:
    if task.answer is not None:
        return _question(task, (effort.answers or {}).get(name, ()))
    if task.mode is TaskMode.EDGE and name in effort.held:
        return Finding(TaskState.DONE)
    return found or Finding(TaskState.NOT_YET)


def _question(task: Task, answers: Sequence[str]) -> Finding:
    if any(is_right(task, answer) for answer in answers):
        return Finding(TaskState.DONE)
    left = task.tries - len(answers)
    if left <= 0:
        return Finding(TaskState.CLOSED, "no tries left")
    return Finding(TaskState.NOT_YET, f"{left} {'try' if left == 1 else 'tries'} left")


def _tasks(names: Sequence[str]) -> str:
    return f"the {'task' if len(names) == 1 else 'tasks'} {' and '.join(f'`{name}`' for name in names)}"


def _result(name: str, task: Task, finding: Finding, *, done: set[str], left: set[str]) -> TaskResult:
    """`done` are the tasks that count, `left` those that count or may still do so."""
    lost = [other for other in task.needs if other not in left]
    lacking = [other for other in task.needs if other not in done]
    if lost:
        finding = Finding(TaskState.CLOSED, f"it needs {_tasks(lost)}")
    elif finding.state is TaskState.DONE and lacking:
        finding = Finding(
            TaskState.WAITING,
            f"counts when {_tasks(lacking)} {'is' if len(lacking) == 1 else 'are'} done",
        )
    return TaskResult(name, task.text.strip(), task.points, finding.state, finding.seen)
