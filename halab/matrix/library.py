"""Read matrix files: the labs that the axes make, the scenarios, and the cells that are not excluded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halab.bugs import library as bug_files
from halab.bugs import versions
from halab.bugs.library import Bug
from halab.config import lab_rules, lab_variants, loading, yaml_source
from halab.config.lab import LabFile
from halab.config.lab_variants import Axis, Variant
from halab.config.loading import Written, nearest
from halab.config.matrix import SCENARIO, Matrix
from halab.errors import BadFile, BadUsage, HalabError, Problem
from halab.lifecycle.lab import open_file
from halab.matrix import named_files, skips
from halab.matrix.plan import Cell, MatrixLab, MatrixPlan
from halab.matrix.skips import Skips
from halab.scenario.run import library
from halab.scenario.run.library import Script

# Each lab takes minutes: more of them take more than a day.
_MOST_LABS = 1000
LAB_FILE = "lab.yml"

_Path = tuple[str | int, ...]
# What is wrong: at a path in the matrix file, or in a file that it names.
_Found = tuple[_Path, str] | Problem


@dataclass(frozen=True)
class _Exclusion:
    """One entry of `exclude`: the values of each axis that it names, and the scenarios; empty for all."""

    values: Mapping[str, frozenset[str]]
    scenarios: frozenset[str]

    def leaves_out(self, variant: Variant, scenario: str) -> bool:
        return all(variant.values[axis] in values for axis, values in self.values.items()) and (
            not self.scenarios or scenario in self.scenarios
        )


def find(path: Path) -> MatrixPlan:
    """Read a matrix file and the lab file beside it.

    Raises BadFile with all problems, also those of labs that no lab file could describe, and BadUsage if a file cannot
    be read.
    """
    written = loading.read(path, Matrix)
    matrix, lab_file = written.value, path.parent / LAB_FILE
    base = open_file(lab_file)
    axes = [lab_variants.axis_of(name, values) for name, values in matrix.axes.items()]
    scripts, unreadable = _scripts(matrix, path.parent)
    bugs, unknown = _bugs(matrix, path.parent, scripts)
    played = [*scripts, *(bug.script for bug in bugs)]
    exclusions = [_exclusion(entry) for entry in matrix.exclude]
    _require_none(
        written,
        [*_axis_problems(axes), *unreadable, *unknown, *_exclusion_problems(matrix, axes, played)],
    )
    members = [_Members(base.content.decode("utf-8-sig"), lab_file, scripts, has_twins=matrix.twins)]
    members += [_Members(bug.lab, bug.lab_in(bug.folder), [bug.script], bug) for bug in bugs]
    cells: list[Cell] = []
    wrong: list[_Found] = []
    known = Skips()
    try:
        for each in members:
            made, problems = _cells(each, axes, exclusions, known)
            cells += made
            wrong += problems
    except BadUsage as error:
        raise BadFile([written.problem(("axes",), error.message)], hint=error.hint) from error
    _require_none(written, wrong)
    if not cells:
        _require_none(written, [(("exclude",), "leaves nothing to run")])
    return MatrixPlan(
        path=path,
        lab_file=lab_file,
        axes={axis.name: axis.shown for axis in axes},
        scripts=tuple(played),
        cells=tuple(cells),
        repeat=matrix.repeat,
        seed=matrix.seed,
        is_shuffled=not matrix.scenarios,
        has_twins=matrix.twins,
        bugs=frozenset(bug.name for bug in bugs),
    )


@dataclass(frozen=True)
class _Members:
    """What runs on the variants of one lab file: the scenarios of the matrix, or a bug on its own lab."""

    text: str
    file: Path
    scripts: Sequence[Script]
    bug: Bug | None = None
    has_twins: bool = False


def _cells(
    members: _Members, axes: Sequence[Axis], exclusions: Sequence[_Exclusion], known: Skips
) -> tuple[list[Cell], list[_Found]]:
    """The cells of these members, and what is wrong with the lab files. Raises BadUsage if there are too many."""
    variants = lab_variants.variants(members.text, axes, most=_MOST_LABS)
    kept = {
        variant.name: [
            script
            for script in members.scripts
            if not any(exclusion.leaves_out(variant, script.name) for exclusion in exclusions)
        ]
        for variant in variants
    }
    used = [variant for variant in variants if kept[variant.name]]
    labs, wrong = _labs(used, axes, members)
    if wrong:
        return [], wrong
    bug, traits = members.bug, {lab.name: skips.traits_of(lab.written) for lab in labs}
    return [
        Cell(
            lab,
            script,
            twin,
            lacking=known.lacking(traits[lab.name], script, twin=twin),
            shows=versions.expected_in(bug, lab.written) if bug else None,
        )
        for variant, lab in zip(used, labs, strict=True)
        for script in kept[variant.name]
        for twin in ((False, True) if members.has_twins else (False,))
    ], []


def _require_none(written: Written[Matrix], found: Sequence[_Found]) -> None:
    """Raise BadFile with the lines if anything was found."""
    problems = dict.fromkeys(each if isinstance(each, Problem) else written.problem(*each) for each in found)
    if problems:
        raise BadFile(sorted(problems, key=lambda problem: (problem.file, problem.line)))


def _scripts(matrix: Matrix, folder: Path) -> tuple[list[Script], list[_Found]]:
    """The scenarios of a matrix, in its order. The path of a scenario is relative to the file."""
    if len(matrix.selectors) > 1:
        others = " and ".join(matrix.selectors[:-1])
        return [], [
            ((matrix.selectors[-1],), f"select the scenarios with this or with {others}, not with both")
        ]
    names: list[str] = []
    found: list[_Found] = []
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


def _bugs(matrix: Matrix, folder: Path, scripts: Sequence[Script]) -> tuple[list[Bug], list[_Found]]:
    """The bugs of a matrix, in its order. The path of a folder is relative to the file."""
    bugs: list[Bug] = []
    found: list[_Found] = []
    taken = {script.name: "scenario" for script in scripts}
    for index, name in enumerate(matrix.bugs):
        where = ("bugs", index)
        try:
            bug = bug_files.find(str(folder / name) if "/" in name else name)
            _ = bug.script
        except BadFile as error:
            found += error.problems
            continue
        except HalabError as error:
            found.append((where, error.with_hint))
            continue
        if bug.name in taken:
            found.append((where, f"there is already a {taken[bug.name]} of this name: {bug.name}"))
        taken[bug.name] = "bug"
        bugs.append(bug)
    return bugs, found


def _axis_problems(axes: Sequence[Axis]) -> Iterator[_Found]:
    for axis in axes:
        where = ("axes", axis.name)
        if not all(axis.path):
            yield where, "should be the path of a setting, such as load_balancer.kind"
        elif axis.path == ("name",):
            yield where, "cannot be an axis: halab gives each lab of a matrix a name of its own"
        for index, value in enumerate(axis.shown):
            if value in axis.shown[:index]:
                yield (*where, index), f"is already in the list: {value}"


def _exclusion(entry: Mapping[str, Any]) -> _Exclusion:
    values = {name: frozenset(_shown(name, value)) for name, value in entry.items()}
    return _Exclusion(
        {name: shown for name, shown in values.items() if name != SCENARIO},
        values.get(SCENARIO, frozenset()),
    )


def _shown(name: str, value: Any) -> tuple[str, ...]:
    """The values of a key of an exclusion, which may be one or a list, as people write them."""
    return lab_variants.axis_of(name, value if isinstance(value, list | tuple) else [value]).shown


def _exclusion_problems(matrix: Matrix, axes: Sequence[Axis], scripts: Sequence[Script]) -> Iterator[_Found]:
    known = {axis.name: axis.shown for axis in axes}
    known[SCENARIO] = tuple(script.name for script in scripts)
    for index, entry in enumerate(matrix.exclude):
        where = ("exclude", index)
        if not entry:
            yield where, "excludes everything: name a setting or a scenario"
        for name, value in entry.items():
            if name not in known:
                yield (*where, name), f"is neither an axis nor `{SCENARIO}`{nearest(name, known)}"
                continue
            for each in _shown(name, value):
                if each not in known[name]:
                    what = "scenario" if name == SCENARIO else f"value of {name}"
                    yield (*where, name), f"this matrix has no {what} {each}{nearest(each, known[name])}"


def _labs(
    variants: Sequence[Variant], axes: Sequence[Axis], members: _Members
) -> tuple[list[MatrixLab], list[_Found]]:
    """The labs, and what is wrong with their lab files, each once and at the value that it is about."""
    labs: list[MatrixLab] = []
    found: dict[tuple[str, str], _Found] = {}
    bug = members.bug
    for variant in variants:
        name = variant.name if bug is None else f"{bug.name}-{variant.name}" if axes else bug.name
        try:
            written = loading.loads(variant.text, variant.name, LabFile)
            problems = [
                Problem(variant.name, 1, yaml_source.path_text(where), what)
                for where, what in lab_rules.problems(written)
            ]
        except BadFile as error:
            problems = list(error.problems)
        else:
            named = named_files.digest(variant.text, written, members.file.parent)
            labs.append(MatrixLab(name, variant.values, variant.text, written, members.file, named))
        for problem in problems:
            where, what = _place(problem, variant, axes)
            found.setdefault(
                (problem.field, problem.what), (where, f"in the lab of {bug.name}: {what}" if bug else what)
            )
    return labs, list(found.values())


def _place(problem: Problem, variant: Variant, axes: Sequence[Axis]) -> tuple[_Path, str]:
    """The value in the matrix file that a problem of a lab file is about; else the axes, with the lab's settings."""
    for axis in sorted(axes, key=lambda axis: -len(axis.path)):
        below = problem.field.removeprefix(axis.name)
        if problem.field.startswith(axis.name) and below[:1] in ("", ".", "["):
            index = axis.shown.index(variant.values[axis.name])
            inner = below.removeprefix(".")
            return ("axes", axis.name, index), f"{inner}: {problem.what}" if inner else problem.what
    return ("axes",), f"with {variant.settings}, the lab file is wrong: {problem.without_place}"
