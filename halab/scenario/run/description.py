"""A scenario in words for people and as data for programs: its steps, its promises, its losing twin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from halab.config.etcd import Topology
from halab.config.expectation import FactExpectation
from halab.config.fault_facts import NOTHING
from halab.config.lab_traits import Condition, Needs
from halab.config.quantities import format_duration, format_minutes
from halab.config.scenario import LedgerScope, Origin, RevisionRule, Scenario
from halab.config.step import AnyStep, Expect, Heal, Inject, Join, Wait, conditions
from halab.config.twin import Twin
from halab.faults.catalogue import FAULTS
from halab.printable import brief_value
from halab.scenario.run.duration import longest_seconds
from halab.scenario.run.library import Script
from halab.scenario.verdict.promises import limits, promised

_LEDGER = {
    LedgerScope.ALL: "Every write that the API acknowledged is still there.",
    LedgerScope.UNTIL_SNAPSHOT: "Every write that the API acknowledged before the snapshot is still there.",
    LedgerScope.NONE: "Any write may be lost.",
}
# A heading and its sentences, which are not wrapped yet.
Paragraph = tuple[str, Sequence[str]]


def paragraphs(script: Script) -> Iterator[Paragraph]:
    """The scenario for people: headings with sentences."""
    scenario = script.scenario
    yield f"{script.name}: {scenario.title}", [" ".join(scenario.teaches.split())]
    yield "Needs", list(_needs(scenario)) or ["any lab"]
    yield "Steps", [f"{number}. {step_in_words(step)}" for number, step in enumerate(scenario.steps, 1)]
    fall = ["The revision of an etcd member may fall."] if scenario.revision is RevisionRule.MAY_FALL else []
    reads = ["Reads and writes of etcd's keys were linearizable."] if scenario.linearizable else []
    data = [_LEDGER[scenario.ledger], *fall, *reads]
    yield "Afterwards", [f"The lab is {recovery(scenario)}.", *data, *_checks(scenario)]
    yield "Losing twin", [twin_in_words(scenario)]
    tags = [f"tags: {', '.join(scenario.tags)}"] if scenario.tags else []
    yield (
        "",
        [*tags, f"takes up to about {format_minutes(longest_seconds(scenario))}", f"file: {script.path}"],
    )


def as_data(script: Script) -> dict[str, Any]:
    """The scenario for programs. Steps are counted from 1, in file order."""
    scenario = script.scenario
    return {
        "name": script.name,
        "title": scenario.title,
        "teaches": scenario.teaches.strip(),
        "tags": list(scenario.tags),
        "needs": _plain(scenario.needs) | {"capabilities": _capabilities(scenario)},
        "faults": [
            {"step": number, "name": step.name, "fault": step.fault, "on": list(step.targets), "with": step.arguments}
            for number, step in enumerate(scenario.steps, 1)
            if isinstance(step, Inject)
        ],
        "bounds": list(_bounds(scenario)),
        "conditions": [
            {"step": number, "when": _plain(when)}
            for number, step in enumerate(scenario.steps, 1)
            for when in conditions(step)
        ],
        "ledger": str(scenario.ledger),
        "revision": str(scenario.revision),
        "linearizable": scenario.linearizable,
        "checks": list(scenario.checks),
        "twin": {
            "change": _change(scenario),
            "verdict": str(scenario.twin.verdict),
            **{kind: _plain(scenario.twin)[kind] for kind in scenario.twin.changes},
        },
        "longest_seconds": longest_seconds(scenario),
        "file": str(script.path),
    }  # fmt: skip


def step_in_words(step: AnyStep) -> str:
    """A step as a sentence: `Inject kill-process on etcd-leader (process=etcd), called dead-leader.`"""
    return f"{_action(step)}{''.join(f', only with {_condition(when)}' for when in conditions(step))}."


def recovery(scenario: Scenario) -> str:
    """`steady within 5m, counted from the last heal`."""
    origin = "first inject" if scenario.recover.origin is Origin.INJECT else "last heal"
    return f"steady {scenario.recover.steady}, counted from the {origin}"


def twin_in_words(scenario: Scenario) -> str:
    return f"With one change, the scenario must {_LOST[str(scenario.twin.verdict)]}: {_change(scenario)}."


_LOST = {"fail": "fail", "error": "end with an error"}


def _action(step: AnyStep) -> str:
    match step:
        case Inject():
            called = f", called {step.name}" if step.name != step.fault else ""
            return f"Inject {_fault(step.fault, step.arguments)} on {step.target}{called}"
        case Heal():
            return f"Heal {step.name}"
        case Wait():
            return f"Wait {format_duration(step.seconds)}"
        case Join():
            return f"Join: {step.promised}"
        case Expect():
            return f"Expect: {promised(step.expectation)}"


def _fault(name: str, options: dict[str, str]) -> str:
    given = ", ".join(f"{option}={brief_value(value)}" for option, value in options.items())
    return f"{name} ({given})" if given else name


def _condition(when: Condition) -> str:
    named = {
        "Kubernetes": when.kubernetes,
        "provider": when.provider,
        "load balancer": when.load_balancer,
        "etcd": when.etcd,
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value)


def _needs(scenario: Scenario) -> Iterator[str]:
    needs: Needs = scenario.needs
    pair = needs.balancers if needs.balancers > 1 else 0
    members = needs.members if needs.members > 1 or needs.etcd is Topology.EXTERNAL else 0
    for count, what in (
        (needs.control_planes, "control plane"),
        (needs.workers, "worker"),
        (pair, "load balancer"),
        (members, "etcd member"),
    ):
        if count:
            yield f"at least {count} {what}{'s' if count > 1 else ''}"
    condition = _condition(needs.condition)
    if condition:
        yield condition
    yield from (f"the capability {name}" for name in _capabilities(scenario))


def _capabilities(scenario: Scenario) -> list[str]:
    """The capabilities that the scenario names and those of the faults that it always injects."""
    always = [step.fault for step in scenario.injects if not conditions(step)]
    return sorted(
        {*map(str, scenario.needs.capabilities), *(need for name in always for need in FAULTS[name].needs)}
    )


def _checks(scenario: Scenario) -> list[str]:
    return [f"These checks pass: {', '.join(scenario.checks)}."] if scenario.checks else []


def _change(scenario: Scenario) -> str:
    twin: Twin = scenario.twin
    if twin.set:
        given = ", ".join(f"{name}={value}" for name, value in twin.settings.items())
        return f"the load balancer has {given} from the beginning"
    if twin.add:
        added = ", ".join(f"{_fault(step.fault, step.arguments)} on {step.target}" for step in twin.add)
        return f"{added} is injected before the first step"
    return " and ".join(_replaced(scenario, name) for name in twin.replacements)


def _replaced(scenario: Scenario, name: str) -> str:
    before = next(step for step in scenario.injects if step.name == name)
    after = scenario.twin.replaced(before)
    assert isinstance(after, Inject)
    if after.fault == NOTHING:
        return f"the fault {name} does nothing"
    new, old = _fault(after.fault, after.arguments), _fault(before.fault, before.arguments)
    return f"the fault {name} is {new} instead of {old}"


def _bounds(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """All promises with their limits, and last how fast the lab must recover."""
    for number, step in enumerate(scenario.steps, 1):
        if isinstance(step, Join):
            yield _join_bound(number, step)
        if not isinstance(step, Expect):
            continue
        expectation = step.expectation
        kind = "fact" if isinstance(expectation, FactExpectation) else "probe"
        yield {
            "step": number,
            "promised": promised(expectation),
            kind: str(expectation.fact if isinstance(expectation, FactExpectation) else expectation.probe),
            "on": expectation.target,
            "during": expectation.during,
            "limits": [limit.as_data() for limit in limits(expectation)],
        }
    yield {
        "step": None,
        "promised": recovery(scenario),
        "on": None,
        "during": None,
        "limits": [
            {
                "what": "steady",
                "unit": "seconds",
                "least": 0.0,
                "most": scenario.recover.steady.within_seconds,
            }
        ],
    }


def _join_bound(number: int, step: Join) -> dict[str, Any]:
    limit = {"what": f"{step.ending} within", "unit": "seconds", "least": 0.0, "most": step.limit_seconds}
    return {"step": number, "promised": step.promised, "on": step.fault, "during": None, "limits": [limit]}


def _plain(model: Needs | Condition | Twin) -> dict[str, Any]:
    """The fields that the file sets, by their names in the file."""
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
