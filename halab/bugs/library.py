"""Find bugs: those that come with halab by name, the user's own by the path of their folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from halab import data
from halab.config import loading
from halab.config.bug import BugFile, issue_of
from halab.errors import BadUsage

if TYPE_CHECKING:
    from halab.scenario.run.library import Script

# As on GitHub: etcd#22214 or etcd-io/etcd#22214.
_REPORT = r"([\w.-]+/)?[\w.-]+#[0-9]+"
_BUG, _LAB, _SCENARIO = "bug.yml", "lab.yml", "scenario.yml"


@dataclass(frozen=True)
class Bug:
    """A public report and the folder of its files."""

    name: str
    folder: Path
    written: BugFile

    @property
    def script(self) -> Script:
        """Its scenario. Raises BadFile if it is wrong, and BadUsage if it is missing."""
        # it reads all faults, which a list of bugs does not need
        from halab.scenario.run import library

        return library.find(str(self.scenario_in(self.folder)))

    @property
    def lab(self) -> str:
        """The text of its lab file, without comments."""
        lines = loading.text_of(self.lab_in(self.folder)).splitlines()
        return "\n".join(line for line in lines if line and not line.startswith("#"))

    @property
    def files(self) -> Iterator[Path]:
        """All its files, relative to its folder; not what a lab in this folder has made."""
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder)
            if path.is_file() and not name.parts[0].startswith("."):
                yield name

    @staticmethod
    def lab_in(folder: Path) -> Path:
        return folder / _LAB

    @staticmethod
    def scenario_in(folder: Path) -> Path:
        return folder / _SCENARIO


def names() -> list[str]:
    return sorted(path.parent.name for path in data.bugs().glob(f"*/{_BUG}"))


def find(name: str) -> Bug:
    """A bug by its name, its report (`etcd#22214`), or the path of its folder (`./mine`).

    Raises BadUsage, or BadFile with all problems.
    """
    if re.fullmatch(_REPORT, name):
        name = _reported(name)
    is_own = "/" in name
    folder = Path(name) if is_own else data.bugs() / name
    if not (folder / _BUG).exists():
        if is_own:
            raise BadUsage(
                f"no {_BUG} in the folder: {name}" if folder.is_dir() else f"no such folder: {name}"
            )
        raise BadUsage(
            f"no such bug: {name}{loading.similar(name, names())}", hint="`halab bugs` lists them"
        )
    return Bug(folder.resolve().name, folder, loading.load(folder / _BUG, BugFile))


def _reported(report: str) -> str:
    """The name of the bug with this report. Raises BadUsage if there is none, or more than one."""
    found = []
    for name in names():
        issues = [issue_of(url) or "" for url in find(name).written.references]
        if any(report in (issue, issue.partition("/")[2]) for issue in issues):
            found.append(name)
    if len(found) != 1:
        what = f"several bugs have this report: {report}" if found else f"no bug has this report: {report}"
        hint = f"choose one by its name: {', '.join(found)}" if found else "`halab bugs` lists them"
        raise BadUsage(what, hint=hint)
    return found[0]


def as_data(bug: Bug) -> dict[str, Any]:
    """The bug for programs."""
    written = {
        name: value.strip() if isinstance(value, str) else value
        for name, value in bug.written.model_dump(mode="json").items()
    }
    references = [{"issue": issue_of(url), "url": url} for url in bug.written.references]
    reproduced = {
        "reproduced": bug.written.reproduced,
        "reproduced_when_fixed": bug.written.reproduced_when_fixed,
    }
    return {"name": bug.name, **written, **reproduced, "references": references, "folder": str(bug.folder)}
