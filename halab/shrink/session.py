"""Shrink a scenario on a lab: try smaller ones, and remember every run, so that the search goes on from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from halab.config.twin import Verdict
from halab.printable import counted
from halab.progress import Progress
from halab.scenario.verdict.result import PromiseStatus, Result
from halab.shrink import search
from halab.shrink.candidate import Candidate
from halab.trials.log import SearchLog, planned
from halab.trials.rule import Answer, Count, Rule

SCHEMA = 1
_NAME = "shrink.jsonl"


@dataclass(frozen=True)
class Plan:
    """What is made smaller, on which lab, and by which rule.

    `scenario` and `lab` are hashes (SHA-256) of their files; for `promises` see `broken_in`.
    """

    scenario: str
    lab: str
    promises: tuple[str, ...]
    seed: int
    repeat: int
    at_least: int
    schema: int = SCHEMA


@dataclass(frozen=True)
class LoggedRun:
    """A run of a candidate (its key): its verdict, the promises that it broke, and its folder."""

    candidate: str
    verdict: Verdict
    broken: tuple[str, ...]
    folder: str


_LINE: TypeAdapter[Plan | LoggedRun] = TypeAdapter(Plan | LoggedRun)

# Runs a candidate on the lab, until the function says after a run that the runs so far are enough.
Test = Callable[[Candidate, Callable[[], bool]], None]


def broken_in(result: Result) -> tuple[str, ...]:
    """The promises that a run broke, as they are promised."""
    return tuple(dict.fromkeys(f"{each.kind}: {each.promised}" for each in result.of(PromiseStatus.BROKEN)))


def planned_seed(folder: Path) -> int | None:
    """The seed of the search whose log is in a folder; None if there is no log."""
    plan = planned(folder / _NAME, Plan, _LINE)
    return plan.seed if plan else None


class Shrinking:
    """A search with its log in a folder. A candidate fails if it breaks one of the promises, often enough by the rule.

    Its runs say nothing about another lab or other files: `lab` is the hash of the lab file, `scenario` that of the
    scenario with its files. Without `promises`, they are those that the first failed run of `start` breaks. Raises
    BadUsage if the folder has the log of another search.
    """

    def __init__(
        self,
        start: Candidate,
        promises: tuple[str, ...],
        rule: Rule,
        seed: int,
        folder: Path,
        *,
        lab: str,
        scenario: str,
    ) -> None:
        self.start = start
        self.seed = seed
        self.rule = rule
        self._promises = promises
        plan = Plan(scenario, lab, promises, seed, rule.repeat, rule.at_least)
        self._log: SearchLog[Plan, LoggedRun] = SearchLog(folder / _NAME, plan, _LINE)

    @property
    def path(self) -> Path:
        return self._log.path

    @property
    def runs(self) -> list[LoggedRun]:
        return self._log.lines

    @property
    def promises(self) -> tuple[str, ...]:
        """The promises of which one must be broken; none before `start` has failed."""
        failed = (run.broken for run in self.runs if run.candidate == self.start.key and run.broken)
        return self._promises or next(failed, ())

    @property
    def tried(self) -> int:
        """How many scenarios were run, the start included."""
        return len({run.candidate for run in self.runs})

    @property
    def unanswered(self) -> int:
        """How many scenarios ended in errors so often that they were given up: they may fail, too."""
        answers = (self.rule.answer(self._verdicts(key)) for key in {run.candidate for run in self.runs})
        return sum(answer is Answer.SKIPPED for answer in answers)

    def count(self, candidate: Candidate) -> Count:
        return self.rule.count(self._verdicts(candidate.key))

    def record(self, candidate: Candidate, result: Result, folder: str) -> None:
        self._log.add(LoggedRun(candidate.key, result.verdict, broken_in(result), folder))

    def run(self, test: Test, progress: Progress) -> Candidate | None:
        """The smallest scenario that fails in the same way; None if the start itself does not fail often enough."""
        if not self._fails(self.start, test, progress):
            return None
        return search.shrink(self.start, lambda candidate: self._fails(candidate, test, progress))

    def _fails(self, candidate: Candidate, test: Test, progress: Progress) -> bool:
        if self._answer(candidate) is None:
            test(candidate, lambda: self._answer(candidate) is not None)
        answer = self._answer(candidate)
        if not self._verdicts(candidate.key):
            # halab refuses such a scenario
            return False
        shape = f"{counted(len(candidate.faults), 'fault')} in {counted(len(candidate.steps), 'step')}"
        progress.say(f"{shape}: {self.in_words(candidate)}")
        return answer is Answer.BAD

    def in_words(self, candidate: Candidate) -> str:
        """`it failed in 2 of 3 runs`."""
        return self.count(candidate).in_words("it failed in this way")

    def _answer(self, candidate: Candidate) -> Answer | None:
        return self.rule.answer(self._verdicts(candidate.key))

    def _verdicts(self, key: str) -> Sequence[Verdict]:
        """What the runs of a candidate mean.

        A run that failed in another way does not show the failure that is searched for.
        """
        return [
            Verdict.PASS
            if run.verdict is Verdict.FAIL and not set(run.broken) & set(self.promises)
            else run.verdict
            for run in self.runs
            if run.candidate == key
        ]
