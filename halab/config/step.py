"""The steps of a scenario: inject, heal, wait, join and expect."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from halab.config import placeholders
from halab.config.expectation import Expectation, FactExpectation, FactName, ProbeExpectation, Text
from halab.config.fault_facts import EDIT_BALANCER
from halab.config.lab_traits import Condition, LabTraits
from halab.config.loading import Model
from halab.config.quantities import Promise, Seconds, Within
from halab.config.targets import TargetKind, kinds_of

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Value = str | int | float | bool | list[Any] | dict[str, Any]
Options = dict[str, Value]


def format_options(options: Mapping[str, Value]) -> dict[str, str]:
    """Options as text, which the faults expect: lists and mappings as JSON."""
    return {name: value if isinstance(value, str) else _plain(value) for name, value in options.items()}


def _plain(value: Value) -> str:
    return str(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def one_of(*names: str) -> Callable[[Any], str | None]:
    """A function that returns which of the names a mapping has; None unless it has exactly one."""

    def chosen(value: Any) -> str | None:
        present = [name for name in names if isinstance(value, dict) and name in value]
        return f"<{present[0]}>" if len(present) == 1 else None

    return chosen


class _Step(Model):
    when: Condition | None = None


class Inject(_Step):
    """Inject a fault; `on` is a machine, a role, the name of an earlier fault (its machines), or a list of these."""

    fault: Text = Field(alias="inject")
    given_name: Name | None = Field(None, alias="name")
    on: Annotated[
        Annotated[Text, Tag("<one>")] | Annotated[tuple[Text, ...], Field(min_length=1), Tag("<several>")],
        Discriminator(lambda value: "<several>" if isinstance(value, list | tuple) else "<one>"),
    ]
    options: Options = Field({}, alias="with")

    @property
    def name(self) -> str:
        return self.given_name or self.fault

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.on,) if isinstance(self.on, str) else self.on

    @property
    def target(self) -> str:
        """All its targets in one text, as in the record of a run."""
        return ", ".join(self.targets)

    @property
    def arguments(self) -> dict[str, str]:
        return format_options(self.options)


class Heal(_Step):
    """Heal a fault by its name."""

    name: Text = Field(alias="heal")


class Wait(_Step):
    seconds: Seconds = Field(alias="wait")


class JoinEnding(StrEnum):
    """How a join must end."""

    OK = "ok"
    FAILS = "fails"
    ENDS = "ends"  # in either way


class Join(_Step):
    """Join the machines that a fault took out of the cluster with `kubeadm join`; it must end as promised."""

    action: Literal["join"] = Field(alias="do")
    fault: Text = Field(alias="on", description="the fault that took them out of the cluster")
    ok: Within | None = Field(None, description="it succeeds within that time")
    fails: Within | None = Field(None, description="it fails within that time")
    ends: Within | None = Field(None, description="it succeeds or fails within that time")
    says: Text | None = Field(None, description="a text that one of the last lines of its output contains")

    @property
    def endings(self) -> list[JoinEnding]:
        """What the file promises of its end; it must be exactly one."""
        return [ending for ending in JoinEnding if getattr(self, ending) is not None]

    @property
    def ending(self) -> JoinEnding:
        return self.endings[0]

    @property
    def limit_seconds(self) -> float:
        promise = getattr(self, self.ending)
        assert isinstance(promise, Promise) and promise.within_seconds is not None
        return promise.within_seconds

    @property
    def promised(self) -> str:
        """Its promise in a sentence: `kubeadm join on left fails within 3m and says "no route to host"`."""
        says = f' and says "{self.says}"' if self.says else ""
        return f"kubeadm join on {self.fault} {self.ending} {getattr(self, self.ending)}{says}"


class Expect(_Step):
    expectation: Annotated[
        Annotated[ProbeExpectation, Tag("<probe>")] | Annotated[FactExpectation, Tag("<fact>")],
        Discriminator(
            one_of("probe", "fact"),
            custom_error_type="one_of",
            custom_error_message="needs exactly one of probe or fact",
        ),
    ] = Field(alias="expect")


AnyStep = Inject | Expect | Heal | Wait | Join
Step = Annotated[
    Annotated[Inject, Tag("<inject>")]
    | Annotated[Expect, Tag("<expect>")]
    | Annotated[Heal, Tag("<heal>")]
    | Annotated[Wait, Tag("<wait>")]
    | Annotated[Join, Tag("<do>")],
    Discriminator(
        one_of("inject", "expect", "heal", "wait", "do"),
        custom_error_type="one_of",
        custom_error_message="needs exactly one of inject, expect, heal, wait or do",
    ),
]


def conditions(step: AnyStep) -> list[Condition]:
    """All conditions of a step."""
    within = [step.expectation.when] if isinstance(step, Expect) else []
    return [condition for condition in (step.when, *within) if condition is not None]


def unmet(step: AnyStep, setting: LabTraits) -> list[str]:
    """Why the conditions of a step leave it out on a lab; empty if they do not."""
    reasons = [what for when in conditions(step) for what in when.fails_in(setting)]
    if not reasons and not setting.reports_backends and _is_about_backends(step):
        reasons.append("the load balancer reports no backends")
    return reasons


def _is_about_backends(step: AnyStep) -> bool:
    expectation = step.expectation if isinstance(step, Expect) else None
    return isinstance(expectation, FactExpectation) and expectation.fact is FactName.BACKEND


def edits_balancer(step: AnyStep) -> bool:
    """True if a step changes the settings of a load balancer."""
    return isinstance(step, Inject) and step.fault == EDIT_BALANCER


def names_balancer(step: AnyStep) -> bool:
    """True if a step needs a machine with a load balancer: it names one, or a role that only such a machine has."""
    names: set[str] = set()
    if isinstance(step, Inject):
        options = step.arguments.values()
        names = {
            *step.targets,
            *options,
            *(name for value in options for name in placeholders.names_in(value)),
        }
    elif isinstance(step, Expect):
        names = named(step.expectation)
    return any(kinds_of(name) == {TargetKind.BALANCER} for name in names)


def named(expectation: Expectation) -> set[str]:
    """The names that an expectation refers to: machines, roles and faults."""
    return {name for name in (expectation.target, expectation.fault) if name}
