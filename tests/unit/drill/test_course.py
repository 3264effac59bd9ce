"""The courses of halab: every drill has its place."""

from __future__ import annotations

from datetime import UTC, datetime

from halab.config.twin import Verdict
from halab.drill import course, library
from halab.drill.attempt import Ending, Outcome


def ended(drill: str, verdict: Verdict | None) -> Outcome:
    begun = datetime(2026, 11, 28, tzinfo=UTC)
    return Outcome(drill, "", 7, begun, 60.0, Ending.FINAL, verdict, 90, 90, 0, 100, 0, 1, {}, {})


def test_every_drill_is_in_one_course_and_has_a_place_of_its_own() -> None:
    courses = course.courses()
    assert sorted(each.name for known in courses for each in known.drills) == library.names()
    for known in courses:
        lessons = [each.drill.lesson for each in known.drills]
        assert len(set(lessons)) == len(lessons), known.name


def test_there_are_twenty_drills_or_more_in_five_courses() -> None:
    courses = course.courses()
    assert [each.name for each in courses] == ["first-steps", "etcd", "api-servers", "api-access", "exam"]
    assert sum(len(each.drills) for each in courses) >= 20


def test_a_drill_with_something_to_repair_has_a_solution_and_a_wrong_attempt() -> None:
    for name in library.names():
        drill = library.find(name).drill
        if len(drill.questions) < len(drill.tasks):
            assert drill.solve and drill.wrong, name


def test_a_drill_needs_only_drills_that_come_before_it() -> None:
    before: set[str] = set()
    for script in (each for known in course.courses() for each in known.drills):
        assert before.issuperset(script.drill.needs), script.name
        before.add(script.name)


def test_the_next_drill_is_the_first_that_was_not_passed() -> None:
    courses = course.courses()
    order = [each.name for known in courses for each in known.drills]
    assert course.next_drill(courses, []) == order[0]
    outcomes = [ended(order[0], Verdict.FAIL), ended(order[0], Verdict.PASS), ended(order[1], Verdict.FAIL)]
    assert course.next_drill(courses, outcomes) == order[1]
    assert course.next_drill(courses, [ended(name, Verdict.PASS) for name in order]) is None
    assert course.next_drill(courses, outcomes, {order[1]: ["too few"]}) == order[2]


def test_a_course_counts_each_drill_once() -> None:
    [known, *_] = course.courses()
    name = known.drills[0].name
    outcomes = [
        ended(name, Verdict.PASS),
        ended(name, Verdict.PASS),
        ended("mine", Verdict.PASS),
        ended(name, None),
    ]
    assert known.passed(outcomes) == 1
