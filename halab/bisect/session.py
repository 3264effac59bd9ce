"""The search itself: tests one version after another until the log says which one brought the bug in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from halab.bisect.log import Log, LoggedRun, Skipped
from halab.bisect.search import Search
from halab.config.twin import Verdict
from halab.errors import HalabError, HostProblem
from halab.printable import counted, one_line
from halab.progress import Progress
from halab.trials.rule import Answer, Count, Rule, confidence

# Plays runs of a version and records each in the log, until the second argument says of the verdicts of all runs of
# this version that they are enough. Raises HalabError if the version cannot be tested.
Test = Callable[[str, Callable[[Sequence[Verdict]], bool]], None]
_NOTHING = "its runs ended in errors, or were skipped"


@dataclass(frozen=True)
class Bisection:
    """A search with its log: everything that is known is in the log."""

    component: str
    versions: Sequence[str]
    rule: Rule
    log: Log

    @property
    def search(self) -> Search:
        answers = {version: answer for version in self.versions if (answer := self.answer(version))}
        return Search(self.versions, answers)

    def answer(self, version: str) -> Answer | None:
        """What is known of a version; None if more runs are needed."""
        if self.why_skipped(version):
            return Answer.SKIPPED
        return self.rule.answer(self.log.verdicts(version), needs_all=self._needs_all(version))

    def why_skipped(self, version: str) -> str:
        """Why a version was given up; empty if it was not."""
        return next((skipped.why for skipped in self.log.skipped if skipped.version == version), "")

    def count(self, *versions: str) -> Count:
        return self.rule.count([verdict for version in versions for verdict in self.log.verdicts(version)])

    @property
    def confidence(self) -> float:
        """How probable it is (0 to 1) that the boundary is where the search has found it."""
        search = self.search
        good = [version for version, answer in search.answers.items() if answer is Answer.GOOD]
        return confidence(
            self.rule,
            self.count(self.versions[-1]),
            self.count(*good),
            self.count(search.last_good),
            self.count(search.first_bad),
        )

    def run(self, test: Test, progress: Progress) -> None:
        """Test versions until the search is over.

        An error ends only the test of its version, which is tested once more: the error may have passed. A HostProblem
        is raised.
        """
        failed: set[str] = set()
        while version := self.search.next:
            search = self.search
            suspects, tests = counted(len(search.suspects), "version"), counted(search.most_tests, "test")
            progress.say(
                f"test {self.component} {version}: {suspects} may have brought the bug in, at most {tests} to go"
            )
            try:
                test(version, partial(self._is_enough, version))
                why = _NOTHING if self.answer(version) in (None, Answer.SKIPPED) else ""
            except HostProblem:
                # the other versions would meet it, too
                raise
            except HalabError as error:
                why = one_line(error.message)
                if version not in failed:
                    failed.add(version)
                    progress.say(f"{self.component} {version}: {why}; test it once more")
                    continue
            if why:
                self.log.add(Skipped(version, why))
            progress.say(self.in_words(version))

    def in_words(self, version: str) -> str:
        """`etcd 3.6.5: bad, the bug showed in 1 of 2 runs`."""
        said = self.why_skipped(version) or str(self.count(version))
        return f"{self.component} {version}: {self.answer(version) or 'not tested'}, {said}"

    def record(self, version: str, verdict: Verdict, folder: str) -> None:
        self.log.add(LoggedRun(version, verdict, folder))

    def _is_enough(self, version: str, verdicts: Sequence[Verdict]) -> bool:
        return self.rule.answer(verdicts, needs_all=self._needs_all(version)) is not None

    def _needs_all(self, version: str) -> bool:
        # how often the bug shows is known from this version alone
        return version == self.versions[-1]
