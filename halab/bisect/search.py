"""Which version is tested next, and when the search is over. Pure: no lab, no clock, no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from halab.trials.rule import Answer


@dataclass(frozen=True)
class Search:
    """`versions` begin with the one that the user calls good, and end with the one that they call bad.

    `answers` are those so far. Versions before the first bad one are good, and all after it bad: that is what a search
    by halves needs.
    """

    versions: Sequence[str]
    answers: Mapping[str, Answer]

    @property
    def next(self) -> str | None:
        """The version to test now; None at the end of the search. Both ends are tested before all others."""
        for end in (self.versions[-1], self.versions[0]):
            if end not in self.answers:
                return end
        if self.problem:
            return None
        low, high = self._bounds
        untested = [place for place in range(low + 1, high) if self.versions[place] not in self.answers]
        # the nearest to the middle, if that could not be tested
        nearest = min(untested, key=lambda place: (abs(2 * place - low - high), place), default=None)
        return None if nearest is None else self.versions[nearest]

    @property
    def problem(self) -> str:
        """Why the ends allow no search; empty if they do, or were not tested yet."""
        good, bad = self.versions[0], self.versions[-1]
        for end, wanted in ((bad, Answer.BAD), (good, Answer.GOOD)):
            match self.answers.get(end, wanted):
                case Answer.SKIPPED:
                    return f"nothing was learned about {end}"
                case answer if answer is not wanted:
                    return f"{end} is {answer}, but the command says that it is {wanted}"
        return ""

    @property
    def last_good(self) -> str:
        return self.versions[self._bounds[0]]

    @property
    def first_bad(self) -> str:
        """The first version that is known to be bad. Versions before it that were skipped may be bad, too."""
        return self.versions[self._bounds[1]]

    @property
    def suspects(self) -> Sequence[str]:
        """The versions of which one brought the bug in: a single one if the search found it."""
        low, high = self._bounds
        return self.versions[low + 1 : high + 1]

    @property
    def most_tests(self) -> int:
        """How many versions are tested at most from now on, if none is skipped."""
        ends = sum(end not in self.answers for end in (self.versions[0], self.versions[-1]))
        low, high = self._bounds
        return ends + (high - low - 1).bit_length()

    @property
    def _bounds(self) -> tuple[int, int]:
        """The places of the last good and the first bad version."""
        last = len(self.versions) - 1
        high = next(
            (place for place in range(1, last) if self._is(place, Answer.BAD)),
            last,
        )
        low = next((place for place in range(high - 1, 0, -1) if self._is(place, Answer.GOOD)), 0)
        return low, high

    def _is(self, place: int, answer: Answer) -> bool:
        return self.answers.get(self.versions[place]) is answer
