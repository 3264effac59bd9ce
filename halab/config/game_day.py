"""What people write in a game day file: breaks, at fixed times or drawn by a seed, and the conditions that stop it."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field

from halab.config.expectation import Text
from halab.config.fault_facts import NOTHING
from halab.config.lab_traits import Needs
from halab.config.loading import Model
from halab.config.probe import ProbeName
from halab.config.quantities import Seconds
from halab.config.scenario import Recover
from halab.config.step import Name, Step

# The fault that does nothing and lasts from the first break to the end: the stop conditions are about its time.
WHOLE = "game-day"


class Break(Model):
    """Faults that belong together, from a scenario or from steps. It begins at a time, or in a window of time."""

    example: ClassVar[str] = "{scenario: kill-etcd-leader, at: 5m}"

    name: Name | None = None
    scenario: Text | None = Field(
        None,
        description="a scenario by its name or path: its steps before its first heal, without expectations",
    )
    steps: tuple[Step, ...] | None = Field(None, min_length=1, description="steps `inject` and `wait`")
    at: Seconds | None = Field(None, description="when it begins, after the start of the game day")
    between: Annotated[tuple[Seconds, ...], Field(min_length=2, max_length=2)] | None = Field(
        None, description="two times; the seed picks the time between them when it begins"
    )
    heal_after: Seconds | None = Field(
        None,
        description="halab heals it this long after its beginning; without it, at the end of the game day",
    )

    @property
    def sources(self) -> list[str]:
        """Where its faults come from; it must be exactly one."""
        return [name for name in ("scenario", "steps") if getattr(self, name) is not None]

    @property
    def times(self) -> list[str]:
        """How the file says when it begins; it must be exactly one."""
        return [name for name in ("at", "between") if getattr(self, name) is not None]

    @property
    def window(self) -> tuple[float, float]:
        """The first and the last second at which it may begin."""
        if self.between:
            return self.between[0], self.between[1]
        return self.at or 0.0, self.at or 0.0


class Stop(Model):
    """Conditions that stop the game day: if one comes true, halab heals everything, and the game day has failed."""

    example: ClassVar[str] = "{outage: {write-via-lb: 30s}}"

    outage: dict[ProbeName, Seconds] = Field(
        min_length=1, description="the longest outage that clients may see, by probe of the load balancer"
    )
    lost_write: bool = Field(True, description="whether a lost acknowledged write stops the game day")


def _steady_within(text: str) -> Recover:
    return Recover.model_validate({"steady": text})


class GameDay(Model):
    """Several breaks of one lab, while a team works on it."""

    title: Text
    about: str = Field("", description="what the team should learn; it is in the report")
    lasts: Seconds = Field(description="the time from the start to the end, when everything is healed")
    needs: Needs = Field(Needs(), description="what the lab must have")
    breaks: tuple[Break, ...] = Field(min_length=1, max_length=50)
    draw: int | None = Field(
        None, ge=1, le=50, description="how many of the breaks the seed draws; without it, all"
    )
    stop: Stop
    recover: Recover = Field(
        _steady_within("within 3m"), description="how fast the lab must be steady after the last heal"
    )

    def as_scenario(self, injects: list[dict[str, Any]]) -> dict[str, Any]:
        """The game day as the content of a scenario file, with these steps; its verdict is that of a run."""
        expects = [
            {"expect": {"probe": str(probe), "longest_outage": f"{seconds:g}s", "during": WHOLE}}
            for probe, seconds in self.stop.outage.items()
        ]
        return {
            "title": self.title,
            "teaches": self.about.strip() or "Several breaks, while a team works on the lab.",
            "needs": self.needs.model_dump(mode="json", exclude_defaults=True),
            "steps": [
                {"inject": NOTHING, "name": WHOLE, "on": "cp1"},
                *expects,
                *injects,
                {"heal": WHOLE},
            ],
            "recover": {"steady": str(self.recover.steady), "from": str(self.recover.origin)},
            "ledger": "all" if self.stop.lost_write else "none",
            "twin": {},
        }
