"""The search over versions: which is tested next, and when it is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.bisect.search import Search
from halab.trials.rule import Answer

GOOD, BAD, SKIPPED = Answer.GOOD, Answer.BAD, Answer.SKIPPED


def names(count: int) -> list[str]:
    return [f"3.6.{number}" for number in range(count)]


def searched(count: int, first_bad: int, skipped: frozenset[int] = frozenset()) -> tuple[Search, list[str]]:
    """The search at its end, and the versions in the order in which they were tested."""
    versions = names(count)
    answers: dict[str, Answer] = {}
    tested = []
    while version := Search(versions, answers).next:
        assert version not in answers
        place = versions.index(version)
        answers[version] = SKIPPED if place in skipped else BAD if place >= first_bad else GOOD
        tested.append(version)
    return Search(versions, answers), tested


@pytest.mark.parametrize("count", range(2, 34))
def test_every_first_bad_version_is_found_by_halves(count: int) -> None:
    for first_bad in range(1, count):
        search, tested = searched(count, first_bad)
        assert search.problem == ""
        assert search.suspects == [f"3.6.{first_bad}"]
        assert (search.last_good, search.first_bad) == (f"3.6.{first_bad - 1}", f"3.6.{first_bad}")
        # both ends, then a half of the rest each time
        assert tested[:2] == [f"3.6.{count - 1}", "3.6.0"]
        assert len(tested) <= Search(names(count), {}).most_tests


@given(st.data())
def test_skipped_versions_leave_exactly_the_suspects_that_they_hide(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 40))
    first_bad = data.draw(st.integers(1, count - 1))
    skipped = data.draw(st.frozensets(st.integers(1, count - 2))) if count > 2 else frozenset()
    search, _ = searched(count, first_bad, skipped)
    good = max(place for place in range(first_bad) if place not in skipped)
    bad = min(place for place in range(first_bad, count) if place not in skipped)
    assert search.suspects == names(count)[good + 1 : bad + 1]
    assert f"3.6.{first_bad}" in search.suspects
    # every suspect before the last could not be tested
    assert all(search.answers[version] is SKIPPED for version in search.suspects[:-1])


def test_the_nearest_version_is_tested_instead_of_a_skipped_one() -> None:
    answers = {"3.6.0": GOOD, "3.6.8": BAD, "3.6.4": SKIPPED}
    assert Search(names(9), answers).next == "3.6.3"
    assert Search(names(9), {**answers, "3.6.3": SKIPPED}).next == "3.6.5"


def test_the_number_of_tests_to_come_is_known() -> None:
    assert Search(names(2), {}).most_tests == 2
    assert Search(names(9), {}).most_tests == 2 + 3
    assert Search(names(9), {"3.6.8": BAD, "3.6.0": GOOD, "3.6.4": BAD}).most_tests == 2
    assert Search(names(9), {"3.6.8": BAD, "3.6.0": GOOD, "3.6.4": BAD, "3.6.3": GOOD}).most_tests == 0


@pytest.mark.parametrize(
    ("answers", "said", "following"),
    [
        ({"3.6.3": GOOD}, "3.6.3 is good, but the command says that it is bad", "3.6.0"),
        ({"3.6.3": BAD, "3.6.0": BAD}, "3.6.0 is bad, but the command says that it is good", None),
        ({"3.6.3": SKIPPED, "3.6.0": GOOD}, "nothing was learned about 3.6.3", None),
        ({"3.6.3": BAD, "3.6.0": SKIPPED}, "nothing was learned about 3.6.0", None),
        ({"3.6.3": BAD, "3.6.0": GOOD}, "", "3.6.1"),
    ],
)
def test_ends_that_are_not_what_the_user_says_end_the_search(
    answers: dict[str, Answer], said: str, following: str | None
) -> None:
    search = Search(names(4), answers)
    assert search.problem == said
    assert search.next == following


def test_an_answer_against_the_order_does_not_confuse_the_search() -> None:
    """A flaky version may look good after a bad one: the first bad one counts."""
    search = Search(names(6), {"3.6.0": GOOD, "3.6.2": BAD, "3.6.4": GOOD, "3.6.5": BAD})
    assert (search.last_good, search.first_bad, search.next) == ("3.6.0", "3.6.2", "3.6.1")
