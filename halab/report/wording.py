"""The words for results, shared by the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from halab.config.quantities import format_count, format_duration, format_share
from halab.config.twin import Verdict
from halab.scenario.record.command import verb
from halab.scenario.record.folder import Meta
from halab.scenario.verdict.judgement import Figure, Unit
from halab.scenario.verdict.result import LaneFigures, PromiseOutcome, PromiseStatus, Result

VERDICTS = {
    Verdict.PASS: "Every promise was kept.",
    Verdict.FAIL: "A promise was broken.",
    Verdict.ERROR: "Neither pass nor fail: a promise could not be judged.",
    Verdict.SKIP: "This lab cannot run the scenario.",
}
MARKS = {
    PromiseStatus.KEPT: "✓",
    PromiseStatus.BROKEN: "✗",
    PromiseStatus.UNJUDGED: "?",
    PromiseStatus.LEFT_OUT: "–",
}

VERDICT_MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.ERROR: "?", Verdict.SKIP: "–"}
# Of a small drawing in text, from the lowest value to the highest.
_HEIGHTS = "▁▂▃▄▅▆▇█"

# A host at this share has no processor to spare.
_BUSY = 0.95


def busy_host(result: Result) -> str:
    """A remark on the verdict if the host had no processor to spare, and it is not a pass; else an empty text."""
    if (
        result.verdict not in (Verdict.FAIL, Verdict.ERROR)
        or result.host_busy is None
        or result.host_busy < _BUSY
    ):
        return ""
    return (
        f"the processors of the host were in use for {result.host_busy:.0%} of the run, so the lab may "
        "have been slower than on a host with less work"
    )


def heights(values: Sequence[float | None]) -> str:
    """Values as a drawing of one line: `▁▁▂▁█`; `·` for a missing one. The height is in proportion to the highest."""
    highest = max((value for value in values if value is not None), default=0.0)
    steps = len(_HEIGHTS) - 1
    return "".join(
        "·" if value is None else _HEIGHTS[round(steps * value / highest) if highest else 0]
        for value in values
    )


def amount(unit: Unit, value: float) -> str:
    formats = {Unit.SECONDS: format_duration, Unit.SHARE: format_share, Unit.COUNT: format_count}
    return formats[unit](value)


def bounds(figure: Figure) -> str:
    """The bounds promised for a figure: `5s`, `at least 5s`, `5s to 10s`; empty if there are none."""
    least = amount(figure.unit, figure.least)
    if figure.most is None:
        return f"at least {least}" if figure.least > 0 else ""
    most = amount(figure.unit, figure.most)
    return f"{least} to {most}" if figure.least > 0 else most


def limit(outcome: PromiseOutcome) -> str:
    """The bounds of a promise. If the lab's patience stretches a limit, both values."""
    stretched = "" if outcome.patient_seconds is None else format_duration(outcome.patient_seconds)
    if outcome.limit_seconds is not None and outcome.patient_seconds != outcome.limit_seconds:
        return f"{format_duration(outcome.limit_seconds)} (with patience {stretched})"
    return ", ".join(filter(None, map(bounds, outcome.figures))) or stretched


def measured(outcome: PromiseOutcome) -> str:
    return ", ".join(amount(figure.unit, figure.value) for figure in outcome.figures)


def how_to_repeat(command: Sequence[str]) -> str:
    """What stands before the command that does the same again."""
    match verb(command):
        case "compare" | "replay":
            return "To do the same again, with another folder (--in):"
        case "bugs":
            return "To do the same again; halab builds the lab:"
        case _:
            return "To do the same again on a lab that is up:"


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f}ms"


def share(lane: LaneFigures) -> str:
    return format_share(lane.failed / lane.samples) if lane.samples else ""


def worst_for_clients(result: Result) -> LaneFigures | None:
    """The lane through the load balancer with the longest outage; None if no such lane was sampled."""
    lanes = [lane for lane in result.lanes if lane.name.machine is None]
    return max(lanes, key=lambda lane: lane.longest_outage_seconds, default=None)


def versions(meta: Meta) -> list[tuple[str, str]]:
    """The versions of the components of a run, by name; of one from a checkout, also which source code that was."""
    by_name = {"kubernetes": meta.kubernetes, **meta.versions}
    for name, source in meta.sources.items():
        by_name[name] = f"{by_name.get(name, '')} from {source}".strip()
    return [(name, version) for name, version in by_name.items() if version]
