"""What is done, and what an attempt is worth: from evidence alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.config.drill import Drill, Violation
from halab.config.twin import Verdict
from halab.drill.grade import (
    Effort,
    Finding,
    Grade,
    Sighting,
    TaskState,
    ViolationState,
    grade,
    is_right,
    of_checks,
    of_judgement,
)
from halab.scenario.record.check_results import CheckResult, CheckState
from halab.scenario.verdict.judgement import Judgement, JudgementState

DONE, NOT_YET, UNCHECKED = TaskState.DONE, TaskState.NOT_YET, TaskState.UNCHECKED
PROBED = {"expect": {"probe": "ready-via-lb", "ok": "within 5s"}}


def drill(tasks: dict[str, Any], **changes: Any) -> Drill:
    """A drill with these tasks. A task without a condition is decided by a probe."""
    written = {
        name: {"text": name, "points": 10, **task}
        if {"expect", "check", "answer"} & task.keys()
        else {"text": name, "points": 10, **PROBED, **task}
        for name, task in tasks.items()
    }
    return Drill.model_validate(
        {
            "title": "A drill", "difficulty": "easy", "course": "test", "estimated_time": "5m",
            "initial_situation": "It is slow.", "objective": "Make it fast.", "debrief": "It was slow.",
            "break": [{"inject": "nothing", "on": "cp1"}], "tasks": written, **changes,
        }
    )  # fmt: skip


def graded(
    tasks: dict[str, Any], found: dict[str, TaskState], effort: Effort | None = None, **changes: Any
) -> Grade:
    findings = {name: Finding(state, "seen") for name, state in found.items()}
    return grade(drill(tasks, **changes), findings, effort or Effort())


def states(result: Grade) -> dict[str, TaskState]:
    return {task.name: task.state for task in result.tasks}


TWO: dict[str, Any] = {"big": {"points": 70}, "small": {"points": 30}}


def test_partial_credit_counts_the_points_of_the_tasks_that_are_done() -> None:
    result = graded(TWO, {"big": DONE, "small": NOT_YET})
    assert (result.points, result.total, result.score) == (70, 100, 70)
    assert not result.is_complete


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"big": DONE, "small": DONE}, Verdict.PASS),
        ({"big": DONE, "small": NOT_YET}, Verdict.PASS),
        ({"big": DONE, "small": UNCHECKED}, Verdict.PASS),
        ({"big": NOT_YET, "small": DONE}, Verdict.FAIL),
        ({"big": NOT_YET, "small": UNCHECKED}, Verdict.FAIL),
        ({"big": UNCHECKED, "small": DONE}, Verdict.ERROR),
        ({"big": UNCHECKED, "small": NOT_YET}, Verdict.ERROR),
        ({}, Verdict.FAIL),
    ],
)
def test_a_task_that_could_not_be_asked_makes_an_error_only_if_it_decides(
    found: dict[str, TaskState], verdict: Verdict
) -> None:
    assert graded(TWO, found).verdict is verdict


def test_the_score_is_rounded_down() -> None:
    tasks = {"a": {"points": 2}, "b": {"points": 1}}
    assert graded(tasks, {"a": DONE}).score == 66
    assert graded(tasks, {"a": DONE}, passing_score=67).verdict is Verdict.FAIL
    assert graded(tasks, {"a": DONE}, passing_score=66).verdict is Verdict.PASS


def test_hints_cost_points_and_never_more_than_there_are() -> None:
    everything = {"big": DONE, "small": DONE}
    assert [graded(TWO, everything, Effort(cost=cost)).score for cost in (0, 5, 85)] == [100, 95, 15]
    assert graded(TWO, {"small": DONE}, Effort(cost=85)).score == 0


def test_a_task_counts_only_if_the_tasks_that_it_needs_are_done() -> None:
    tasks = {"last": {"needs": ["middle"]}, "middle": {"needs": ["first"]}, "first": {}}
    result = graded(tasks, {"last": DONE, "middle": DONE, "first": NOT_YET})
    assert states(result) == {"last": TaskState.WAITING, "middle": TaskState.WAITING, "first": NOT_YET}
    assert result.points == 0
    assert [task.seen for task in result.tasks[:2]] == [
        "counts when the task `middle` is done",
        "counts when the task `first` is done",
    ]
    assert graded(tasks, dict.fromkeys(tasks, DONE)).is_complete


def test_a_task_that_is_not_done_does_not_wait_for_others() -> None:
    tasks = {"first": {}, "last": {"needs": ["first"]}}
    assert states(graded(tasks, {"first": NOT_YET, "last": NOT_YET}))["last"] is NOT_YET


def test_a_task_that_waits_for_one_that_could_not_be_asked_may_still_decide() -> None:
    tasks = {"first": {"points": 40}, "last": {"points": 60, "needs": ["first"]}}
    assert graded(tasks, {"first": UNCHECKED, "last": DONE}).verdict is Verdict.ERROR
    assert graded(tasks, {"first": NOT_YET, "last": DONE}).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("first", "last"), [(NOT_YET, UNCHECKED), (NOT_YET, DONE), (UNCHECKED, NOT_YET)], ids=str
)
def test_a_task_whose_points_cannot_count_does_not_make_an_error(first: TaskState, last: TaskState) -> None:
    tasks = {"first": {"points": 20}, "last": {"points": 60, "needs": ["first"]}, "other": {"points": 20}}
    result = graded(tasks, {"first": first, "last": last, "other": UNCHECKED})
    assert result.verdict is Verdict.FAIL, "without first and last, at most 40 of 100"


def test_a_task_that_needs_a_closed_question_is_closed_so_that_the_attempt_can_end() -> None:
    tasks = {**QUESTION, "fix": {"needs": ["who"]}, "clean": {"needs": ["fix"]}}
    for found in (DONE, NOT_YET, UNCHECKED):
        result = graded(tasks, {"fix": found, "clean": DONE}, Effort(answers={"who": ["a", "b"]}))
        assert [(task.state, task.seen) for task in result.tasks[1:]] == [
            (TaskState.CLOSED, "it needs the task `who`"),
            (TaskState.CLOSED, "it needs the task `fix`"),
        ]
        assert result.is_complete and result.verdict is Verdict.FAIL


def test_an_edge_stays_done_and_a_level_does_not() -> None:
    tasks = {"edge": {"mode": "edge"}, "level": {"mode": "level"}}
    held = Effort(held=frozenset(tasks))
    assert states(graded(tasks, dict.fromkeys(tasks, NOT_YET), held)) == {"edge": DONE, "level": NOT_YET}


QUESTION: dict[str, Any] = {"who": {"answer": ["cp2", "the second"], "tries": 2}}


@pytest.mark.parametrize(
    ("answers", "state", "seen"),
    [
        ([], NOT_YET, "2 tries left"),
        (["cp1"], NOT_YET, "1 try left"),
        (["cp1", "cp3"], TaskState.CLOSED, "no tries left"),
        (["cp1", "cp2"], DONE, ""),
        (["  CP2 "], DONE, ""),
        (["The  Second"], DONE, ""),
    ],
)
def test_a_question_is_done_by_a_right_answer_and_closed_without_tries(
    answers: list[str], state: TaskState, seen: str
) -> None:
    result = graded(QUESTION, {}, Effort(answers={"who": answers}))
    assert (result.tasks[0].state, result.tasks[0].seen) == (state, seen)
    assert result.is_complete is (state is not NOT_YET)


def test_a_closed_question_leaves_nothing_to_do_and_gives_no_points() -> None:
    result = graded(QUESTION, {}, Effort(answers={"who": ["a", "b"]}))
    assert (result.score, result.verdict) == (0, Verdict.FAIL)


def test_what_was_found_of_a_question_does_not_count() -> None:
    assert states(graded(QUESTION, {"who": DONE})) == {"who": NOT_YET}


def test_an_answer_is_a_word_or_a_number() -> None:
    question = drill({"port": {"answer": 2380}}).tasks["port"]
    assert is_right(question, "2380")
    assert not is_right(question, "238")
    assert not is_right(question, "")


@pytest.mark.parametrize(
    ("state", "means"),
    [(JudgementState.MET, DONE), (JudgementState.BROKEN, NOT_YET), (JudgementState.OPEN, UNCHECKED)],
)
def test_only_a_judgement_decides_a_task(state: JudgementState, means: TaskState) -> None:
    assert of_judgement(Judgement(state, "it is up")) == Finding(means, "it is up")


def result(state: CheckState, raised: str = "") -> CheckResult:
    return CheckResult("checks", "test_it", state, 0.1, f"it {state}", raised=raised)


PASSED, FAILED = result(CheckState.PASSED), result(CheckState.FAILED)
BROKEN, CRASHED = result(CheckState.FAILED, "KeyError"), result(CheckState.ERROR)


@pytest.mark.parametrize(
    ("results", "error", "means"),
    [
        ([PASSED, PASSED], None, DONE),
        ([PASSED, FAILED], None, NOT_YET),
        # a failed assertion is a fact, whatever else went wrong
        ([CRASHED, FAILED], None, NOT_YET),
        ([PASSED, BROKEN], None, UNCHECKED),
        ([PASSED, CRASHED], None, UNCHECKED),
        ([PASSED], "the checks did not end within 60 s", UNCHECKED),
        ([], None, UNCHECKED),
        (None, "pytest exited with code 4", UNCHECKED),
        ([result(CheckState.SKIPPED)], None, UNCHECKED),
        ([PASSED, result(CheckState.SKIPPED)], None, DONE),
    ],
)
def test_a_check_that_is_broken_is_not_the_learners_fault(
    results: list[CheckResult] | None, error: str | None, means: TaskState
) -> None:
    assert of_checks(results, error).state is means


LOST, RESET = Violation.LOST_WRITE, Violation.RESET_NODE
FAILS_FOR: dict[str, Any] = {"fail_if": ["lost-write", "reset-node"]}
HAPPENED, ABSENT = Sighting(ViolationState.FOUND, "it is lost"), Sighting(ViolationState.ABSENT)
UNKNOWN = Sighting(ViolationState.UNCHECKED, "no answer")


@pytest.mark.parametrize(
    ("lost", "big", "verdict"),
    [
        (ABSENT, DONE, Verdict.PASS),
        (HAPPENED, DONE, Verdict.FAIL),
        (HAPPENED, UNCHECKED, Verdict.FAIL),
        (UNKNOWN, DONE, Verdict.ERROR),
        # the score alone decides
        (UNKNOWN, NOT_YET, Verdict.FAIL),
    ],
)
def test_what_must_not_happen_fails_an_attempt_and_an_unknown_makes_an_error_only_if_it_decides(
    lost: Sighting, big: TaskState, verdict: Verdict
) -> None:
    found = {"big": Finding(big), "small": Finding(DONE)}
    result = grade(drill(TWO, **FAILS_FOR), found, Effort(), {LOST: lost, RESET: ABSENT})
    assert result.verdict is verdict
    assert result.violated == ([LOST] if lost is HAPPENED else [])
    assert result.unknown_violations == ([LOST] if lost is UNKNOWN else [])


def test_only_what_the_drill_fails_for_counts_and_it_is_unknown_before_a_check() -> None:
    done = dict.fromkeys(TWO, Finding(DONE))
    assert grade(drill(TWO), done, Effort(), {LOST: HAPPENED}).verdict is Verdict.PASS
    unasked = grade(drill(TWO, **FAILS_FOR), done, Effort())
    assert (unasked.verdict, unasked.unknown_violations) == (Verdict.ERROR, [LOST, RESET])


FOUND = st.sampled_from([DONE, NOT_YET, UNCHECKED])


@given(st.lists(st.tuples(st.integers(1, 100), FOUND), min_size=1, max_size=6), st.integers(1, 100))
def test_one_more_task_that_is_done_never_makes_it_worse(
    tasks: list[tuple[int, TaskState]], passing: int
) -> None:
    written = {f"t{number}": {"points": points} for number, (points, _) in enumerate(tasks)}
    found = {f"t{number}": state for number, (_, state) in enumerate(tasks)}
    before = graded(written, found, passing_score=passing)
    order = [Verdict.FAIL, Verdict.ERROR, Verdict.PASS]
    for name in written:
        after = graded(written, {**found, name: DONE}, passing_score=passing)
        assert after.score >= before.score
        assert order.index(after.verdict) >= order.index(before.verdict)


@given(st.lists(st.tuples(st.integers(1, 100), FOUND), min_size=1, max_size=6), st.integers(1, 100))
def test_the_verdict_is_an_error_exactly_if_the_unknown_tasks_could_turn_it(
    tasks: list[tuple[int, TaskState]], passing: int
) -> None:
    written = {f"t{number}": {"points": points} for number, (points, _) in enumerate(tasks)}
    found = {f"t{number}": state for number, (_, state) in enumerate(tasks)}
    verdicts = {
        graded(
            written, {n: way if s is UNCHECKED else s for n, s in found.items()}, passing_score=passing
        ).verdict
        for way in (DONE, NOT_YET)
    }
    seen = graded(written, found, passing_score=passing).verdict
    assert seen is (Verdict.ERROR if len(verdicts) > 1 else verdicts.pop())
