"""Rules for a scenario file beyond its form: known faults, existing names, no contradictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from halab import files
from halab.config import (
    contradictions,
    join_rules,
    kubernetes,
    loading,
    option_files,
    twin_rules,
    window_rules,
)
from halab.config.expectation_rules import ExpectationRules
from halab.config.fault_facts import SNAPSHOT
from halab.config.fault_rules import Finding, KnownFaults
from halab.config.fault_spec import FaultSpec
from halab.config.lab_traits import Condition, LabTraits
from halab.config.loading import Written
from halab.config.scenario import LedgerScope, Scenario
from halab.config.step import Expect, Heal, Inject, Join, conditions
from halab.errors import BadFile, BadUsage, Problem


def read(path: Path, known_faults: Mapping[str, FaultSpec]) -> Written[Scenario]:
    """Read and check a scenario file. Raises BadFile with all problems."""
    return read_with_texts(path, known_faults)[0]


def read_with_texts(
    path: Path, known_faults: Mapping[str, FaultSpec]
) -> tuple[Written[Scenario], dict[str, str]]:
    """The same, with the texts of the files that options of faults name, by path."""
    written = loading.read(path, Scenario)
    texts, unreadable = option_files.read(written.value, known_faults, path.parent)
    missing = list(_missing_checks(written, path.parent))
    _refuse(
        [
            *(written.problem(where, what) for where, what in unreadable),
            *_problems(written, known_faults, texts),
            *missing,
        ],
        hint="copy the files of `checks` beside the scenario, or remove this line" if missing else None,
    )
    return written, texts


def validate(written: Written[Scenario], known_faults: Mapping[str, FaultSpec]) -> None:
    """Check a scenario by the rules that need no other files. Raises BadFile with all problems."""
    _refuse(_problems(written, known_faults, {}))


def _refuse(problems: list[Problem], *, hint: str | None = None) -> None:
    if problems:
        raise BadFile(sorted(dict.fromkeys(problems), key=lambda problem: problem.line), hint=hint)


def _problems(
    written: Written[Scenario], known_faults: Mapping[str, FaultSpec], texts: Mapping[str, str]
) -> list[Problem]:
    return [written.problem(path, what) for path, what in findings(written.value, known_faults, texts)]


def _missing_checks(written: Written[Scenario], folder: Path) -> Iterator[Problem]:
    for index, check in enumerate(written.value.checks):
        try:
            files.require_regular(folder / check, files.WRITTEN_BYTES)
        except BadUsage as error:
            yield written.problem(("checks", index), error.message)
        except (OSError, ValueError):  # a name may be too long for any file
            yield written.problem(("checks", index), f"no such file: {check}")


def findings(
    scenario: Scenario, known_faults: Mapping[str, FaultSpec], texts: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield all problems, in the order of the steps. `texts` has the texts of option files, by path."""
    known = KnownFaults(known_faults, scenario.needs, texts)
    yield from _conditions(scenario)
    for index, step in enumerate(scenario.steps):
        path = ("steps", index)
        later = _later(scenario, index)
        if isinstance(step, Inject):
            yield from known.inject(path, index, step)
        elif isinstance(step, Heal):
            yield from known.heal(path, index, step, later)
        elif isinstance(step, Join):
            yield from join_rules.problems(scenario, index, known, later)
        elif isinstance(step, Expect) and not known.injected:
            yield (
                (*path, "expect"),
                "comes before the first inject, when nothing has happened yet: move it behind the inject",
            )
        elif isinstance(step, Expect):
            rules = ExpectationRules((*path, "expect"), known, later, tuple(conditions(step)))
            yield from rules.problems(step.expectation)
    yield from contradictions.problems(scenario)
    yield from window_rules.problems(scenario)
    yield from _scenario_problems(scenario)
    yield from twin_rules.problems(scenario, known)


def _later(scenario: Scenario, index: int) -> dict[str, int]:
    """The faults of the steps after a step, with the indexes of their steps."""
    rest = list(enumerate(scenario.steps))[index + 1 :]
    return {step.name: number for number, step in reversed(rest) if isinstance(step, Inject)}


def _conditions(scenario: Scenario) -> Iterator[Finding]:
    """Yield conditions that no lab can meet on which the scenario can run."""
    needs = scenario.needs.condition
    if not needs.versions:
        yield ("needs", "kubernetes"), _no_version(needs)
    for index, step in enumerate(scenario.steps):
        asked = conditions(step)
        for when in asked:
            if not when.versions:
                yield ("steps", index), f"can never apply: {_no_version(when)}"
            elif needs.versions and not when.may_hold_with(needs):
                yield ("steps", index), f"can never apply: {_disagreement(when, needs, 'needs says')}"
        for one, other in combinations(asked, 2):
            if one.versions and other.versions and not one.may_hold_with(other):
                yield (
                    ("steps", index),
                    f"can never apply: {_disagreement(one, other, 'its expectation says')}",
                )


def _no_version(when: Condition) -> str:
    return f"halab has no Kubernetes version {when.kubernetes}: it has {', '.join(kubernetes.RELEASES)}"


def _disagreement(when: Condition, other: Condition, whose: str) -> str:
    for name in ("provider", "load_balancer", "etcd"):
        mine, theirs = getattr(when, name), getattr(other, name)
        if mine and theirs and mine != theirs:
            return f"when says {name}: {mine}, but {whose} {theirs}"
    return f"when says kubernetes: {when.kubernetes}, but {whose} {other.kubernetes}"


def _scenario_problems(scenario: Scenario) -> Iterator[Finding]:
    yield from scenario.probes.problems()
    labs = _labs(scenario)
    if not scenario.injects:
        yield ("steps",), "no step injects a fault"
    elif unshown := [lab for lab in labs if not scenario.shows_a_fault_on(lab)]:
        everywhere = len(unshown) == len(labs)
        where = "" if everywhere else f" on a lab with {unshown[0].in_words}"
        what = f"no expectation shows that the fault had an effect{where}"
        ways = (
            "`changed`, `fails`, a `value` that a healthy lab does not have, or an amount with a lower bound"
        )
        yield ("steps",), f"{what}: add one with {ways}, or a step with `do: join`"
    if scenario.ledger is LedgerScope.UNTIL_SNAPSHOT and all(
        step.fault != SNAPSHOT for step in scenario.injects
    ):
        yield ("ledger",), f"until-snapshot needs a step that injects {SNAPSHOT}"


def _labs(scenario: Scenario) -> list[LabTraits]:
    """The labs on which a fault must show: those with a load balancer on a machine, or of the kind that it needs.

    A scenario that has promises for haproxy and for nginx only is complete. Elsewhere it is skipped.
    """
    is_meant = scenario.needs.load_balancer is not None
    return [lab for lab in scenario.labs if is_meant or lab.balancers and lab.load_balancer.has_settings]
