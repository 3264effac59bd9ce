"""What people write in a scenario file: a failure, what it must and must not do, and how it can lose."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from halab.config import kubernetes
from halab.config.lab import Balancer, Provider
from halab.config.loading import Model
from halab.config.quantities import Seconds, Share, Within, WithinOrAlways

OTHERS = "others"
NOTHING = "nothing"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Text = Annotated[str, Field(min_length=1)]


class Probe(StrEnum):
    READY_VIA_LB = "ready-via-lb"
    WRITE_VIA_LB = "write-via-lb"
    READ_VIA_LB = "read-via-lb"
    READY_DIRECT = "ready-direct"
    WRITE_DIRECT = "write-direct"
    READ_DIRECT = "read-direct"

    @property
    def is_direct(self) -> bool:
        return self.endswith("-direct")


class FactName(StrEnum):
    """What is read off the machines: a process's start, who leads."""

    ETCD_STARTED = "etcd-started"
    API_SERVER_STARTED = "kube-apiserver-started"
    ETCD_LEADER = "etcd-leader"

    @property
    def is_of_a_machine(self) -> bool:
        return self is not FactName.ETCD_LEADER


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    SKIP = "skip"


@dataclass(frozen=True)
class Setting:
    """What a lab is, as far as scenarios may ask."""

    kubernetes: str
    provider: Provider
    load_balancer: Balancer
    control_planes: int
    capabilities: frozenset[str] = frozenset()


def _version_condition(value: Any) -> Any:
    match = re.fullmatch(r"(>=|<=|<|>|==) ?(1\.\d{1,3})", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'should compare with a minor, such as ">=1.33", not "{value}"')
    return value


class When(Model):
    """Conditions on the lab; all of them must hold."""

    kubernetes: Annotated[str, BeforeValidator(_version_condition)] | None = None
    provider: Literal[Provider.DOCKER, Provider.LIBVIRT] | None = None
    load_balancer: Balancer | None = None

    def fails_in(self, setting: Setting) -> list[str]:
        """The conditions that do not hold, in words; none where all do."""
        unmet = []
        if self.kubernetes and not _compares(setting.kubernetes, self.kubernetes):
            unmet.append(f"Kubernetes is {setting.kubernetes}, not {self.kubernetes}")
        if self.provider and self.provider != setting.provider:
            unmet.append(f"the provider is {setting.provider}, not {self.provider}")
        if self.load_balancer and self.load_balancer != setting.load_balancer:
            unmet.append(f"the load balancer is {setting.load_balancer}, not {self.load_balancer}")
        return unmet


class Needs(Model):
    """What a lab must have for this scenario; otherwise it is skipped."""

    control_planes: int = Field(1, ge=1, le=5, description="at least so many")
    kubernetes: Annotated[str, BeforeValidator(_version_condition)] | None = None
    provider: Literal[Provider.DOCKER, Provider.LIBVIRT] | None = None
    load_balancer: Balancer | None = None
    capabilities: tuple[Name, ...] = ()

    def lacking_in(self, setting: Setting) -> list[str]:
        """Why a lab cannot do it, in words; empty where it can."""
        asked = When(kubernetes=self.kubernetes, provider=self.provider, load_balancer=self.load_balancer)
        lacking = asked.fails_in(setting)
        if setting.control_planes < self.control_planes:
            lacking.append(f"the lab has {setting.control_planes} control planes, not {self.control_planes}")
        missing = [each for each in self.capabilities if each not in setting.capabilities]
        return lacking + [f"the lab lacks the capability {each}" for each in missing]


class _Step(Model):
    when: When | None = None


class Inject(_Step):
    """Inject a fault; `on` is a machine, a role, or the name of an earlier fault: the same machine."""

    fault: Text = Field(alias="inject")
    given_name: Name | None = Field(None, alias="name")
    target: Text = Field(alias="on")
    options: dict[str, str | int | float | bool] = Field({}, alias="with")

    @property
    def name(self) -> str:
        return self.given_name or self.fault

    @property
    def arguments(self) -> dict[str, str]:
        """The options as the catalogue of faults takes them."""
        words = {True: "true", False: "false"}
        return {
            name: words[value] if isinstance(value, bool) else str(value)
            for name, value in self.options.items()
        }


class Heal(_Step):
    """Heal a fault by its name."""

    name: Text = Field(alias="heal")


class Wait(_Step):
    seconds: Seconds = Field(alias="wait")


class ProbeExpectation(Model):
    """What clients see: within a limit, or over the window from a fault's inject to its heal (`during`)."""

    probe: Probe
    target: Text | None = Field(None, alias="on")
    during: Text | None = None
    ok: WithinOrAlways | None = None
    fails: WithinOrAlways | None = None
    longest_outage: Seconds | None = None
    failed_share: Share | None = None
    when: When | None = None


class FactExpectation(Model):
    """What is read off a machine: another value than before the fault, or still the same."""

    fact: FactName
    target: Text | None = Field(None, alias="on")
    changed: Within | None = None
    unchanged: Literal[True] | None = None
    when: When | None = None


Expectation = ProbeExpectation | FactExpectation


def _one_of(*names: str) -> Callable[[Any], str | None]:
    """Tells which of these names a mapping has; None unless it is exactly one."""

    def chosen(value: Any) -> str | None:
        found = [name for name in names if isinstance(value, dict) and name in value]
        return f"<{found[0]}>" if len(found) == 1 else None

    return chosen


class Expect(_Step):
    expectation: Annotated[
        Annotated[ProbeExpectation, Tag("<probe>")] | Annotated[FactExpectation, Tag("<fact>")],
        Discriminator(
            _one_of("probe", "fact"),
            custom_error_type="one_of",
            custom_error_message="should say one of probe or fact",
        ),
    ] = Field(alias="expect")


Step = Annotated[
    Annotated[Inject, Tag("<inject>")]
    | Annotated[Expect, Tag("<expect>")]
    | Annotated[Heal, Tag("<heal>")]
    | Annotated[Wait, Tag("<wait>")],
    Discriminator(
        _one_of("inject", "expect", "heal", "wait"),
        custom_error_type="one_of",
        custom_error_message="should say one of inject, expect, heal or wait",
    ),
]


class Origin(StrEnum):
    HEAL = "heal"
    INJECT = "inject"


class Recover(Model):
    """How fast the lab must be steady again, counted from the last heal or from the first inject."""

    steady: Within
    origin: Origin = Field(Origin.HEAL, alias="from")


class Twin(Model):
    """One change under which the scenario must lose, and how: faults replaced by others."""

    replace: dict[str, str] = Field(min_length=1)
    verdict: Literal[Verdict.FAIL, Verdict.ERROR] = Verdict.FAIL


class Scenario(Model):
    """A scripted failure with expectations."""

    title: Text
    teaches: Text
    tags: tuple[Name, ...] = ()
    needs: Needs = Needs()
    steps: tuple[Step, ...] = Field(min_length=1)
    recover: Recover
    checks: tuple[Text, ...] = ()
    twin: Twin

    def losing(self) -> Scenario:
        """The twin: the same scenario with its change made. Its faults keep their names."""
        return self.model_copy(update={"steps": tuple(self._replaced(step) for step in self.steps)})

    def _replaced(self, step: Inject | Expect | Heal | Wait) -> Inject | Expect | Heal | Wait:
        if not isinstance(step, Inject) or step.name not in self.twin.replace:
            return step
        fault = self.twin.replace[step.name]
        options = {} if fault == NOTHING else step.options
        return step.model_copy(update={"fault": fault, "given_name": step.name, "options": options})


def conditions(step: Inject | Expect | Heal | Wait) -> list[When]:
    """Everything that a step depends on."""
    within = [step.expectation.when] if isinstance(step, Expect) else []
    return [each for each in (step.when, *within) if each is not None]


def _compares(version: str, condition: str) -> bool:
    match = re.fullmatch(r"(\D+?) ?(1\.\d+)", condition)
    assert match is not None
    comparison, minimum = match.groups()
    minor = ".".join(version.split(".")[:2])
    at_least, equal = kubernetes.at_least(minor, minimum), minor == minimum
    return {
        ">=": at_least,
        ">": at_least and not equal,
        "==": equal,
        "<=": not at_least or equal,
        "<": not at_least,
    }[comparison]
