"""What `bug.yml` says of a public report: where it is, which versions it concerns, how it shows, what was measured."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic_core.core_schema import ValidationInfo

from halab.config.expectation import Text
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


class Measurement(Model):
    """What was seen when the scenario of the bug was run, and nothing else."""

    on: Text = Field(description="versions, load balancer, provider and cores")
    runs: int = Field(ge=1, description="how often its scenario was run")
    shown: int = Field(ge=0, description="in how many of them the bug was reproduced")
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
    symptom: Text = Field(description="what must be seen, in one or two sentences")
    shows: Literal[Verdict.PASS, Verdict.FAIL] = Field(
        description="the verdict of the scenario that reproduces it"
    )
    differs: Text | None = Field(None, description="how the lab or the fault differs from the report")
    measured: tuple[Measurement, ...] = ()

    @property
    def reproduced(self) -> str:
        """`2 of 3` for a bug that was reproduced in two of three recorded runs."""
        runs = sum(measurement.runs for measurement in self.measured)
        return f"{sum(measurement.shown for measurement in self.measured)} of {runs}" if runs else "not run"

    def is_reproduced_by(self, verdict: Verdict) -> bool | None:
        """True if a run with this verdict reproduces the bug; None for an error or a skip."""
        return verdict is self.shows if verdict in (Verdict.PASS, Verdict.FAIL) else None
