"""What the runs of one version, commit or scenario mean: the bug shows, it does not show, or nothing was learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from halab.config.twin import Verdict
from halab.printable import counted

# A run may end in an error because the host was busy: one error alone does not end the tries of a version.
_LEAST_ERRORS = 2


class Answer(StrEnum):
    GOOD = "good"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Count:
    """The runs of a version: in how many the bug showed, in how many not, and in how many nothing was learned."""

    shown: int = 0
    silent: int = 0
    lost: int = 0

    @property
    def judged(self) -> int:
        return self.shown + self.silent

    def __str__(self) -> str:
        return self.in_words("the bug showed")

    def in_words(self, shown: str) -> str:
        """`the bug showed in 2 of 3 runs, and 1 more run ended in an error or was skipped`, with `the bug showed`."""
        words = f"{shown} in {self.shown} of {counted(self.judged, 'run')}"
        if not self.lost:
            return words
        was = "was" if self.lost == 1 else "were"
        return f"{words}, and {counted(self.lost, 'more run')} ended in an error or {was} skipped"


@dataclass(frozen=True)
class Rule:
    """How the runs of a version decide.

    The bug shows in a run with the verdict `shows`, pass or fail. A version is bad if it shows in at least `at_least`
    of `repeat` runs. A run that ends in an error, or is skipped, is no answer and takes place again.
    """

    repeat: int = 1
    at_least: int = 1
    shows: Verdict = Verdict.FAIL

    @property
    def most_errors(self) -> int:
        """The number of runs without an answer after which a version is skipped."""
        return max(_LEAST_ERRORS, self.repeat)

    @property
    def most_runs(self) -> int:
        """More runs than this never take place."""
        return self.repeat + self.most_errors - 1

    def count(self, verdicts: Sequence[Verdict]) -> Count:
        shown = sum(verdict is self.shows for verdict in verdicts)
        judged = sum(verdict in (Verdict.PASS, Verdict.FAIL) for verdict in verdicts)
        return Count(shown, judged - shown, len(verdicts) - judged)

    def answer(self, verdicts: Sequence[Verdict], *, needs_all: bool = False) -> Answer | None:
        """What these runs mean; None if more runs are needed.

        With `needs_all`, all runs take place, also those that can no longer change the answer, unless too many end in
        errors.
        """
        count = self.count(verdicts)
        has_given_up = count.lost >= self.most_errors
        if not needs_all or count.judged >= self.repeat or has_given_up:
            if count.shown >= self.at_least:
                return Answer.BAD
            if count.silent > self.repeat - self.at_least:
                return Answer.GOOD
        return Answer.SKIPPED if has_given_up else None


def confidence(rule: Rule, known_bad: Count, known_good: Count, last_good: Count, first_bad: Count) -> float:
    """How probable it is (0 to 1) that the two versions at the boundary were told apart correctly.

    `known_bad` are the runs of the version that the user calls bad: they say how often the bug shows. `known_good` are
    those of all versions without it: they say how often a run fails for another reason. Both rates are estimated by the
    rule of succession, so few runs never give certainty.
    """
    shows, fails_anyway = _rate(known_bad), _rate(known_good)
    is_hidden = sum(_probability(number, last_good.judged, shows) for number in range(rule.at_least))
    is_innocent = sum(
        _probability(number, first_bad.judged, fails_anyway)
        for number in range(rule.at_least, first_bad.judged + 1)
    )
    return (1 - is_hidden) * (1 - is_innocent)


def _rate(count: Count) -> float:
    return (count.shown + 1) / (count.judged + 2)


def _probability(number: int, runs: int, rate: float) -> float:
    """That exactly so many of the runs show the bug."""
    return math.comb(runs, number) * rate**number * (1 - rate) ** (runs - number)
