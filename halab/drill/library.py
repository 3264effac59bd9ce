"""Find drills: drills of halab by name, the user's own by path."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from halab import data
from halab.config import drill_rules, loading
from halab.config.drill import Drill
from halab.config.drill_draw import Choices
from halab.errors import BadUsage
from halab.faults.catalogue import FAULTS
from halab.machines.work import Work
from halab.scenario.run.library import read_checks

_COPY = "drill.yml"


@dataclass(frozen=True)
class DrillScript:
    """A drill with its files as they were when they were read.

    `checks` are the names in `check_files` of its check files, by path as written. `texts` are the texts of the files
    that options of faults name, by path.
    """

    name: str
    path: Path
    drill: Drill
    seed: int
    content: bytes
    checks: Mapping[str, str] = field(default_factory=dict)
    check_files: Mapping[str, bytes] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """True for a user's drill, false for one that comes with halab."""
        return self.path.resolve().parent != data.drills().resolve()

    @property
    def digest(self) -> str:
        """A hash (SHA-256) of the drill and its files: with other content, its proof may have another verdict."""
        digest = hashlib.sha256(b"drill\0" + self.content)
        others = {**self.check_files, **{name: text.encode() for name, text in self.texts.items()}}
        for name, content in sorted(others.items()):
            digest.update(b"\0" + name.encode() + b"\0" + content)
        return digest.hexdigest()


def names() -> list[str]:
    return sorted(path.stem for path in data.drills().glob("*.yml"))


def find(name: str, seed: int = 0) -> DrillScript:
    """A drill by its name, or by the path of its file (`./mine.yml`). BadUsage, or BadFile with all problems."""
    path = _path(name)
    read = drill_rules.read(path, FAULTS, seed=seed)
    written = read.value.check_files
    copies, files = read_checks([path.parent / check for check in written])
    checks = dict(zip(written, copies, strict=True))
    return DrillScript(path.stem, path, read.value, seed, read.content, checks, files, read.texts)


def _path(name: str) -> Path:
    is_own = loading.is_own_file(name)
    path = Path(name) if is_own else data.drills() / f"{name}.yml"
    if not is_own and not path.is_file():
        raise BadUsage(
            f"no such drill: {name}{loading.similar(name, names())}", hint="`halab drill list` lists them"
        )
    return path


def covering_seeds(name: str) -> list[int]:
    """Seeds with which all parts of a drill are drawn; a single one for a drill without parts."""
    return Choices.of(_path(name)).covering_seeds()


def copy_into(work: Work, script: DrillScript) -> None:
    """Copy what the attempt needs: the files may change while it lasts. An earlier attempt stays on record."""
    shutil.rmtree(checks_in(work), ignore_errors=True)
    copies = {work.drill / _COPY: script.content}
    copies |= {checks_in(work) / name: content for name, content in script.check_files.items()}
    for path, content in copies.items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(content)


def copied(work: Work, seed: int) -> Drill:
    """The drill of the running attempt."""
    return drill_rules.load(work.drill / _COPY, seed)


def checks_in(work: Work) -> Path:
    """The folder with the copies of the check files."""
    return work.drill / "checks"
