"""What people write in a matrix file: settings whose values make the labs, and what runs on each."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from halab.config.expectation import Text
from halab.config.loading import Model
from halab.config.step import Name

# The keys of an exclusion that name what runs; every other key is an axis.
SCENARIO, TWIN, DRILL, BUG = "scenario", "twin", "drill", "bug"
# All that come with halab, in the place of a list of names.
EVERY = "all"
# What a matrix without scenarios runs.
_FIRST = ("first",)

Values = Annotated[tuple[Any, ...], Field(min_length=1)]


def _listed(value: Any) -> Any:
    return [value] if value == EVERY else value


Names = Annotated[
    tuple[Text, ...],
    BeforeValidator(_listed),
    WithJsonSchema(
        {"anyOf": [{"const": EVERY}, {"type": "array", "items": {"type": "string", "minLength": 1}}]}
    ),
]


class Matrix(Model):
    """Scenarios, drills and bugs on many labs. Every combination of the values of the axes is one lab."""

    example: ClassVar[str] = "{axes: {load_balancer.kind: [haproxy, nginx]}, tags: [first]}"

    axes: dict[str, Values] = Field(
        {},
        description="settings of the lab file, as paths with dots, and the values of each; all other settings are "
        "those of the lab.yml beside this file",
    )
    scenarios: tuple[Text, ...] = Field(
        (), description="scenarios by their names, or by the paths of their files, relative to this file"
    )
    tags: tuple[Name, ...] = Field(
        (), description="all scenarios with one of these tags; by default, those tagged `first`"
    )
    drills: Names = Field(
        (),
        description="drills by their names, or by the paths of their files, relative to this file, or `all`; each is "
        "proved on each lab, after the scenarios if there are any",
    )
    bugs: Names = Field(
        (),
        description="public bugs by their names, or by the paths of their folders, relative to this file, or `all`; "
        "each runs in a lab of its own with the values of the axes, beside the scenarios if there are any",
    )
    fixed: bool = Field(
        False,
        description="whether each bug that is fixed in a known version also runs on the first such version, where it "
        "must not show",
    )
    takes_all: bool = Field(
        False, alias="all", description="whether every scenario that comes with halab runs"
    )
    twins: bool = Field(
        False,
        description="whether the losing twin of each scenario runs too; its cell passes if it ends as the scenario "
        "declares",
    )
    repeat: int = Field(1, ge=1, le=1000, description="how many times each of them runs on each lab")
    seed: int | None = Field(
        None,
        ge=0,
        description="decides the order and the random targets; by default, drawn by the first run",
    )
    exclude: tuple[dict[str, Any], ...] = Field(
        (),
        description="what is left out, by settings, by name, or by both; each with one value or a list. `scenario` "
        "also leaves out its losing twin, `twin` only that; for others, `drill` and `bug`",
    )

    @property
    def selectors(self) -> list[str]:
        """How the file selects scenarios; it may be only one way."""
        return [
            name
            for name, value in {
                "scenarios": self.scenarios,
                "tags": self.tags,
                "all": self.takes_all,
            }.items()
            if value
        ]

    @property
    def chosen_tags(self) -> tuple[str, ...]:
        """The tags that select scenarios; empty if something else does, or if there are only drills or bugs."""
        return self.tags if self.selectors or self.drills or self.bugs else _FIRST
