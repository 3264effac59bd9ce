"""What `bug.yml` says of a public report: where it is, which versions it concerns, how it shows, what was measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from halab.config.component_versions import ComponentVersion, Versioned
from halab.config.expectation import Text
from halab.config.kubernetes import at_least
from halab.config.loading import Model
from halab.config.twin import Verdict

_GITHUB = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull|discussions)/(\d+)")


def _url(value: str) -> str:
    if not re.fullmatch(r"https://[^\s/]+/\S+", value):
        raise ValueError(
            "should be the address of a report, such as https://github.com/etcd-io/etcd/issues/9992"
        )
    return value


def issue_of(url: str) -> str | None:
    """`etcd-io/etcd#9992` for a report on GitHub, else None."""
    match = _GITHUB.fullmatch(url)
    return f"{match[1]}#{match[2]}" if match else None


class Affected(Model):
    """A range of versions of one component that has the bug. Each line of releases has a range of its own."""

    example: ClassVar[str] = "{component: etcd, first_bad: 3.6.0, last_bad: 3.6.10, fixed: 3.6.11}"

    component: Versioned = Field(
        description="kubernetes means all its programs, also kubeadm and the kubelet"
    )
    first_bad: ComponentVersion = Field(description="the first version that is known to have the bug")
    last_bad: ComponentVersion | None = Field(
        None, description="the last version that has it; without it, no later version is known to be fixed"
    )
    fixed: ComponentVersion | None = Field(None, description="the first version without the bug")

    @field_validator("last_bad", "fixed")
    @classmethod
    def _is_in_order(cls, value: str | None, info: ValidationInfo) -> str | None:
        first, last = info.data.get("first_bad"), info.data.get("last_bad")
        if value and first and info.field_name == "last_bad" and not at_least(value, first):
            raise ValueError(f"should be {first} or later, not {value}")
        if value and info.field_name == "fixed" and (bad := last or first) and at_least(bad, value):
            raise ValueError(f"should be later than the last bad version, {bad}")
        return value

    def has(self, version: str) -> bool:
        """True if this version has the bug."""
        if not at_least(version, self.first_bad) or (self.fixed and at_least(version, self.fixed)):
            return False
        return self.last_bad is None or at_least(self.last_bad, version)

    def is_fixed_in(self, version: str) -> bool:
        """True if this version is known to be without the bug, as far as this range says."""
        return self.fixed is not None and at_least(version, self.fixed)

    def __str__(self) -> str:
        """`etcd 3.6.0 to 3.6.10, fixed in 3.6.11`."""
        last = f" to {self.last_bad}" if self.last_bad else " and later"
        versions = self.first_bad if self.last_bad == self.first_bad else f"{self.first_bad}{last}"
        return f"{self.component} {versions}" + (f", fixed in {self.fixed}" if self.fixed else "")


class Measurement(Model):
    """What was seen when the scenario of the bug was run, and nothing else."""

    on: Text = Field(description="versions, load balancer, provider and cores")
    runs: int = Field(ge=1, description="how often its scenario was run")
    shown: int = Field(ge=0, description="in how many of them the bug was reproduced")
    is_fixed: bool = Field(False, description="true: the runs were on a version without the bug")
    figures: tuple[Text, ...] = ()

    @field_validator("shown")
    @classmethod
    def _is_possible(cls, value: int, info: ValidationInfo) -> int:
        if value > info.data.get("runs", value):
            raise ValueError(f"should be at most the number of runs, {info.data['runs']}")
        return value


class BugFile(Model):
    """A public report, beside the lab file and the scenario that reproduce it."""

    title: Text
    references: tuple[Annotated[str, AfterValidator(_url)], ...] = Field(min_length=1)
    versions: Text = Field(description="the versions that the report concerns")
    affects: tuple[Affected, ...] = Field(
        (), description="the versions of components that have it, for a bug that belongs to versions"
    )
    symptom: Text = Field(description="what must be seen, in one or two sentences")
    shows: Literal[Verdict.PASS, Verdict.FAIL] = Field(
        description="the verdict of the scenario that reproduces it"
    )
    differs: Text | None = Field(None, description="how the lab or the fault differs from the report")
    measured: tuple[Measurement, ...] = ()

    @property
    def reproduced(self) -> str:
        """`2 of 3` for a bug that was reproduced in two of three recorded runs."""
        return _shown_in([measurement for measurement in self.measured if not measurement.is_fixed])

    @property
    def reproduced_when_fixed(self) -> str:
        """The same for the runs on versions without the bug: a bug that belongs to a version shows in none of them."""
        return _shown_in([measurement for measurement in self.measured if measurement.is_fixed])

    def is_reproduced_by(self, verdict: Verdict) -> bool | None:
        """True if a run with this verdict reproduces the bug; None for an error or a skip."""
        return verdict is self.shows if verdict in (Verdict.PASS, Verdict.FAIL) else None


def _shown_in(measured: Sequence[Measurement]) -> str:
    runs = sum(measurement.runs for measurement in measured)
    return f"{sum(measurement.shown for measurement in measured)} of {runs}" if runs else "not run"
