"""Expectations in words, their limits, and how long a run waits for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from halab.config.expectation import Expectation, FactExpectation, ProbeExpectation
from halab.config.quantities import Promise, format_count, format_duration, format_share
from halab.scenario.verdict.judgement import Unit


def promised(expectation: Expectation) -> str:
    """An expectation in a sentence: `write-via-lb ok within 5s`."""
    where = f" on {expectation.target}" if expectation.target else ""
    during = f" during {expectation.during}" if expectation.during else ""
    if isinstance(expectation, FactExpectation):
        return f"{expectation.state}{where} {_fact_promise(expectation)}{during}"
    return f"{expectation.probe}{where} {', '.join(_probe_promises(expectation))}{during}"


def subject(expectation: Expectation, limit: Limit) -> str:
    """What a limit of an expectation is about, without its amount: `write-via-lb longest outage`."""
    where = f" on {expectation.target}" if expectation.target else ""
    what = limit.what.removesuffix(" within")
    if isinstance(expectation, ProbeExpectation):
        return f"{expectation.probe}{where} {what}"
    return f"{expectation.state}{where} {f'is {expectation.value}' if expectation.value else what}"


def waiting(expectation: Expectation) -> Promise | None:
    """The promise that a run waits for, with a limit that patience stretches; None for promises over a window."""
    if isinstance(expectation, FactExpectation):
        return expectation.changed or expectation.reached
    promise = expectation.ok or expectation.fails
    return promise if promise and not promise.always else None


def waited_seconds(expectation: Expectation) -> float | None:
    """How long a run waits for an expectation; 0 if it only looks once more, None if it does not wait at all."""
    promise = waiting(expectation)
    if promise is not None:
        return promise.within_seconds
    is_looked_at = isinstance(expectation, FactExpectation) and expectation.during is None
    return 0.0 if is_looked_at else None


def limit_seconds(expectation: Expectation) -> float | None:
    """The upper bound of an expectation in seconds, if it has one."""
    promise = waiting(expectation)
    if promise is not None:
        return promise.within_seconds
    outage = expectation.longest_outage if isinstance(expectation, ProbeExpectation) else None
    return outage.most if outage and not math.isinf(outage.most) else None


# What is measured for a promise with a time limit has another name than the promise.
_FIGURES = {
    "ok within": "ok after",
    "fails within": "failed after",
    "changed within": "after",
    "reached within": "after",
}


@dataclass(frozen=True)
class Limit:
    """The bounds of one promised amount; `most` is None without an upper bound."""

    what: str
    unit: Unit
    most: float | None
    least: float = 0.0

    @property
    def figure(self) -> str:
        """The name of the figure that is measured for it."""
        return _FIGURES.get(self.what, self.what)

    def as_data(self) -> dict[str, Any]:
        return {"what": self.what, "unit": str(self.unit), "least": self.least, "most": self.most}


def limits(expectation: Expectation) -> list[Limit]:
    """All limits of an expectation; none for `always` and `unchanged`."""
    if isinstance(expectation, FactExpectation):
        waits = {"changed": expectation.changed, "reached": expectation.reached}
        amounts = {"increase": (Unit.COUNT, expectation.increase)}
    else:
        waits = {"ok": expectation.ok, "fails": expectation.fails}
        amounts = {
            "longest outage": (Unit.SECONDS, expectation.longest_outage),
            "failed share": (Unit.SHARE, expectation.failed_share),
            "outages": (Unit.COUNT, expectation.outages),
        }
    return [
        *(
            Limit(f"{what} within", Unit.SECONDS, wait.within_seconds)
            for what, wait in waits.items()
            if wait and not wait.always
        ),
        *(
            Limit(what, unit, None if math.isinf(bounds.most) else bounds.most, bounds.least)
            for what, (unit, bounds) in amounts.items()
            if bounds
        ),
    ]


def _fact_promise(expectation: FactExpectation) -> str:
    if expectation.changed:
        return f"changed {expectation.changed}"
    if expectation.increase:
        return f"increases by {expectation.increase.in_words(format_count)}"
    if expectation.value is None:
        return "unchanged"
    return f"is {expectation.value}" + (f" {expectation.reached}" if expectation.reached else "")


def _probe_promises(expectation: ProbeExpectation) -> list[str]:
    promises = []
    if expectation.ok:
        promises.append(f"ok {expectation.ok}")
    if expectation.fails:
        promises.append(f"fails {expectation.fails}")
    if expectation.longest_outage:
        promises.append(f"longest outage {expectation.longest_outage.in_words(format_duration)}")
    if expectation.failed_share:
        promises.append(f"failed share {expectation.failed_share.in_words(format_share)}")
    if expectation.outages:
        promises.append(f"outages {expectation.outages.in_words(format_count)}")
    return promises
