"""Shrink a scenario on a lab: try smaller ones, and remember every run, so that the search goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from halab import files
from halab.bisect.answer import Answer, Count, Rule
from halab.bisect.log import read_lines
from halab.config.twin import Verdict
from halab.errors import BadUsage
from halab.printable import counted
from halab.progress import Progress
from halab.scenario.verdict.result import PromiseStatus, Result
from halab.shrink import search
from halab.shrink.candidate import Candidate

SCHEMA = 1
_NAME = "shrink.jsonl"


@dataclass(frozen=True)
class Plan:
    """What is made smaller, on which lab, and by which rule.

    `scenario` is the key of its candidate, `lab` the hash of the lab file (SHA-256); for `promises` see `broken_in`.
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
    lines = read_lines(folder / _NAME, _LINE)
    return lines[0].seed if lines and isinstance(lines[0], Plan) else None


class Shrinking:
    """A search with its log in a folder. A candidate fails if it breaks one of the promises, often enough by the rule.

    Its runs say nothing about another lab: `lab` is the hash of the lab file. Without `promises`, they are those that
    the first failed run of `start` breaks. Raises BadUsage if the folder has the log of another search.
    """

    def __init__(
        self, start: Candidate, promises: tuple[str, ...], rule: Rule, seed: int, folder: Path, *, lab: str
    ) -> None:
        self.start = start
        self.seed = seed
        self.rule = rule
        self.runs: list[LoggedRun] = []
        self.path = folder / _NAME
        self._promises = promises
        plan = Plan(start.key, lab, promises, seed, rule.repeat, rule.at_least)
        with files.writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            lines = read_lines(self.path, _LINE)
            if lines and lines[0] != plan:
                raise BadUsage(
                    f"{self.path} is the log of another search",
                    hint="choose another folder with --in FOLDER, or remove this one to begin again",
                )
            if not lines:
                self._append(plan)
        self.runs += [line for line in lines if isinstance(line, LoggedRun)]

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
        run = LoggedRun(candidate.key, result.verdict, broken_in(result), folder)
        with files.writing(self.path):
            self._append(run)
        self.runs.append(run)

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
        return str(self.count(candidate)).replace("the bug showed", "it failed in this way")

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

    def _append(self, line: Plan | LoggedRun) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
