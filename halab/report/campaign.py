"""Several runs of one command, and the figures that they make together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from halab.config import loading
from halab.config.scenario import Scenario
from halab.config.twin import Verdict
from halab.report import wording
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.record.outage import percentile
from halab.scenario.verdict.decision import Figure, Unit
from halab.scenario.verdict.result import Result

# Of several verdicts, what stands for all of them: what was seen to fail counts more than what was not seen.
GRAVEST = (Verdict.FAIL, Verdict.ERROR, Verdict.PASS, Verdict.SKIP)
CLIENTS = "longest outage for clients"
RECOVERY = "recovery"


@dataclass(frozen=True)
class NotRun:
    """A planned run that did not take place, and why: interrupted, or an earlier failure."""

    name: str
    why: str


@dataclass(frozen=True)
class Spread:
    """One thing that was measured in each of several runs; `most` and `least` are what was promised of it."""

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
        found = percentile(sorted(self.values), percent)
        assert found is not None
        return found


@dataclass(frozen=True)
class Tally:
    """All runs of one scenario, or of its losing twin."""

    scenario: str
    is_twin: bool
    runs: tuple[tuple[RunFolder, Result], ...]

    def __str__(self) -> str:
        return f"{self.scenario} (its losing twin)" if self.is_twin else self.scenario

    @property
    def title(self) -> str:
        return self.results[0].title

    @property
    def results(self) -> list[Result]:
        return [result for _, result in self.runs]

    @property
    def verdict(self) -> Verdict:
        return gravest([result.verdict for result in self.results])

    @cached_property
    def expected(self) -> Verdict:
        """What the verdict has to be: a pass, of a losing twin what the scenario says of it."""
        if not self.is_twin:
            return Verdict.PASS
        return Verdict(loading.load(self.runs[0][0].scenario, Scenario).twin.verdict)

    @property
    def as_expected(self) -> int:
        return sum(result.verdict is self.expected for result in self.results)

    @property
    def against_expected(self) -> list[Verdict]:
        """Of each run, a pass where it came out as it had to."""
        return [against(result.verdict, self.expected) for result in self.results]

    @property
    def seconds(self) -> float:
        return sum(result.seconds for result in self.results)

    @property
    def reasons(self) -> list[str]:
        """Why it was not a pass, each reason once."""
        return list(dict.fromkeys(reason for result in self.results for reason in result.reasons))

    def spread(self, name: str) -> Spread | None:
        return next((spread for spread in self.spreads if spread.name == name), None)

    @cached_property
    def spreads(self) -> list[Spread]:
        """Everything that was measured, each over all runs."""
        outages = [
            lane.longest_outage_seconds for each in self.results if (lane := wording.worst_for_clients(each))
        ]
        clients = [Spread(CLIENTS, "", Unit.SECONDS, tuple(outages))] if outages else []
        found: dict[tuple[str, str, str], list[Figure]] = {}
        for name, promised, figure in (each for result in self.results for each in _measured(result)):
            found.setdefault((name, promised, figure.name), []).append(figure)
        return clients + [_spread(name, promised, same) for (name, promised, _), same in found.items()]


@dataclass(frozen=True)
class Campaign:
    """What one command played: `order` as it was planned, `started` in ISO 8601, `seconds` from begin to end."""

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
        """The scenarios in the order in which they were played first."""
        found: dict[tuple[str, bool], list[tuple[RunFolder, Result]]] = {}
        for folder, result in self.runs:
            found.setdefault((result.scenario, result.is_twin), []).append((folder, result))
        return [Tally(scenario, is_twin, tuple(runs)) for (scenario, is_twin), runs in found.items()]

    @property
    def totals(self) -> dict[Verdict, int]:
        """How many runs had which verdict."""
        return {verdict: sum(each.verdict is verdict for _, each in self.runs) for verdict in Verdict}

    @property
    def against_expected(self) -> list[Verdict]:
        """Of each run, a pass where it came out as it had to; an error if runs are missing and none failed."""
        found = [verdict for tally in self.tallies for verdict in tally.against_expected]
        if self.not_run and not {Verdict.FAIL, Verdict.ERROR} & set(found):
            found.append(Verdict.ERROR)
        return found

    @property
    def verdict(self) -> Verdict:
        """Of the whole: a pass where every run came out as it had to, and every planned run took place."""
        return gravest(self.against_expected or [Verdict.SKIP])

    @property
    def is_repeated(self) -> bool:
        return any(len(tally.runs) > 1 for tally in self.tallies)

    @cached_property
    def meta(self) -> Meta | None:
        """What the first run was made with: lab and versions are those of all."""
        return self.runs[0][0].read_meta() if self.runs else None


def against(verdict: Verdict, expected: Verdict) -> Verdict:
    """A pass where a run came out as it had to, a fail where it passed and must not; else what it came to."""
    if verdict is expected:
        return Verdict.PASS
    return Verdict.FAIL if verdict is Verdict.PASS else verdict


def gravest(verdicts: Sequence[Verdict]) -> Verdict:
    return min(verdicts, key=GRAVEST.index)


def _measured(result: Result) -> Iterator[tuple[str, str, Figure]]:
    """What was measured for promises, and what each fault meant for clients."""
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
