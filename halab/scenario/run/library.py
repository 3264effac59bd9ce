"""The scenarios there are: those that halab carries, by name, and a user's own, by path."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from halab import data
from halab.config import loading, scenario_rules
from halab.config.scenario import Scenario
from halab.errors import BadUsage
from halab.faults.catalogue import FAULTS

# A file of this name says nothing: its folder's name does.
_USUAL = "scenario"


@dataclass(frozen=True)
class Script:
    """A scenario and the files it came from, as they were when they were read.

    `checks` are the testinfra files that it names, by their paths in `check_files`; that also has what is beside them.
    """

    name: str
    path: Path
    scenario: Scenario
    content: bytes
    checks: tuple[str, ...] = ()
    check_files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether it is a user's, and not one that halab carries."""
        return self.path.resolve().parent != data.scenarios().resolve()


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
    written = scenario_rules.read(path, FAULTS)
    checks, files = _checks([path.parent / check for check in written.value.checks])
    return Script(_name(path), path, written.value, written.content, checks, files)


def find_all(names: Sequence[str]) -> list[Script]:
    """Scenarios as `find` does; of files that share a name, the folders are part of it: reports tell them apart."""
    scripts = [find(name) for name in names]
    files = sorted({script.path.resolve() for script in scripts})
    depth = max((len(path.parts) for path in files), default=0)
    for folders in range(1, depth):
        scripts = _renamed(scripts, {each.path: _name(each.path, folders) for each in scripts})
    # `a b` and `a-b` are both called a-b
    numbered = {each.path: f"{each.name}-{files.index(each.path.resolve()) + 1}" for each in scripts}
    return _renamed(scripts, numbered)


def _renamed(scripts: Sequence[Script], other: Mapping[Path, str]) -> list[Script]:
    """With other names, by path, for a user's own scenarios whose name stands for more than one file."""
    files = {(script.name, script.path.resolve()) for script in scripts}
    counted = Counter(each for each, _ in files)
    return [
        replace(script, name=other[script.path]) if counted[script.name] > 1 and script.is_own else script
        for script in scripts
    ]


def _name(path: Path, folders: int = 0) -> str:
    """What a scenario is called: after its file, with so many folders in front. It fits into the name of a folder."""
    parts = [*path.parent.resolve().parts[1:], path.stem]
    if path.stem == _USUAL and len(parts) > 1:
        parts.pop()
    return re.sub(r"[^\w.-]+", "-", "-".join(parts[-1 - folders :])).strip("-.") or _USUAL


def _checks(paths: Sequence[Path]) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """The names of check files, and the content of all Python files beside them, by paths below their common folder."""
    if not paths:
        return (), {}
    named = [path.parent.resolve() / path.name for path in paths]
    root = Path(os.path.commonpath([path.parent for path in named]))
    files = {
        path.relative_to(root).as_posix(): loading.content_of(path) for path in _with_neighbours(root, named)
    }
    return tuple(path.relative_to(root).as_posix() for path in named), files


def _with_neighbours(root: Path, named: Sequence[Path]) -> Iterator[Path]:
    yield from named
    for folder in sorted({root, *(path.parent for path in named)}):
        yield from (path for path in sorted(folder.glob("*.py")) if path.is_file() and path not in named)
