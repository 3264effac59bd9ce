"""The losing twin of a scenario: one change after which the scenario must fail (a negative control)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from halab.config.expectation import Text
from halab.config.fault_facts import NOTHING
from halab.config.loading import Model
from halab.config.step import AnyStep, Inject, Options, format_options


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    SKIP = "skip"


def twin_name(scenario: str) -> str:
    """The losing twin of a scenario, in words: `stop-apiserver (its losing twin)`."""
    return f"{scenario} (its losing twin)"


class Replacement(Model):
    """A fault that replaces another one. Without `with`, it takes the options of that fault."""

    example: ClassVar[str] = "{fault: nothing}"

    fault: Text
    options: Options | None = Field(None, alias="with")

    def options_after(self, replaced: Inject) -> Options:
        if self.options is not None:
            return self.options
        return {} if self.fault == NOTHING else replaced.options


class LabSettings(Model):
    """Settings of the lab. They are set before the steady check, which must succeed with them."""

    example: ClassVar[str] = "{load_balancer: {check: tcp}}"

    load_balancer: Options = Field(min_length=1, description="options of the fault edit-balancer")


class Twin(Model):
    """Exactly one of: faults replaced by others, faults added before the first step, settings of the lab."""

    example: ClassVar[str] = "{replace: {stopped: nothing}, verdict: fail}"

    replace: (
        dict[
            str,
            Annotated[
                Annotated[Text, Tag("<fault>")] | Annotated[Replacement, Tag("<replacement>")],
                Discriminator(lambda value: "<fault>" if isinstance(value, str) else "<replacement>"),
            ],
        ]
        | None
    ) = Field(None, min_length=1)
    add: tuple[Inject, ...] | None = Field(None, min_length=1)
    set: LabSettings | None = None
    verdict: Literal[Verdict.FAIL, Verdict.ERROR] = Verdict.FAIL

    @property
    def changes(self) -> list[str]:
        """The kinds of changes in the file; it must be exactly one."""
        return [name for name in ("replace", "add", "set") if getattr(self, name) is not None]

    @property
    def replacements(self) -> dict[str, Replacement]:
        """The replacements, by the name of the replaced fault."""
        return {
            name: Replacement(fault=fault) if isinstance(fault, str) else fault
            for name, fault in (self.replace or {}).items()
        }

    @property
    def settings(self) -> Mapping[str, str]:
        """Options of the fault edit-balancer, which are set before the steady check; mostly none."""
        return format_options(self.set.load_balancer) if self.set else {}

    def replaced(self, step: AnyStep) -> AnyStep:
        """The step as the twin runs it. Its fault keeps its name."""
        if not isinstance(step, Inject) or step.name not in self.replacements:
            return step
        by = self.replacements[step.name]
        changes = {"fault": by.fault, "given_name": step.name, "options": by.options_after(step)}
        return step.model_copy(update=changes)
