"""The search with a fake lab: it finds what a failure needs, whatever that is, and asks as little as possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halab.shrink.candidate import Candidate
from halab.shrink.search import needed, shrink


@given(st.integers(0, 12), st.data())
def test_exactly_the_needed_items_are_found(count: int, data: st.DataObject) -> None:
    items = list(range(count))
    wanted = data.draw(st.sets(st.sampled_from(items))) if items else set()
    asked: list[Sequence[int]] = []

    def fails(kept: Sequence[int]) -> bool:
        asked.append(kept)
        return wanted <= set(kept)

    assert needed(items, fails) == sorted(wanted)
    # the bound of delta debugging
    assert len(asked) <= count * count + 3 * count + 1


@given(st.integers(1, 8), st.integers(0, 2**32))
def test_no_single_item_of_the_result_can_be_left_out(count: int, seed: int) -> None:
    """Also for failures that need one of several combinations, or that come back with fewer items."""

    def fails(kept: Sequence[int]) -> bool:
        # any fixed answer for each set of items, but a failure with all of them
        return len(kept) == count or bool(hash((seed, tuple(kept))) % 3 == 0)

    left = needed(list(range(count)), fails)
    assert fails(left)
    for item in left:
        assert not fails([other for other in left if other != item])


def test_one_of_many_is_found_quickly() -> None:
    asked = []

    def fails(kept: Sequence[int]) -> bool:
        asked.append(kept)
        return 37 in kept

    assert needed(list(range(64)), fails) == [37]
    assert len(asked) <= 3 * math.log2(64)


STEPS: list[dict[str, Any]] = [
    {"inject": "pause-process", "name": "one", "on": "etcd-leader", "with": {"process": "etcd"}},
    {"expect": {"probe": "etcd-direct", "on": "one", "fails": "within 60s"}},
    {"wait": "12s"},
    {"heal": "one"},
    {"expect": {"probe": "ready-direct", "on": "one", "ok": "within 6m"}},
    {"inject": "partition", "name": "two", "on": "one", "with": {"from": "others", "port": "2380"}},
    {"expect": {"probe": "etcd-direct", "on": "two", "fails": "within 60s"}},
    {"wait": "15s"},
    {"inject": "starve-cpu", "name": "three", "on": "two", "with": {"cpus": "0.3"}},
    {"wait": "4s"},
    {"heal": "three"},
    {"heal": "two"},
]
START = Candidate(
    {
        "title": "Three faults",
        "teaches": "Nothing yet.",
        "steps": STEPS,
        "recover": {"steady": "within 8m"},
        "twin": {"replace": {"one": "nothing"}, "verdict": "fail"},
    }
)


class Bug:
    """A bug that shows if a partition lasts long enough; the lab refuses scenarios that halab would refuse."""

    def __init__(self, least_seconds: float = 3.0) -> None:
        self.least_seconds = least_seconds
        self.asked: list[Candidate] = []

    def __call__(self, candidate: Candidate) -> bool:
        self.asked.append(candidate)
        return candidate.scenario({}) is not None and self._shows(candidate)

    def _shows(self, candidate: Candidate) -> bool:
        lasts, is_open = 0.0, False
        for index, step in enumerate(candidate.steps):
            is_open = is_open or step.get("inject") == "partition"
            is_open = is_open and step.get("heal") != "two"
            if is_open:
                lasts += candidate.waits.get(index, 0.0)
        return lasts >= self.least_seconds


def test_a_scenario_with_three_faults_becomes_one_of_three_steps() -> None:
    bug = Bug()
    smallest = shrink(START, bug)
    assert smallest.steps == [
        {
            "inject": "partition",
            "name": "two",
            "on": "etcd-leader",
            "with": {"from": "others", "port": "2380"},
        },
        {"expect": {"probe": "etcd-direct", "on": "two", "fails": "within 60s"}},
        {"wait": "3s"},
    ]
    assert smallest.scenario({}) is not None
    assert len(bug.asked) == len({candidate.key for candidate in bug.asked})


@pytest.mark.parametrize("least_seconds", [0.5, 1.0, 2.0, 7.0, 14.0])
def test_no_wait_can_be_half_as_long(least_seconds: float) -> None:
    bug = Bug(least_seconds)
    smallest = shrink(START, bug)
    for index, seconds in smallest.waits.items():
        assert seconds < 2 or not bug(smallest.with_wait(index, math.floor(seconds / 2)))


def test_a_scenario_of_which_nothing_can_be_left_out_stays_as_it_is() -> None:
    assert shrink(START, lambda candidate: False) == START
