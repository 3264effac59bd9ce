"""Draw a round of a soak: a scenario whose faults hit no more machines than the lab may lose. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from halab.config import loading, yaml_text
from halab.config.scenario import Scenario
from halab.scenario.run.library import Script
from halab.soak.menu import STARTED_AGAIN, Act, Group

# How long a fault lasts, before the next one or its heal.
_WAIT_SECONDS = (3, 15)
# The kubelet may wait five minutes before it starts a container that has died often.
_RECOVERY = {"steady": "within 8m"}


@dataclass(frozen=True)
class Choices:
    """What the rounds of a soak are drawn from. A round has up to `most_faults` faults.

    `linearizable`: whether reads and writes of keys of etcd are checked, too.
    """

    groups: Sequence[Group]
    acts: Sequence[Act]
    most_faults: int = 3
    linearizable: bool = True


@dataclass
class _Machine:
    """A machine that a round hits. `target` is a role or a name at first, then the name of the first fault on it."""

    target: str
    open: dict[str, Act] = field(default_factory=dict)
    # after its last fault, the machine may need some time until it works again
    is_recovering: bool = False


def script_of(seed: int, number: int, choices: Choices) -> Script:
    """The round of that number as a scenario. It depends on nothing but the arguments."""
    name = f"soak-{seed}-{number}"
    # a seed for each round: any of them can be drawn without those before it
    drawn = _Round(random.Random(f"{seed}/{number}"), choices)
    content = _as_scenario(seed, number, drawn, linearizable=choices.linearizable)
    text = f"# Round {number} of `halab soak --seed {seed}`, to be run with --seed {seed + number}.\n"
    text += yaml_text.dump(content)
    path = Path(f"{name}.yml")
    return Script(name, path, loading.loads(text, str(path), Scenario), text.encode())


def _as_scenario(seed: int, number: int, drawn: _Round, *, linearizable: bool) -> dict[str, Any]:
    return {
        "title": f"Round {number} of a soak with seed {seed}",
        "teaches": "A seed has drawn these faults. Whatever they are, no acknowledged write may be lost.",
        "tags": ["soak"],
        "needs": drawn.needs,
        "steps": drawn.steps,
        "recover": _RECOVERY,
        "linearizable": linearizable,
        "probes": {"watch-resuming": {}},
        "twin": {"replace": {drawn.shown: "nothing"}, "verdict": "fail"},
    }


class _Round:
    """The steps of a round. `shown` is the name of its first fault, which an expectation shows."""

    def __init__(self, dice: random.Random, choices: Choices) -> None:
        self._dice = dice
        self._choices = choices
        self.steps: list[dict[str, Any]] = []
        self.shown = "fault-1"
        self._count = 0
        shows = [act for act in choices.acts if act.shows]
        self._group = dice.choice([group for group in choices.groups if any(map(group.takes, shows))])
        machines = self._chosen_machines()
        for number in range(dice.randint(1, choices.most_faults)):
            self._break(dice.choice(machines) if number else machines[0])
        for machine in machines:
            self._heal(machine)

    @property
    def needs(self) -> dict[str, int]:
        """The lab must be able to lose as many machines again."""
        return {self._group.needs: len(self._group.machines)}

    def _chosen_machines(self) -> list[_Machine]:
        """One machine by its role, or several different ones by their names."""
        count = self._dice.randint(1, self._group.may_lose)
        if count == 1:
            return [_Machine(self._dice.choice(self._group.roles))]
        return [_Machine(name) for name in self._dice.sample(self._group.machines, count)]

    def _break(self, machine: _Machine) -> None:
        # a machine with an open fault may not work again until that is healed
        if machine.open and (machine.is_recovering or self._dice.random() < 0.5):
            self._heal(machine)
        possible = self._possible(machine)
        if not possible:
            self._heal(machine)
            possible = self._possible(machine)
        if machine.is_recovering:
            self.steps.append(self._expect({"probe": self._group.probe, "ok": STARTED_AGAIN}, machine))
            machine.is_recovering = False
        act = self._dice.choice(possible)
        self._count += 1
        name = f"fault-{self._count}"
        inject: dict[str, Any] = {"inject": act.fault, "name": name, "on": machine.target}
        self.steps.append(inject | ({"with": dict(act.options)} if act.options else {}))
        machine.target = name
        if shown := self._group.shown(act):
            self.steps.append(self._expect(shown, machine))
        self._wait()
        if act.is_lasting:
            machine.open[name] = act
        else:
            machine.is_recovering = True

    def _possible(self, machine: _Machine) -> list[Act]:
        """The faults that can join those of the machine. The first one of a round must be one that shows."""
        return [
            act
            for act in self._choices.acts
            if self._group.takes(act)
            and act.can_join(list(machine.open.values()))
            and (act.shows or self._count)
        ]

    def _heal(self, machine: _Machine) -> None:
        names = self._dice.sample(sorted(machine.open), len(machine.open))
        for number, name in enumerate(names):
            if number and self._dice.random() < 0.5:
                self._wait()
            self.steps.append({"heal": name})
            machine.is_recovering = True
        machine.open.clear()

    def _expect(self, expectation: dict[str, Any], machine: _Machine) -> dict[str, Any]:
        asked = "probe" if "probe" in expectation else "fact"
        return {"expect": {asked: expectation[asked], "on": machine.target, **expectation}}

    def _wait(self) -> None:
        self.steps.append({"wait": f"{self._dice.randint(*_WAIT_SECONDS)}s"})
