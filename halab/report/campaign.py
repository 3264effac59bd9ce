"""Several runs of one command, and their figures together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from halab.config import loading
from halab.config.scenario import Scenario
from halab.config.twin import Verdict, twin_name
from halab.report import wording
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.record.outage import percentile
from halab.scenario.verdict.judgement import Figure, Unit
from halab.scenario.verdict.result import Result

# The first of these among several verdicts stands for all of them. An observed failure weighs more than an error.
BY_SEVERITY = (Verdict.FAIL, Verdict.ERROR, Verdict.PASS, Verdict.SKIP)
CLIENTS = "longest outage for clients"
RECOVERY = "recovery"


@dataclass(frozen=True)
class NotRun:
    """A planned run that did not take place, and why: an interrupt, or an earlier failure."""

    name: str
    why: str


@dataclass(frozen=True)
class Spread:
    """One figure measured in several runs. `most` and `least` are its promised bounds."""

    name: str
    promised: str
    unit: Unit
    values: tuple[float, ...]
    most: float | None = None
    least: float = 0.0

    @property
    def bounds(self) -> str:
        return wording.bounds(Figure(self.name, self.unit, self.worst, self.most, self.least))

    @property
    def p50(self) -> float:
        return self._percentile(50)

    @property
    def p95(self) -> float:
        return self._percentile(95)

    @property
    def worst(self) -> float:
        return max(self.values)

    def _percentile(self, percent: int) -> float:
        value = percentile(sorted(self.values), percent)
        assert value is not None
        return value


@dataclass(frozen=True)
class Tally:
    """All runs of one scenario, or of its losing twin."""

    scenario: str
    is_twin: bool
    runs: tuple[tuple[RunFolder, Result], ...]

    def __str__(self) -> str:
        return twin_name(self.scenario) if self.is_twin else self.scenario

    @property
    def title(self) -> str:
        return self.results[0].title

    @property
    def results(self) -> list[Result]:
        return [result for _, result in self.runs]

    @property
    def verdict(self) -> Verdict:
        return most_severe([result.verdict for result in self.results])

    @cached_property
    def expected(self) -> Verdict:
        """A pass; for a losing twin the verdict that its scenario promises."""
        if not self.is_twin:
            return Verdict.PASS
        return Verdict(loading.load(self.runs[0][0].scenario, Scenario).twin.verdict)

    @property
    def as_expected_count(self) -> int:
        return sum(result.verdict is self.expected for result in self.results)

    @property
    def compared_with_expected(self) -> list[Verdict]:
        """One verdict per run: a pass if the run ended as expected."""
        return [compare_with_expected(result.verdict, self.expected) for result in self.results]

    @property
    def seconds(self) -> float:
        return sum(result.seconds for result in self.results)

    @property
    def reasons(self) -> list[str]:
        """The reasons of all runs that did not pass, without repetition."""
        return list(dict.fromkeys(reason for result in self.results for reason in result.reasons))

    def spread(self, name: str) -> Spread | None:
        return next((spread for spread in self.spreads if spread.name == name), None)

    @cached_property
    def spreads(self) -> list[Spread]:
        """All measured figures, over all runs."""
        outages = [
            lane.longest_outage_seconds
            for result in self.results
            if (lane := wording.worst_for_clients(result))
        ]
        clients = [Spread(CLIENTS, "", Unit.SECONDS, tuple(outages))] if outages else []
        groups: dict[tuple[str, str, str], list[Figure]] = {}
        for result in self.results:
            for name, promised, figure in _measured(result):
                groups.setdefault((name, promised, figure.name), []).append(figure)
        return clients + [_spread(name, promised, same) for (name, promised, _), same in groups.items()]


@dataclass(frozen=True)
class Campaign:
    """The runs of one command. `order` is the planned order, `started` is in ISO 8601, `seconds` the total time."""

    name: str
    seed: int
    order: Sequence[str]
    runs: Sequence[tuple[RunFolder, Result]]
    started: str
    seconds: float
    not_run: Sequence[NotRun] = ()
    repairs: Sequence[str] = ()

    @cached_property
    def tallies(self) -> list[Tally]:
        """The scenarios, in the order of their first runs."""
        groups: dict[tuple[str, bool], list[tuple[RunFolder, Result]]] = {}
        for folder, result in self.runs:
            groups.setdefault((result.scenario, result.is_twin), []).append((folder, result))
        return [Tally(scenario, is_twin, tuple(runs)) for (scenario, is_twin), runs in groups.items()]

    @property
    def totals(self) -> dict[Verdict, int]:
        """The number of runs per verdict."""
        return {verdict: sum(result.verdict is verdict for _, result in self.runs) for verdict in Verdict}

    @property
    def compared_with_expected(self) -> list[Verdict]:
        """One verdict per run: a pass if it ended as expected. One error more if runs are missing and none failed."""
        verdicts = [verdict for tally in self.tallies for verdict in tally.compared_with_expected]
        if self.not_run and not {Verdict.FAIL, Verdict.ERROR} & set(verdicts):
            verdicts.append(Verdict.ERROR)
        return verdicts

    @property
    def verdict(self) -> Verdict:
        """The verdict of the campaign: a pass if every planned run took place and ended as expected."""
        return most_severe(self.compared_with_expected or [Verdict.SKIP])

    @property
    def is_repeated(self) -> bool:
        return any(len(tally.runs) > 1 for tally in self.tallies)

    @cached_property
    def meta(self) -> Meta | None:
        """The description of the first run: all runs have the same lab and versions."""
        return self.runs[0][0].read_meta() if self.runs else None


def compare_with_expected(verdict: Verdict, expected: Verdict) -> Verdict:
    """A pass if the verdict is the expected one, a fail for an unexpected pass, else the verdict itself."""
    if verdict is expected:
        return Verdict.PASS
    return Verdict.FAIL if verdict is Verdict.PASS else verdict


def most_severe(verdicts: Sequence[Verdict]) -> Verdict:
    return min(verdicts, key=BY_SEVERITY.index)


def _measured(result: Result) -> Iterator[tuple[str, str, Figure]]:
    """The figures of the promises, and the effects of faults on clients: (name, promise, figure)."""
    for outcome in result.outcomes:
        for figure in outcome.figures:
            yield outcome.name, outcome.promised, figure
    for impact in result.impacts:
        name = f"{impact.fault}: {impact.lane.in_words}"
        yield name, "", Figure("failed after", Unit.SECONDS, impact.failed_after_seconds)
        if impact.good_after_seconds is not None:
            yield name, "", Figure("good after", Unit.SECONDS, impact.good_after_seconds)


def _spread(name: str, promised: str, same: Sequence[Figure]) -> Spread:
    first = same[0]
    what = f"{promised}: {first.name}" if promised and name != RECOVERY else promised or first.name
    return Spread(name, what, first.unit, tuple(figure.value for figure in same), first.most, first.least)
