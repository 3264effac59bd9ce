"""The members of a matrix: the scenarios, drills and bugs that its file names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from halab.bugs import library as bug_files
from halab.bugs import versions
from halab.bugs.library import Bug
from halab.bugs.versions import BugAt
from halab.config import loading
from halab.config.lab import LabFile
from halab.config.loading import nearest
from halab.config.matrix import EVERY, Matrix
from halab.config.twin import Verdict
from halab.drill import library as drill_files
from halab.drill.library import DrillScript
from halab.errors import BadFile, HalabError, Problem
from halab.scenario.run import library
from halab.scenario.run.library import Script

# What is wrong: at a path in the matrix file, or in a file that it names.
Found = tuple[tuple[str | int, ...], str] | Problem
_Member = TypeVar("_Member", DrillScript, Bug)


@dataclass(frozen=True)
class BugMember:
    """A bug on its own lab, or `at` the first version of its component that is fixed.

    The scenario of a fixed bug has another name, so that its runs are a row of their own, also in the history.
    """

    bug: Bug
    script: Script
    at: BugAt | None = None

    @property
    def lab(self) -> str:
        """The text of its lab file."""
        return self.at.lab.decode() if self.at else self.bug.lab

    @property
    def file(self) -> Path:
        return self.bug.lab_in(self.bug.folder)

    def expected_in(self, lab: LabFile) -> Verdict:
        """The verdict that its scenario must have in a lab.

        A bug that was run here before, and never showed, must not show.
        """
        expected = versions.expected_in(self.bug, lab)
        runs = [measured.shown for measured in self.bug.written.measured if not measured.is_fixed]
        if runs and not any(runs) and expected is self.bug.written.shows:
            return versions.OTHERS[expected]
        return expected


@dataclass(frozen=True)
class Members:
    """What runs, in the order of the file, and what is wrong with it."""

    scripts: Sequence[Script]
    drills: Sequence[DrillScript]
    bugs: Sequence[BugMember]
    problems: Sequence[Found]


def read(matrix: Matrix, folder: Path) -> Members:
    """The members that a matrix file in this folder names. Their paths are relative to it."""
    scripts, problems = _scripts(matrix, folder)
    names = _Names({script.name: "scenario" for script in scripts}, folder, problems)
    drills = list(names.read("drills", "drill", matrix.drills, drill_files.names, drill_files.find))
    bugs = list(names.read("bugs", "bug", matrix.bugs, bug_files.names, _bug))
    members = [BugMember(bug, bug.script) for bug in bugs]
    if matrix.fixed:
        members += _fixed(bugs, problems)
    return Members(scripts, drills, members, problems)


@dataclass(frozen=True)
class _Names:
    """Reads members by their names, which must all be different: `taken` says what has a name."""

    taken: dict[str, str]
    folder: Path
    problems: list[Found]

    def read(
        self,
        key: str,
        what: str,
        written: Sequence[str],
        every: Callable[[], Iterable[str]],
        find: Callable[[str], _Member],
    ) -> Iterator[_Member]:
        names = list(every()) if EVERY in written else written
        for index, name in enumerate(names):
            where = (key,) if EVERY in written else (key, index)
            try:
                member = find(str(self.folder / name) if loading.is_own_file(name) else name)
            except BadFile as error:
                self.problems.extend(error.problems)
                continue
            except HalabError as error:
                self.problems.append((where, error.with_hint))
                continue
            if member.name in self.taken:
                self.problems.append(
                    (where, f"there is already a {self.taken[member.name]} of this name: {member.name}")
                )
            self.taken[member.name] = what
            yield member


def _bug(name: str) -> Bug:
    bug = bug_files.find(name)
    # a wrong scenario is found now
    _ = bug.script
    return bug


def _fixed(bugs: Sequence[Bug], problems: list[Found]) -> Iterator[BugMember]:
    """The bugs on the first version that is fixed, where one is known."""
    for bug in bugs:
        if any(affected.fixed for affected in bug.written.affects):
            try:
                yield BugMember(bug, replace(bug.script, name=f"{bug.name}-fixed"), versions.at(bug, None))
            except HalabError as error:
                problems.append((("fixed",), error.with_hint))


def _scripts(matrix: Matrix, folder: Path) -> tuple[list[Script], list[Found]]:
    """The scenarios of a matrix, in its order. The path of a scenario is relative to the file."""
    if len(matrix.selectors) > 1:
        others = " and ".join(matrix.selectors[:-1])
        return [], [
            ((matrix.selectors[-1],), f"select the scenarios with this or with {others}, not with both")
        ]
    names: list[str] = []
    found: list[Found] = []
    for index, name in enumerate(matrix.scenarios):
        place = str(folder / name) if loading.is_own_file(name) else name
        try:
            library.find(place)
            names.append(place)
        except BadFile as error:
            found += error.problems
        except HalabError as error:
            found.append((("scenarios", index), error.with_hint))
        if name in matrix.scenarios[:index]:
            found.append((("scenarios", index), f"is already in the list: {name}"))
    if matrix.scenarios:
        return library.find_all(names), found
    scripts = library.find_all(library.names())
    known = {tag for script in scripts for tag in script.scenario.tags}
    for index, tag in enumerate(matrix.tags):
        if tag not in known:
            found.append((("tags", index), f"no scenario has the tag {tag}{nearest(tag, known)}"))
    wanted = set(matrix.chosen_tags)
    return [script for script in scripts if matrix.takes_all or wanted & set(script.scenario.tags)], found
