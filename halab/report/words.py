"""How reports say what came of a promise; the same words on a page and in a terminal."""

from __future__ import annotations

from halab.config.quantities import spelled, spelled_share
from halab.config.scenario import Verdict
from halab.scenario.folder import Meta
from halab.scenario.result import Lane, Outcome, Result, Standing

VERDICTS = {
    Verdict.PASS: "Every promise was kept.",
    Verdict.FAIL: "A promise was broken.",
    Verdict.ERROR: "Nothing can be concluded: something that had to be judged was not.",
    Verdict.SKIP: "This lab cannot do it.",
}
MARKS = {
    Standing.KEPT: "✓",
    Standing.BROKEN: "✗",
    Standing.UNJUDGED: "?",
    Standing.LEFT_OUT: "–",
}


def limit(outcome: Outcome) -> str:
    """The bound of a promise; with patience both figures."""
    if outcome.limit_seconds is None:
        return ""
    written = spelled(outcome.limit_seconds)
    if outcome.patient_seconds is None or outcome.patient_seconds == outcome.limit_seconds:
        return written
    return f"{written} (with patience {spelled(outcome.patient_seconds)})"


def measured(outcome: Outcome) -> str:
    if outcome.measured is None:
        return ""
    return (
        spelled(outcome.measured) if outcome.limit_seconds is not None else spelled_share(outcome.measured)
    )


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f}ms"


def share(lane: Lane) -> str:
    return spelled_share(lane.failed / lane.samples) if lane.samples else ""


def worst_for_clients(result: Result) -> Lane | None:
    """The lane through the load balancer that was out the longest; None where none was sampled."""
    through = [lane for lane in result.lanes if "@" not in lane.name]
    return max(through, key=lambda lane: lane.longest_outage_seconds, default=None)


def versions(meta: Meta) -> list[tuple[str, str]]:
    """What a run was made with, by name."""
    known = {"kubernetes": meta.kubernetes, **meta.versions}
    return [(name, version) for name, version in known.items() if version]
