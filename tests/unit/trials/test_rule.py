"""What the runs of a version mean, and how sure that is."""

from __future__ import annotations

import random
from itertools import product

import pytest

from halab.config.twin import Verdict
from halab.trials.rule import Answer, Count, Rule, confidence

PASS, FAIL, ERROR, SKIP = Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.SKIP


@pytest.mark.parametrize(
    ("rule", "verdicts", "answer"),
    [
        (Rule(), [], None),
        (Rule(), [PASS], Answer.GOOD),
        (Rule(), [FAIL], Answer.BAD),
        (Rule(), [ERROR], None),
        (Rule(), [ERROR, SKIP], Answer.SKIPPED),
        (Rule(), [ERROR, PASS], Answer.GOOD),
        (Rule(shows=PASS), [PASS], Answer.BAD),
        (Rule(shows=PASS), [FAIL], Answer.GOOD),
        (Rule(3), [PASS, PASS], None),
        (Rule(3), [PASS, PASS, PASS], Answer.GOOD),
        (Rule(3), [PASS, FAIL], Answer.BAD),
        (Rule(3), [PASS, ERROR, PASS], None),
        (Rule(3), [ERROR, ERROR, PASS, ERROR], Answer.SKIPPED),
        (Rule(3, at_least=2), [PASS, FAIL], None),
        (Rule(3, at_least=2), [PASS, PASS], Answer.GOOD),
        (Rule(3, at_least=2), [FAIL, PASS, FAIL], Answer.BAD),
    ],
)
def test_enough_runs_are_an_answer(rule: Rule, verdicts: list[Verdict], answer: Answer | None) -> None:
    assert rule.answer(verdicts) is answer


def test_the_known_bad_version_has_all_its_runs() -> None:
    rule = Rule(3)
    assert rule.answer([FAIL, PASS], needs_all=True) is None
    assert rule.answer([FAIL, PASS, PASS], needs_all=True) is Answer.BAD
    assert rule.answer([PASS, PASS, PASS], needs_all=True) is Answer.GOOD
    # errors end its tries, and what was seen before counts
    assert rule.answer([FAIL, ERROR, ERROR], needs_all=True) is None
    assert rule.answer([FAIL, ERROR, ERROR, ERROR], needs_all=True) is Answer.BAD
    assert rule.answer([PASS, ERROR, ERROR, ERROR], needs_all=True) is Answer.SKIPPED


@pytest.mark.parametrize(("repeat", "at_least"), [(1, 1), (2, 1), (3, 2), (4, 4)])
def test_errors_never_change_an_answer(repeat: int, at_least: int) -> None:
    """Whatever the order: the answer comes from the runs with a verdict alone, or there is none."""
    rule = Rule(repeat, at_least)
    for verdicts in product((PASS, FAIL, ERROR), repeat=rule.most_runs):
        answer = rule.answer(verdicts)
        judged = [verdict for verdict in verdicts if verdict is not ERROR]
        assert answer is not None
        assert answer is (rule.answer(judged) or Answer.SKIPPED)


def test_the_runs_are_told_in_words() -> None:
    assert str(Rule().count([FAIL])) == "the bug showed in 1 of 1 run"
    assert str(Rule(3).count([FAIL, PASS, ERROR])) == (
        "the bug showed in 1 of 2 runs, and 1 more run ended in an error or was skipped"
    )
    assert str(Count(0, 1, 2)).endswith("and 2 more runs ended in an error or were skipped")


def test_more_runs_give_more_confidence() -> None:
    def of(repeat: int, shown: int) -> float:
        known_bad = Count(shown, repeat - shown)
        return confidence(Rule(repeat), known_bad, Count(0, 3 * repeat), Count(0, repeat), Count(1, 0))

    assert 0.5 < of(1, 1) < of(3, 3) < of(10, 10) < 1
    # a bug that shows seldom is easily overlooked
    assert of(10, 2) < of(10, 10)
    # one run of 2/3 that the bug shows, and 1/5 that a good version fails
    assert of(1, 1) == pytest.approx((1 - 1 / 3) * (1 - 1 / 5))


def test_the_confidence_is_the_share_of_searches_that_are_right() -> None:
    """With the rates that the runs of the ends give: 4000 simulated boundaries, by their known answers."""
    draw, rule = random.Random(1), Rule(5, at_least=2)
    known_bad, known_good = Count(4, 1), Count(1, 14)
    stated = confidence(rule, known_bad, known_good, Count(0, 4), Count(2, 3))
    shows, fails_anyway = 5 / 7, 2 / 17
    right = 0
    for _ in range(4000):
        seen_in_bad = sum(draw.random() < shows for _ in range(4))
        seen_in_good = sum(draw.random() < fails_anyway for _ in range(5))
        right += seen_in_bad >= rule.at_least and seen_in_good < rule.at_least
    assert right / 4000 == pytest.approx(stated, abs=0.03)
