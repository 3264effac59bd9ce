"""What a scenario file must obey beyond its form: known faults, names that exist, no contradictions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from halab.config import loading
from halab.config.loading import Written, nearest
from halab.config.scenario import (
    NOTHING,
    OTHERS,
    Expect,
    FactExpectation,
    Heal,
    Inject,
    ProbeExpectation,
    Scenario,
    When,
    conditions,
)
from halab.errors import BadFile, Problem

ROLES = ("lb", "etcd-leader", "etcd-follower", "kcm-leader", "scheduler-leader", "any-cp", "all-cp")
_CONTROL_PLANE = re.compile(r"cp([1-9]\d?)")
_MACHINE = re.compile(r"cp[1-9]\d?|w[1-9]\d?|lb1")
_MOST_CONTROL_PLANES = 5


class FaultSpec(Protocol):
    """What a scenario must know of a fault: the names of its options."""

    @property
    def required(self) -> frozenset[str]: ...

    @property
    def optional(self) -> frozenset[str]: ...


def read(path: Path, known_faults: Mapping[str, FaultSpec]) -> Scenario:
    """Read a scenario file and hold it against the rules; BadFile names every problem."""
    written = loading.read(path, Scenario)
    problems = [*_problems(written, known_faults), *_missing_checks(written, path.parent)]
    if problems:
        raise BadFile(sorted(problems, key=lambda problem: problem.line))
    return written.value


def validate(written: Written[Scenario], known_faults: Mapping[str, FaultSpec]) -> None:
    """Hold a scenario against the rules that need no other files; BadFile names every problem."""
    problems = _problems(written, known_faults)
    if problems:
        raise BadFile(sorted(problems, key=lambda problem: problem.line))


def _problems(written: Written[Scenario], known_faults: Mapping[str, FaultSpec]) -> list[Problem]:
    return _Rules(written, known_faults).problems()


def _missing_checks(written: Written[Scenario], folder: Path) -> Iterator[Problem]:
    for index, check in enumerate(written.value.checks):
        if not (folder / check).is_file():
            yield written.problem(("checks", index), f"no such file: {check}")


class _Rules:
    """One walk over the steps; `_injected` and `_healed` are the faults so far, by name, with their step."""

    def __init__(self, written: Written[Scenario], known_faults: Mapping[str, FaultSpec]) -> None:
        self._written = written
        self._scenario = written.value
        self._known_faults = known_faults
        self._found: list[Problem] = []
        self._injected: dict[str, int] = {}
        self._healed: dict[str, int] = {}

    def problems(self) -> list[Problem]:
        for index, step in enumerate(self._scenario.steps):
            for condition in conditions(step):
                self._condition(index, condition)
            if isinstance(step, Inject):
                self._inject(index, step)
            elif isinstance(step, Heal):
                self._heal(index, step)
            elif isinstance(step, Expect):
                self._expect(index, step.expectation)
        self._pairs()
        self._whole()
        self._twin()
        return self._found

    def _say(self, index: int, field: str, what: str) -> None:
        path: tuple[str | int, ...] = ("steps", index)
        for part in field.split("."):
            path = (*path, part) if part else path
        self._found.append(self._written.problem(path, what))

    def _inject(self, index: int, step: Inject) -> None:
        if step.fault not in self._known_faults:
            what = f"no such fault: {step.fault}{nearest(step.fault, self._known_faults)}"
            self._say(index, "inject", what)
        else:
            for what in _option_problems(step.fault, self._known_faults[step.fault], step.options):
                self._say(index, "with", what)
        self._target(index, step.target)
        if step.name in self._injected:
            earlier = self._injected[step.name] + 1
            self._say(index, "name", f"is already the fault of step {earlier}: {step.name}")
        elif step.name in ROLES or step.name == OTHERS or _MACHINE.fullmatch(step.name):
            self._say(index, "name", f"means a machine: {step.name}")
        self._injected.setdefault(step.name, index)

    def _target(self, index: int, target: str) -> None:
        if target not in self._injected and target not in ROLES and not _MACHINE.fullmatch(target):
            known = [*ROLES, "cp1", "w1", *self._injected]
            self._say(index, "on", f"no such target: {target}{nearest(target, known)}")
        self._control_plane(index, "on", target)

    def _control_plane(self, index: int, field: str, name: str) -> None:
        match = _CONTROL_PLANE.fullmatch(name)
        if match is None:
            return
        if int(match[1]) > _MOST_CONTROL_PLANES:
            self._say(index, field, f"no lab has more than {_MOST_CONTROL_PLANES} control planes: {name}")
        elif int(match[1]) > self._scenario.needs.control_planes:
            self._say(index, field, f"needs a lab that has it: write needs: {{control_planes: …}}: {name}")

    def _heal(self, index: int, step: Heal) -> None:
        if step.name not in self._injected:
            what = f"no fault of that name is injected before: {step.name}"
            self._say(index, "heal", what + nearest(step.name, self._injected))
        elif step.name in self._healed:
            self._say(index, "heal", f"healed already in step {self._healed[step.name] + 1}: {step.name}")
        self._healed.setdefault(step.name, index)

    def _expect(self, index: int, expectation: ProbeExpectation | FactExpectation) -> None:
        if not self._injected:
            self._say(index, "expect", "stands before the first inject: nothing has happened yet")
            return
        if isinstance(expectation, ProbeExpectation):
            self._probe(index, expectation)
        else:
            self._fact(index, expectation)
        target = expectation.target
        if target is None:
            return
        if isinstance(expectation, FactExpectation) and target == OTHERS:
            self._say(index, "expect.on", "a fact is read off one machine: name it, or a fault")
        elif target != OTHERS and target not in self._injected and not _CONTROL_PLANE.fullmatch(target):
            known = [OTHERS, "cp1", *self._injected]
            self._say(index, "expect.on", f"no such machine or fault: {target}{nearest(target, known)}")
        self._control_plane(index, "expect.on", target)

    def _probe(self, index: int, expectation: ProbeExpectation) -> None:
        for what in contradictions(expectation):
            self._say(index, "expect", what)
        if expectation.probe.is_direct and expectation.target is None:
            what = f"{expectation.probe} needs `on`: a control plane, a fault or others"
            self._say(index, "expect.probe", what)
        if not expectation.probe.is_direct and expectation.target is not None:
            self._say(index, "expect.on", f"{expectation.probe} asks the load balancer: leave `on` out")
        during = expectation.during
        if during is not None and during not in self._injected:
            what = f"no fault of that name is injected before: {during}"
            self._say(index, "expect.during", what + nearest(during, self._injected))

    def _fact(self, index: int, expectation: FactExpectation) -> None:
        if (expectation.changed is None) == (expectation.unchanged is None):
            self._say(index, "expect", "should say one of changed or unchanged")
        if expectation.fact.is_of_a_machine == (expectation.target is None):
            needs = "needs" if expectation.fact.is_of_a_machine else "is of the whole lab and takes no"
            self._say(index, "expect.fact", f"{expectation.fact} {needs} `on`")

    def _condition(self, index: int, condition: When) -> None:
        needs = self._scenario.needs
        for name in ("provider", "load_balancer"):
            needed, asked = getattr(needs, name), getattr(condition, name)
            if needed and asked and needed != asked:
                self._say(index, "", f"never happens: when says {name}: {asked}, and needs says {needed}")

    def _pairs(self) -> None:
        """Two expectations of the same answers that cannot both hold."""
        seen: list[tuple[int, ProbeExpectation]] = []
        for index, step in enumerate(self._scenario.steps):
            if not isinstance(step, Expect) or not isinstance(step.expectation, ProbeExpectation):
                continue
            this = step.expectation
            if this.during is None or conditions(step):
                continue
            for earlier, other in seen:
                same = (this.probe, this.target, this.during) == (other.probe, other.target, other.during)
                if same and bool(this.fails) != bool(other.fails):
                    self._say(index, "expect", f"contradicts step {earlier + 1}")
            seen.append((index, this))

    def _whole(self) -> None:
        if not self._injected:
            self._found.append(self._written.problem(("steps",), "nothing is injected"))
        elif not any(map(_shows_a_fault, self._expectations())):
            what = "nothing shows that the fault happened: add an expectation with `changed` or `fails`"
            self._found.append(self._written.problem(("steps",), what))

    def _expectations(self) -> Iterable[ProbeExpectation | FactExpectation]:
        return (step.expectation for step in self._scenario.steps if isinstance(step, Expect))

    def _twin(self) -> None:
        for name, fault in self._scenario.twin.replace.items():
            path = ("twin", "replace", name)
            if name not in self._injected:
                what = f"no fault of that name is injected: {name}{nearest(name, self._injected)}"
            elif fault not in self._known_faults:
                what = f"no such fault: {fault}{nearest(fault, self._known_faults)}"
            else:
                step = self._scenario.steps[self._injected[name]]
                assert isinstance(step, Inject)
                options = {} if fault == NOTHING else step.options
                wrong = list(_option_problems(fault, self._known_faults[fault], options))
                what = f"is {fault} already: nothing changes" if fault == step.fault else "; ".join(wrong)
            if what:
                self._found.append(self._written.problem(path, what))


def contradictions(expectation: ProbeExpectation) -> Iterator[str]:
    """What is wrong with the conditions of one expectation, taken together."""
    ok, fails, during = expectation.ok, expectation.fails, expectation.during
    amounts = [name for name in ("longest_outage", "failed_share") if getattr(expectation, name) is not None]
    given = [name for name, value in (("ok", ok), ("fails", fails)) if value is not None]
    if not given and not amounts:
        yield "should promise something: ok, fails, longest_outage or failed_share"
    if len(given) == 2:
        yield "cannot promise both ok and fails"
    elif given and amounts:
        yield f"cannot promise both {given[0]} and {amounts[0]}"
    for promise in filter(None, (ok, fails)):
        if promise.always and during is None:
            yield "always needs a window: add `during` and the name of a fault"
        if not promise.always and during is not None:
            yield "within counts from the step before, not over a window: leave `during` out"
    for name in amounts:
        if during is None:
            yield f"{name} needs a window: add `during` and the name of a fault"


def _shows_a_fault(expectation: ProbeExpectation | FactExpectation) -> bool:
    if isinstance(expectation, FactExpectation):
        return expectation.changed is not None
    return expectation.fails is not None


def _option_problems(fault: str, spec: FaultSpec, options: Mapping[str, object]) -> Iterator[str]:
    known = spec.required | spec.optional
    for name in sorted(spec.required - options.keys()):
        yield f"{fault} needs the option {name}"
    for name in sorted(options.keys() - known):
        yield f"{fault} has no option {name}{nearest(name, known)}"
