"""Read matrix files: the labs that the axes make, what runs on them, and the cells that are not excluded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halab.config import lab_rules, lab_variants, loading, yaml_source
from halab.config.lab import LabFile
from halab.config.lab_variants import Axis, Variant
from halab.config.loading import Written, nearest
from halab.config.matrix import BUG, DRILL, SCENARIO, TWIN, Matrix
from halab.drill.library import DrillScript
from halab.errors import BadFile, BadUsage, Problem
from halab.lifecycle.lab import open_file
from halab.matrix import members, named_files, skips
from halab.matrix.members import BugMember, Found, Members
from halab.matrix.plan import Cell, MatrixLab, MatrixPlan
from halab.matrix.skips import Skips
from halab.scenario.run.library import Script

# Each lab takes minutes: more of them take more than a day.
_MOST_LABS = 1000
LAB_FILE = "lab.yml"

_Path = tuple[str | int, ...]
_NAMES = (SCENARIO, TWIN, DRILL, BUG)


@dataclass(frozen=True)
class _Exclusion:
    """One entry of `exclude`: the values of each axis that it names, and the names of what it is about; empty for all.

    Scenarios, drills and bugs of a matrix have different names. `twins` are scenarios whose twins are left out.
    """

    values: Mapping[str, frozenset[str]]
    names: frozenset[str]
    twins: frozenset[str]

    def leaves_out(self, variant: Variant, name: str, *, twin: bool) -> bool:
        return all(variant.values[axis] in values for axis, values in self.values.items()) and (
            not (self.names or self.twins) or name in self.names or (twin and name in self.twins)
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
    found = members.read(matrix, path.parent)
    exclusions = [_exclusion(entry) for entry in matrix.exclude]
    _require_none(
        written, [*_axis_problems(axes), *found.problems, *_exclusion_problems(matrix, axes, found)]
    )
    groups = [_Group(base.content.decode("utf-8-sig"), lab_file, found.scripts, found.drills, matrix.twins)]
    groups += [_Group(bug.lab, bug.file, [bug.script], bug=bug) for bug in found.bugs]
    cells: list[Cell] = []
    wrong: list[Found] = []
    known = Skips()
    try:
        for group in groups:
            made, problems = _cells(group, axes, exclusions, known)
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
        scripts=(*found.scripts, *(bug.script for bug in found.bugs)),
        cells=tuple(cells),
        repeat=matrix.repeat,
        seed=matrix.seed,
        is_shuffled=not matrix.scenarios,
        has_twins=matrix.twins,
        bugs=frozenset(bug.script.name for bug in found.bugs),
        drills=tuple(found.drills),
    )


@dataclass(frozen=True)
class _Group:
    """What runs on the variants of one lab file: scenarios and drills of the matrix, or a bug on its own lab."""

    text: str
    file: Path
    scripts: Sequence[Script]
    drills: Sequence[DrillScript] = ()
    has_twins: bool = False
    bug: BugMember | None = None

    def left_by(
        self, exclusions: Sequence[_Exclusion], variant: Variant
    ) -> list[tuple[Script | DrillScript, bool]]:
        """What runs on a lab: scenarios, each followed by its twin, and drills. The second value is true for a twin."""
        kinds = (False, True) if self.has_twins else (False,)
        members: list[tuple[Script | DrillScript, bool]] = [
            *((script, twin) for script in self.scripts for twin in kinds),
            *((drill, False) for drill in self.drills),
        ]
        # exclusions know a bug by its name
        bug = self.bug.bug.name if self.bug else ""
        return [
            (script, twin)
            for script, twin in members
            if not any(each.leaves_out(variant, bug or script.name, twin=twin) for each in exclusions)
        ]


def _cells(
    group: _Group, axes: Sequence[Axis], exclusions: Sequence[_Exclusion], known: Skips
) -> tuple[list[Cell], list[Found]]:
    """The cells of a group, and what is wrong with the lab files. Raises BadUsage if there are too many."""
    variants = lab_variants.variants(group.text, axes, most=_MOST_LABS)
    kept = {variant.name: group.left_by(exclusions, variant) for variant in variants}
    used = [variant for variant in variants if kept[variant.name]]
    labs, wrong = _labs(used, axes, group)
    if wrong:
        return [], wrong
    traits = {lab.name: skips.traits_of(lab.written) for lab in labs}
    return [
        Cell(
            lab,
            script,
            twin,
            lacking=known.lacking(traits[lab.name], script, twin=twin),
            shows=group.bug.expected_in(lab.written) if group.bug else None,
        )
        for variant, lab in zip(used, labs, strict=True)
        for script, twin in kept[variant.name]
    ], []


def _require_none(written: Written[Matrix], found: Sequence[Found]) -> None:
    """Raise BadFile with the lines if anything was found."""
    problems = dict.fromkeys(each if isinstance(each, Problem) else written.problem(*each) for each in found)
    if problems:
        raise BadFile(sorted(problems, key=lambda problem: (problem.file, problem.line)))


def _axis_problems(axes: Sequence[Axis]) -> Iterator[Found]:
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
        {name: shown for name, shown in values.items() if name not in _NAMES},
        frozenset().union(*(values.get(kind, frozenset()) for kind in (SCENARIO, DRILL, BUG))),
        values.get(TWIN, frozenset()),
    )


def _shown(name: str, value: Any) -> tuple[str, ...]:
    """The values of a key of an exclusion, which may be one or a list, as people write them."""
    return lab_variants.axis_of(name, value if isinstance(value, list | tuple) else [value]).shown


def _exclusion_problems(matrix: Matrix, axes: Sequence[Axis], found: Members) -> Iterator[Found]:
    known = {axis.name: axis.shown for axis in axes}
    known[SCENARIO] = tuple(script.name for script in found.scripts)
    known[TWIN] = known[SCENARIO] if matrix.twins else ()
    known[DRILL] = tuple(script.name for script in found.drills)
    known[BUG] = tuple(dict.fromkeys(member.bug.name for member in found.bugs))
    for index, entry in enumerate(matrix.exclude):
        where = ("exclude", index)
        if not entry:
            yield where, f"excludes everything: name a setting, or one of {', '.join(_NAMES)}"
        for name, value in entry.items():
            if name not in known:
                kinds = ", ".join(_NAMES)
                yield (*where, name), f"is neither an axis nor one of {kinds}{nearest(name, known)}"
                continue
            for each in _shown(name, value):
                if each not in known[name]:
                    what = name if name in _NAMES else f"value of {name}"
                    yield (*where, name), f"this matrix has no {what} {each}{nearest(each, known[name])}"


def _labs(
    variants: Sequence[Variant], axes: Sequence[Axis], group: _Group
) -> tuple[list[MatrixLab], list[Found]]:
    """The labs, and what is wrong with their lab files, each once and at the value that it is about."""
    labs: list[MatrixLab] = []
    found: dict[tuple[str, str], Found] = {}
    bug = group.bug.script.name if group.bug else ""
    for variant in variants:
        name = "-".join(filter(None, (bug, variant.name if axes or not bug else "")))
        try:
            written = loading.loads(variant.text, variant.name, LabFile)
            problems = [
                Problem(variant.name, 1, yaml_source.path_text(where), what)
                for where, what in lab_rules.problems(written)
            ]
        except BadFile as error:
            problems = list(error.problems)
        else:
            named = named_files.digest(variant.text, written, group.file.parent)
            labs.append(MatrixLab(name, variant.values, variant.text, written, group.file, named))
        for problem in problems:
            where, what = _place(problem, variant, axes)
            found.setdefault(
                (problem.field, problem.what), (where, f"in the lab of {bug}: {what}" if bug else what)
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
