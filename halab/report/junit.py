"""A result as JUnit XML: one test case per promise, so that CI shows the broken ones."""

from __future__ import annotations

from collections.abc import Sequence

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from halab.config.quantities import format_duration
from halab.config.twin import Verdict
from halab.printable import printable
from halab.report.campaign import Campaign, NotRun, compare_with_expected
from halab.scenario.verdict.judgement import Unit
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result

_RESULTS = {PromiseStatus.BROKEN: Failure, PromiseStatus.UNJUDGED: Error, PromiseStatus.LEFT_OUT: Skipped}
_UNEXPECTED = {Verdict.FAIL: Failure, Verdict.ERROR: Error, Verdict.SKIP: Skipped}


def text(result: Result) -> str:
    """The XML of one run. Checks are test cases too."""
    return _xml("halab", [_suite(result, result.scenario)])


def merged(campaign: Campaign) -> str:
    """The XML of a campaign: a suite for every run, and one for the runs that did not take place."""
    runs = []
    for tally in campaign.tallies:
        for number, result in enumerate(tally.results, 1):
            count = f", {number} of {len(tally.runs)}" if len(tally.runs) > 1 else ""
            runs.append((f"{tally}{count}", result, tally.expected))
    return of_runs(campaign.name, runs, campaign.not_run)


def of_runs(
    name: str,
    runs: Sequence[tuple[str, Result, Verdict]],
    not_run: Sequence[NotRun],
    lost: Sequence[NotRun] = (),
) -> str:
    """The XML of several runs, with the names of their suites and the verdicts that are expected.

    `lost` are runs that could not take place: errors.
    """
    suites = [
        _suite(result, suite_name)
        if expected is Verdict.PASS and not result.is_twin
        else _suite_of_verdict(result, suite_name, expected)
        for suite_name, result, expected in runs
    ]
    for title, missing, kind in (("not run", not_run, Skipped), ("could not run", lost, Error)):
        if missing:
            suites.append(_suite_of_missing(title, missing, kind))
    return _xml(name, suites)


def _suite_of_missing(name: str, missing: Sequence[NotRun], kind: type[Skipped] | type[Error]) -> TestSuite:
    suite = TestSuite(name)
    for planned in missing:
        case = TestCase(printable(planned.name), f"halab.{name.replace(' ', '-')}")
        case.result = [kind(printable(planned.why))]
        suite.add_testcase(case)
    suite.update_statistics()
    return suite


def _xml(name: str, suites: Sequence[TestSuite]) -> str:
    xml = JUnitXml(printable(name))
    for suite in suites:
        # add_testsuite compares each suite with all others: minutes for the 10,000 cells of a matrix
        xml.append(suite)
    xml.update_statistics()
    return str(xml.tostring().decode())


def _suite(result: Result, name: str) -> TestSuite:
    suite = TestSuite(printable(name))
    suite.timestamp = printable(result.started)
    for key, value in _properties(result).items():
        suite.add_property(key, printable(value))
    for outcome in result.outcomes:
        suite.add_testcase(_case(result, outcome))
    if result.verdict is Verdict.SKIP:
        case = TestCase(printable(result.title), printable(f"halab.{result.scenario}"))
        case.result = [Skipped(printable("; ".join(result.reasons)))]
        suite.add_testcase(case)
    suite.update_statistics()
    suite.time = round(result.seconds, 3)
    return suite


def _suite_of_verdict(result: Result, name: str, expected: Verdict) -> TestSuite:
    """One test case: a losing twin, or a bug that shows, ends as it must if it breaks a promise."""
    suite = TestSuite(printable(name))
    suite.timestamp = printable(result.started)
    for key, value in _properties(result).items():
        suite.add_property(key, printable(value))
    case = TestCase(f"the run ends with {expected}", printable(f"halab.{result.scenario}"))
    compared = compare_with_expected(result.verdict, expected)
    if compared is not Verdict.PASS:
        entry = _UNEXPECTED[compared](f"it ended with {result.verdict}")
        entry.text = printable("\n".join(result.reasons))
        case.result = [entry]
    suite.add_testcase(case)
    suite.update_statistics()
    suite.time = round(result.seconds, 3)
    return suite


def _properties(result: Result) -> dict[str, str]:
    properties = {"title": result.title, "lab": result.lab, "verdict": str(result.verdict)}
    return properties | ({"provider": result.provider} if result.provider else {})


def _case(result: Result, outcome: PromiseOutcome) -> TestCase:
    has_own_name = outcome.kind in (PromiseKind.CHECK, PromiseKind.STEADY)
    name = outcome.name if has_own_name else f"{outcome.name}: {outcome.promised}"
    case = TestCase(printable(name), printable(f"halab.{result.scenario}"))
    seconds = [figure.value for figure in outcome.figures if figure.unit is Unit.SECONDS]
    if seconds:
        case.time = round(seconds[0], 3)
    kind = _RESULTS.get(outcome.standing)
    if kind is None:
        return case
    entry = kind(printable(outcome.seen))
    if kind is not Skipped:
        entry.text = printable(outcome.detail or explained(outcome))
    case.result = [entry]
    return case


def explained(outcome: PromiseOutcome) -> str:
    """Lines for the promise, what was seen, the time, the limit and the samples that show it."""
    lines = [f"promised: {outcome.promised}", f"seen: {outcome.seen}"]
    if outcome.at is not None:
        lines.append(f"when: {outcome.at:.2f}s after the start of the run")
    if outcome.patient_seconds and outcome.patient_seconds != outcome.limit_seconds:
        written, stretched = (
            format_duration(outcome.limit_seconds or 0),
            format_duration(outcome.patient_seconds),
        )
        lines.append(f"limit: {written}, {stretched} with the lab's patience")
    lines += [
        f"samples: {shown.samples} of {shown.lane} from {shown.start:.2f}s to {shown.end:.2f}s"
        for shown in outcome.evidence
    ]
    return "\n".join(lines)
