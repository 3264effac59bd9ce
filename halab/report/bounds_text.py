"""Measured bounds for programs, and as the comment at the top of a scenario file. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import Any

from halab.printable import counted
from halab.report import wording
from halab.report.bounds import MeasuredBounds, ScenarioBounds
from halab.report.promise_bounds import FEWEST_RUNS, LOOSE_FACTOR, TIGHT_SHARE, MeasuredPromise
from halab.report.recorded_runs import RecordedRuns

SCHEMA = 1
_DEFINITIONS = {
    "p50": "the median by nearest rank, which is always a measured value",
    "p95": "the 95th percentile by nearest rank: with fewer than 20 runs, the worst",
    "loose": f"the upper bound is more than {LOOSE_FACTOR} times the worst",
    "tight": f"the worst is above {TIGHT_SHARE:.0%} of the upper bound, or too near to the lower one",
    "few_runs": f"fewer than {FEWEST_RUNS} runs",
}
# Times are recorded to a tenth of a millisecond.
_DIGITS = 4
# Of a comment in a scenario file, with its `# `.
_WIDTH = 120


def to_json(measured: MeasuredBounds, recorded: RecordedRuns) -> str:
    """Everything for programs; times in seconds, shares from 0 to 1."""
    values = {
        "schema": SCHEMA,
        "definitions": _DEFINITIONS,
        "scenarios": [_scenario(each) for each in measured.scenarios],
        "without_runs": list(measured.without_runs),
        "not_counted": dict(recorded.left_out),
        "refused": [{"folder": str(each.folder), "why": each.why} for each in recorded.refused],
    }
    return json.dumps(values, indent=2, ensure_ascii=False)


def _scenario(bounds: ScenarioBounds) -> dict[str, Any]:
    place = bounds.place
    return {
        "scenario": bounds.scenario,
        "load_balancer": str(place.load_balancer),
        "provider": place.provider,
        "unusual": list(place.unusual),
        "kubernetes": list(bounds.kubernetes),
        "runs": bounds.runs,
        "not_counted": dict(bounds.left_out),
        "promises": [_promise(promise) for promise in bounds.promises],
        "comment": list(comment(bounds)),
    }


def _promise(promise: MeasuredPromise) -> dict[str, Any]:
    spread = promise.spread
    return {
        "name": promise.name,
        "promised": promise.promised,
        "figure": promise.limit.figure,
        "unit": str(promise.limit.unit),
        "least": promise.limit.least,
        "most": promise.limit.most,
        "stretched_by": promise.stretch,
        "runs": len(promise.values),
        "broken": promise.broken,
        "lowest": round(min(promise.values), _DIGITS) if spread else None,
        "p50": round(spread.p50, _DIGITS) if spread else None,
        "p95": round(spread.p95, _DIGITS) if spread else None,
        "worst": round(spread.worst, _DIGITS) if spread else None,
        "standing": str(promise.standing),
        "few_runs": promise.is_few,
        "proposed": promise.proposal or None,
    }


def comments(measured: MeasuredBounds) -> str:
    """The comment of every scenario file, below the name of the scenario."""
    named: dict[str, list[str]] = {}
    for bounds in measured.scenarios:
        named.setdefault(bounds.scenario, []).extend(comment(bounds))
    return "\n\n".join("\n".join([name, *lines]) for name, lines in named.items() if lines)


def comment(bounds: ScenarioBounds) -> Iterator[str]:
    """The lines about one place: a heading, and a line for each promise that was measured; none without runs."""
    promises = [promise for promise in bounds.promises if promise.spread]
    if not promises:
        return
    runs, what = counted(bounds.runs, "run"), ": p50, p95, worst" if bounds.runs > 1 else ""
    yield from _wrapped(f"Measured behind {bounds.place_in_words}, {runs}{what}")
    for promise in promises:
        yield from _wrapped(f"  {_line(promise, bounds.runs)}")


def _line(promise: MeasuredPromise, runs: int) -> str:
    """`step 7, write-via-lb longest outage: 0s, 0.4s, 1.2s (of 9 runs)`."""
    spread = promise.spread
    assert spread is not None
    figures = (spread.p50, spread.p95, spread.worst) if runs > 1 else (spread.worst,)
    amounts = ", ".join(wording.amount(promise.limit.unit, value) for value in figures)
    name = promise.name if promise.name == promise.what else f"{promise.name}, {promise.what}"
    fewer = f" (of {len(promise.values)})" if len(promise.values) < runs else ""
    return f"{name}: {amounts}{fewer}"


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(
        line, _WIDTH, initial_indent="# ", subsequent_indent=f"#{' ' * 7}", break_on_hyphens=False
    )
