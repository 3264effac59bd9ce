"""The bounded amounts of the promises of a scenario. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from halab.config.expectation import Expectation
from halab.config.scenario import Scenario
from halab.config.step import Expect, Join
from halab.report.campaign import RECOVERY
from halab.scenario.verdict.judgement import Unit
from halab.scenario.verdict.promises import Limit, limits, promised, subject, waiting


@dataclass(frozen=True)
class Bounded:
    """One bounded amount of a promise: its step, the promise with and without its bounds, and the bounds.

    The lab's patience stretches the upper one if `is_waited`.
    """

    name: str
    promised: str
    what: str
    limit: Limit
    is_waited: bool = True


def bounded_amounts(scenario: Scenario) -> Iterator[Bounded]:
    """All bounded amounts, in the order of the steps; the recovery comes last."""
    for number, step in enumerate(scenario.steps, 1):
        if isinstance(step, Expect):
            expectation = step.expectation
            for limit in limits(expectation):
                words, what = promised(_alone(expectation, limit)), subject(expectation, limit)
                yield Bounded(f"step {number}", words, what, limit, waiting(expectation) is not None)
        elif isinstance(step, Join):
            limit = Limit("ended after", Unit.SECONDS, step.limit_seconds)
            what = f"kubeadm join on {step.fault} {step.ending}"
            yield Bounded(f"step {number}", step.promised, what, limit)
    recover = scenario.recover
    limit = Limit("steady after", Unit.SECONDS, recover.steady.within_seconds)
    words = f"steady {recover.steady} from the {recover.origin}"
    yield Bounded(RECOVERY, words, RECOVERY, limit)


def _alone(expectation: Expectation, limit: Limit) -> Expectation:
    """The expectation without its other amounts."""
    others = {other.what for other in limits(expectation)} - {limit.what}
    return expectation.model_copy(update={what.replace(" ", "_"): None for what in others})
