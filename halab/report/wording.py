"""How reports say what came of a promise; the same words on a page and in a terminal."""

from __future__ import annotations

from halab.config.quantities import format_count, format_duration, format_share
from halab.config.twin import Verdict
from halab.scenario.record.folder import Meta
from halab.scenario.verdict.decision import Figure, Unit
from halab.scenario.verdict.result import LaneFigures, PromiseOutcome, PromiseStatus, Result

VERDICTS = {
    Verdict.PASS: "Every promise was kept.",
    Verdict.FAIL: "A promise was broken.",
    Verdict.ERROR: "Nothing can be concluded: something that had to be judged was not.",
    Verdict.SKIP: "This lab cannot do it.",
}
MARKS = {
    PromiseStatus.KEPT: "✓",
    PromiseStatus.BROKEN: "✗",
    PromiseStatus.UNJUDGED: "?",
    PromiseStatus.LEFT_OUT: "–",
}


def amount(unit: Unit, value: float) -> str:
    spell = {Unit.SECONDS: format_duration, Unit.SHARE: format_share, Unit.COUNT: format_count}
    return spell[unit](value)


def bounds(figure: Figure) -> str:
    """What was promised for a figure: at most, at least, or between."""
    least = amount(figure.unit, figure.least)
    if figure.most is None:
        return f"at least {least}" if figure.least > 0 else ""
    most = amount(figure.unit, figure.most)
    return f"{least} to {most}" if figure.least > 0 else most


def limit(outcome: PromiseOutcome) -> str:
    """The bounds of a promise; with patience both figures."""
    stretched = "" if outcome.patient_seconds is None else format_duration(outcome.patient_seconds)
    if outcome.limit_seconds is not None and outcome.patient_seconds != outcome.limit_seconds:
        return f"{format_duration(outcome.limit_seconds)} (with patience {stretched})"
    return ", ".join(filter(None, map(bounds, outcome.figures))) or stretched


def measured(outcome: PromiseOutcome) -> str:
    return ", ".join(amount(figure.unit, figure.value) for figure in outcome.figures)


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f}ms"


def share(lane: LaneFigures) -> str:
    return format_share(lane.failed / lane.samples) if lane.samples else ""


def worst_for_clients(result: Result) -> LaneFigures | None:
    """The lane through the load balancer that was out the longest; None where none was sampled."""
    through = [lane for lane in result.lanes if lane.name.machine is None]
    return max(through, key=lambda lane: lane.longest_outage_seconds, default=None)


def versions(meta: Meta) -> list[tuple[str, str]]:
    """What a run was made with, by name."""
    known = {"kubernetes": meta.kubernetes, **meta.versions}
    return [(name, version) for name, version in known.items() if version]
