"""Find scenarios: scenarios of halab by name, the user's own by path."""

from __future__ import annotations

import hashlib
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

# A file of this name is called after its folder.
_USUAL = "scenario"


@dataclass(frozen=True)
class Script:
    """A scenario with its files as they were when they were read.

    `checks` are the paths in `check_files` of the testinfra files that the scenario names. `check_files` also has the
    Python files beside them. `texts` are the texts of the files that options of faults name, by path. A game day is
    played and judged as a scenario.
    """

    name: str
    path: Path
    scenario: Scenario
    content: bytes
    checks: tuple[str, ...] = ()
    check_files: Mapping[str, bytes] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    is_game_day: bool = False

    @property
    def is_own(self) -> bool:
        """True for a user's scenario, false for one that comes with halab."""
        return self.path.resolve().parent != data.scenarios().resolve()

    @property
    def digest(self) -> str:
        """A hash (SHA-256) of the scenario and its files: other content may have another verdict."""
        digest = hashlib.sha256(self.content)
        for name, content in sorted(self.check_files.items()):
            digest.update(b"\0" + name.encode() + b"\0" + content)
        for name, text in sorted(self.texts.items()):
            digest.update(b"\0" + name.encode() + b"\0" + text.encode())
        return digest.hexdigest()


def names() -> list[str]:
    return sorted(path.stem for path in data.scenarios().glob("*.yml"))


def find(name: str) -> Script:
    """A scenario by its name, or by the path of its file (`./mine.yml`). BadUsage, or BadFile with all problems."""
    own = loading.is_own_file(name)
    path = Path(name) if own else data.scenarios() / f"{name}.yml"
    if not own and not path.is_file():
        raise BadUsage(
            f"no such scenario: {name}{loading.similar(name, names())}", hint="`halab scenarios` lists them"
        )
    written, texts = scenario_rules.read_with_texts(path, FAULTS)
    checks, files = read_checks([path.parent / check for check in written.value.checks])
    return Script(_name(path), path, written.value, written.content, checks, files, texts)


def find_all(names: Sequence[str]) -> list[Script]:
    """Scenarios as by `find`, with different names: files with the same name get their folders as part of the name."""
    scripts = [find(name) for name in names]
    files = sorted({script.path.resolve() for script in scripts})
    depth = max((len(path.parts) for path in files), default=0)
    for folders in range(1, depth):
        scripts = _renamed(scripts, {script.path: _name(script.path, folders) for script in scripts})
    # the names of `a b` and `a-b` are both a-b
    numbered = {script.path: f"{script.name}-{files.index(script.path.resolve()) + 1}" for script in scripts}
    return _renamed(scripts, numbered)


def _renamed(scripts: Sequence[Script], other: Mapping[Path, str]) -> list[Script]:
    """Rename the user's scenarios whose name belongs to several files; `other` has the new names by path."""
    files = {(script.name, script.path.resolve()) for script in scripts}
    counted = Counter(name for name, _ in files)
    return [
        replace(script, name=other[script.path]) if counted[script.name] > 1 and script.is_own else script
        for script in scripts
    ]


def _name(path: Path, folders: int = 0) -> str:
    """Its name: the name of its file, after the names of `folders` folders. It can be part of a folder's name."""
    names = [*path.parent.resolve().parts[1:], path.stem]
    if path.stem == _USUAL and len(names) > 1:
        names.pop()
    return re.sub(r"[^\w.-]+", "-", "-".join(names[-1 - folders :])).strip("-.") or _USUAL


def read_checks(paths: Sequence[Path]) -> tuple[tuple[str, ...], dict[str, bytes]]:
    """The names of check files and the content of all Python files beside them; paths are below their common folder."""
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
