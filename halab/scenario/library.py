"""The scenarios there are: those that halab carries, by name, and a user's own, by path."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from halab import data
from halab.config import loading, scenario_rules
from halab.config.scenario import Scenario
from halab.errors import BadUsage
from halab.faults.catalogue import FAULTS


@dataclass(frozen=True)
class Script:
    """A scenario and the file it came from."""

    name: str
    path: Path
    scenario: Scenario

    @property
    def checks(self) -> list[Path]:
        """The testinfra files that it names, beside it."""
        return [self.path.parent / check for check in self.scenario.checks]


def names() -> list[str]:
    return sorted(path.stem for path in data.scenarios().glob("*.yml"))


def find(name: str) -> Script:
    """A scenario by its name, or by the path of a file (`./mine.yml`). BadUsage, or BadFile with every problem."""
    own = name.endswith((".yml", ".yaml")) or "/" in name
    path = Path(name) if own else data.scenarios() / f"{name}.yml"
    if not own and not path.is_file():
        raise BadUsage(
            f"no such scenario: {name}{loading.nearest(name, names())}", hint="`halab scenarios` lists them"
        )
    return Script(path.stem, path, scenario_rules.read(path, FAULTS))
