"""Rounds of a soak: valid scenarios, drawn by the seed alone, that hit no more machines than the lab may lose."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support.fakes import lab_of

from halab.config import scenario_rules
from halab.config.expectation import ProbeExpectation
from halab.config.scenario import Scenario
from halab.config.step import Expect, Heal, Inject
from halab.config.targets import ROLES
from halab.config.twin import Verdict
from halab.faults.catalogue import FAULTS
from halab.soak.draw import Choices, script_of
from halab.soak.menu import acts_of, groups_of

LABS: list[dict[str, Any]] = [
    {},
    {"control_planes": 5},
    {"control_planes": 2, "etcd": {"topology": "external"}},
]
ROUNDS = 25


def choices_for(written: dict[str, Any], *chosen: str, most: int = 3) -> Choices:
    groups = groups_of(lab_of(name="ha", **written))
    return Choices(groups, acts_of(groups, {}, chosen), most)


def hit_machines(scenario: Scenario) -> set[str]:
    """The roles or names of the machines that its faults hit; a fault may name an earlier one for its machine."""
    machines: dict[str, str] = {}
    for step in scenario.injects:
        assert isinstance(step.on, str)
        machines[step.name] = machines.get(step.on, step.on)
    return set(machines.values())


@pytest.mark.parametrize("written", LABS, ids=["stacked", "five", "external"])
def test_every_round_is_a_valid_scenario_within_what_the_lab_may_lose(
    written: dict[str, Any], tmp_path: Path
) -> None:
    choices = choices_for(written)
    path = tmp_path / "round.yml"
    for number in range(1, ROUNDS + 1):
        path.write_bytes(script_of(7, number, choices).content)
        scenario = scenario_rules.read(path, FAULTS).value
        hit = hit_machines(scenario)
        [group] = [each for each in choices.groups if hit <= {*each.machines, *each.roles}]
        assert len(hit) <= group.may_lose
        # a role may be that of a machine which another fault has hit: only one machine is found by its role
        assert len(hit) == 1 or not hit & ROLES.keys()
        assert 1 <= len(scenario.injects) <= 3


def test_the_same_seed_draws_the_same_rounds_and_another_one_draws_others() -> None:
    choices = choices_for({})
    first = [script_of(1, number, choices).content for number in range(5)]
    assert first == [script_of(1, number, choices).content for number in range(5)]
    other = [script_of(2, number, choices).content for number in range(5)]
    assert len({*first, *other}) == 10


def test_every_fault_and_every_role_is_drawn() -> None:
    choices = choices_for({})
    rounds = [script_of(3, number, choices).scenario for number in range(150)]
    drawn = Counter(step.fault for scenario in rounds for step in scenario.injects)
    assert drawn.keys() == {act.fault for act in choices.acts}
    assert set().union(*map(hit_machines, rounds)) == set(choices.groups[0].roles)


def test_lasting_faults_overlap_and_each_is_healed() -> None:
    choices = choices_for({}, "pause-process", "partition", most=4)
    overlapping = 0
    for number in range(40):
        still_open = 0
        for step in script_of(5, number, choices).scenario.steps:
            still_open += isinstance(step, Inject)
            still_open -= isinstance(step, Heal)
            overlapping += still_open > 1
        assert still_open == 0
    assert overlapping


def test_a_machine_works_again_before_its_next_fault() -> None:
    choices = choices_for({}, "kill-process", most=2)
    for number in range(20):
        steps = script_of(5, number, choices).scenario.steps
        for index, step in list(enumerate(steps))[1:]:
            if isinstance(step, Inject):
                before = steps[index - 1]
                assert isinstance(before, Expect) and isinstance(before.expectation, ProbeExpectation)
                assert before.expectation.ok is not None


def test_nothing_waits_for_a_machine_that_still_has_a_fault() -> None:
    choices = choices_for({}, "kill-process", "partition", most=6)
    waited = 0
    for number in range(60):
        still_open: set[str] = set()
        for step in script_of(5, number, choices).scenario.steps:
            match step:
                case Inject(fault="partition"):
                    still_open.add(step.name)
                case Heal():
                    still_open.discard(step.name)
                case Expect(expectation=ProbeExpectation() as expected) if expected.ok:
                    waited += 1
                    assert not still_open
    assert waited


def test_a_round_has_the_names_of_its_soak(tmp_path: Path) -> None:
    script = script_of(42, 7, choices_for({}))
    assert script.name == "soak-42-7"
    assert script.content.decode().startswith(
        "# Round 7 of `halab soak --seed 42`, to be run with --seed 49.\n"
    )
    assert script.scenario.twin.verdict is Verdict.FAIL
