"""A scenario as plain values, and the smaller ones that can be made of it. Pure."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from halab.config import loading, scenario_rules, yaml_text
from halab.config.fault_facts import NOTHING
from halab.config.quantities import format_duration, seconds_of
from halab.config.scenario import Scenario
from halab.errors import BadFile
from halab.faults.catalogue import FAULTS

Step = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """The content of a scenario file. It may be one that halab would refuse: see `scenario`."""

    content: Mapping[str, Any]

    @property
    def steps(self) -> list[Step]:
        return list(self.content["steps"])

    @property
    def key(self) -> str:
        """The same for the same content (SHA-256)."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()

    @property
    def text(self) -> str:
        return yaml_text.dump(self.content)

    @property
    def faults(self) -> list[str]:
        """The names of its faults, in the order of their injects."""
        return [_name(step) for step in self.steps if "inject" in step]

    @property
    def removable(self) -> list[int]:
        """The indexes of the steps that are no inject: each of them may be removed alone."""
        return [index for index, step in enumerate(self.steps) if "inject" not in step]

    @property
    def waits(self) -> dict[int, float]:
        """The seconds of its waits, by the indexes of their steps."""
        return {index: seconds_of(step["wait"]) for index, step in enumerate(self.steps) if "wait" in step}

    def scenario(self, texts: Mapping[str, str]) -> Scenario | None:
        """The scenario; None if halab would refuse it. `texts` are those of the files that options name."""
        try:
            scenario = loading.loads(self.text, "scenario.yml", Scenario)
        except BadFile:
            return None
        return None if any(scenario_rules.findings(scenario, FAULTS, texts)) else scenario

    def with_faults(self, kept: Collection[str]) -> Candidate:
        """With only these faults. What is about another one is left out, and its machine is named as it did.

        The next fault on this machine names it for those after it: a role may have moved meanwhile.
        """
        left_out = [name for name in self.faults if name not in kept]
        machines: dict[str, Any] = {}
        steps = []
        for step in copy.deepcopy(self.steps):
            if "inject" in step:
                before = step["on"]
                step["on"] = _named(before, machines)
                if _name(step) in left_out:
                    machines[_name(step)] = step["on"]
                    continue
                if isinstance(before, str) and before in machines:
                    machines[before] = _name(step)
            elif _is_about(step, left_out):
                continue
            steps.append(step)
        content = {**self.content, "steps": steps}
        if left_out and steps:
            # the twin may have been about one of them
            first = next((_name(step) for step in steps if "inject" in step), "")
            content["twin"] = {"replace": {first: NOTHING}, "verdict": "fail"}
        return Candidate(content)

    def with_steps(self, kept: Collection[int]) -> Candidate:
        """With all injects, and of the other steps only those with these indexes."""
        steps = [step for index, step in enumerate(self.steps) if "inject" in step or index in kept]
        return Candidate({**self.content, "steps": steps})

    def with_wait(self, index: int, seconds: float) -> Candidate:
        """With another time in the wait that has this index."""
        steps = self.steps
        steps[index] = {**steps[index], "wait": format_duration(seconds)}
        return Candidate({**self.content, "steps": steps})


def _name(inject: Step) -> str:
    return str(inject.get("name", inject["inject"]))


def _named(on: Any, machines: Mapping[str, Any]) -> Any:
    """The target of an inject: the target of a fault that is left out stands in the place of that fault."""
    if isinstance(on, str):
        return machines.get(on, on)
    named: list[Any] = []
    for target in on:
        instead = machines.get(target, target)
        named += [instead] if isinstance(instead, str) else instead
    return list(dict.fromkeys(named))


def _is_about(step: Step, faults: Collection[str]) -> bool:
    """True for a heal, a join or an expectation that names one of the faults."""
    expectation = step.get("expect", {})
    during = str(expectation.get("during", "")).removeprefix("heal ")
    return any(name in faults for name in (step.get("heal"), step.get("on"), expectation.get("on"), during))
