"""The search for the smallest scenario that still fails: delta debugging over its faults, steps and waits. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from halab.shrink.candidate import Candidate

T = TypeVar("T")

# A shorter wait saves nothing.
_SHORTEST_SECONDS = 1.0


def shrink(start: Candidate, fails: Callable[[Candidate], bool]) -> Candidate:
    """The smallest scenario that was found. `start` fails; `fails` is asked once about each of the others.

    No single fault and no single step of the result can be left out, and no wait can be half as long.
    """
    answers = {start.key: True}

    def still_fails(candidate: Candidate) -> bool:
        if candidate.key not in answers:
            answers[candidate.key] = fails(candidate)
        return answers[candidate.key]

    smallest, before = start, None
    while smallest != before:
        before = smallest
        smallest = _fewer_faults(smallest, still_fails)
        smallest = _fewer_steps(smallest, still_fails)
        smallest = _shorter_waits(smallest, still_fails)
    return smallest


def _fewer_faults(start: Candidate, fails: Callable[[Candidate], bool]) -> Candidate:
    return start.with_faults(needed(start.faults, lambda kept: fails(start.with_faults(kept))))


def _fewer_steps(start: Candidate, fails: Callable[[Candidate], bool]) -> Candidate:
    return start.with_steps(needed(start.removable, lambda kept: fails(start.with_steps(kept))))


def _shorter_waits(start: Candidate, fails: Callable[[Candidate], bool]) -> Candidate:
    smallest = start
    for index, seconds in start.waits.items():
        shorter = float(math.floor(seconds / 2))
        while shorter >= _SHORTEST_SECONDS and fails(trial := smallest.with_wait(index, shorter)):
            smallest, shorter = trial, float(math.floor(shorter / 2))
    return smallest


def needed(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """The items without which nothing fails, by delta debugging (ddmin): none of them can be left out alone.

    `fails` gets some of the items, in their order; with all of them it is true.
    """
    left, parts = list(items), 2
    while left:
        size = math.ceil(len(left) / parts)
        for begin in range(0, len(left), size):
            rest = left[:begin] + left[begin + size :]
            if fails(rest):
                left, parts = rest, max(parts - 1, 2)
                break
        else:
            if size == 1:
                break
            parts = min(2 * parts, len(left))
    return left
