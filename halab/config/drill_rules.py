"""Read a drill file with what a seed picks, and the rules beyond its form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from halab import files
from halab.config import drill_draw, loading, option_files, placeholders
from halab.config.drill import CHECK, Act, Drill, Hint, Task
from halab.config.drill_draw import MOST_VARIANTS, Choices
from halab.config.etcd import Topology
from halab.config.expectation import FactExpectation
from halab.config.expectation_rules import ExpectationRules
from halab.config.fault_rules import Finding, Known, KnownFaults
from halab.config.fault_spec import FaultSpec
from halab.config.loading import Written, nearest
from halab.config.quantities import format_duration
from halab.config.step import Expect, Heal, Inject, Join, conditions
from halab.config.targets import OTHERS, ROLES, TargetKind, kinds_of
from halab.errors import BadFile, BadUsage, Problem

_UNSOLVED = "is missing: without it, nothing shows that the drill can be solved"
_RELATIVE = ("changed", "unchanged", "increase")


@dataclass(frozen=True)
class ReadDrill:
    """A drill with the values of its variables. `texts` has the files that options of faults name, by path."""

    value: Drill
    content: bytes
    texts: Mapping[str, str] = field(default_factory=dict)


def read(path: Path, known_faults: Mapping[str, FaultSpec], *, seed: int = 0) -> ReadDrill:
    """Read a drill and check it with all values of its variables. Raises BadFile with all problems."""
    results: list[ReadDrill] = []
    for draw in Choices.of(path).to_check(seed):
        written = loading.read(path, Drill, change=partial(drill_draw.apply, draw=draw))
        texts, problems = _check(written, known_faults, path.parent)
        if problems:
            raise BadFile(sorted(dict.fromkeys(problems), key=lambda problem: problem.line))
        results.append(ReadDrill(written.value, written.content, texts))
    return results[0]


def load(path: Path, seed: int) -> Drill:
    """A drill that was checked before, with what the seed picks."""
    draw = Choices.of(path).draw(seed)
    return loading.load(path, Drill, change=partial(drill_draw.apply, draw=draw))


def _check(
    written: Written[Drill], known_faults: Mapping[str, FaultSpec], folder: Path
) -> tuple[dict[str, str], list[Problem]]:
    scenario = written.value.break_scenario
    texts, unreadable = option_files.read(scenario, known_faults, folder)
    found = [
        *((("break", *where[1:]), what) for where, what in unreadable),
        *findings(written.value, known_faults, texts),
        *_missing_checks(written.value, folder),
    ]
    return texts, [written.problem(where, what) for where, what in found]


def findings(
    drill: Drill, known_faults: Mapping[str, FaultSpec], texts: Mapping[str, str]
) -> Iterator[Finding]:
    """Yield all problems of a drill that need no other files."""
    known = KnownFaults(known_faults, drill.requires, texts)
    if not drill.requires.condition.versions:
        yield ("requires", "kubernetes"), f"halab has no Kubernetes version {drill.requires.kubernetes}"
    yield from drill.probes.problems()
    yield from _vars(drill)
    yield from _parts(drill)
    yield from _violations(drill)
    yield from _breaks(drill, known)
    yield from _told(drill, known)
    yield from _tasks(drill, known)
    yield from _acts(drill, known)


def _vars(drill: Drill) -> Iterator[Finding]:
    for name in drill.vars:
        if kinds_of(name) or name in (OTHERS, placeholders.SELF):
            yield ("vars", name), f"is a machine or a role; choose another name: {name}"
    variants = 1
    for values in drill.vars.values():
        variants *= len(values)
    if variants > MOST_VARIANTS:
        yield ("vars",), f"have {variants} combinations; the maximum is {MOST_VARIANTS}"


def _parts(drill: Drill) -> Iterator[Finding]:
    """Yield what would make one draw worth more than another, or none at all."""
    if (drill.draw is None) == bool(drill.parts):
        yield ("draw",), "`draw` says how many of the `parts` are drawn: write both or neither"
    elif drill.draw and drill.draw > len(drill.parts):
        yield ("draw",), f"is more than the number of parts: {len(drill.parts)}"
    for name, part in drill.parts.items():
        if not part.solve and any(task.answer is None for task in part.tasks.values()):
            yield ("parts", name, "solve"), _UNSOLVED
    if len({part.total for part in drill.parts.values()}) > 1:
        each = ", ".join(f"{name} {part.total}" for name, part in drill.parts.items())
        yield ("parts",), f"must all have the same points, so that every draw is worth the same: {each}"


def _violations(drill: Drill) -> Iterator[Finding]:
    for index, violation in enumerate(drill.fail_if):
        if violation in drill.fail_if[:index]:
            yield ("fail_if", index), f"is there already: {violation}"


def _breaks(drill: Drill, known: KnownFaults) -> Iterator[Finding]:
    for index, step in enumerate(drill.breaks):
        path = ("break", index)
        if conditions(step):
            yield path, "has a condition: a drill says in `requires` what the lab must have"
        if isinstance(step, Inject):
            if step.name == CHECK or step.name in drill.vars:
                yield (*path, "name"), f"is reserved, or the name of a variable; choose another: {step.name}"
            yield from known.inject(path, index, step)
        elif isinstance(step, Heal | Join):
            yield path, "a break has only the steps inject, wait and expect"
        elif isinstance(step, Expect) and not known.injected:
            yield (
                (*path, "expect"),
                "comes before the first inject, when nothing has happened yet: move it behind the inject",
            )
        elif isinstance(step, Expect) and step.expectation.during:
            yield (*path, "expect", "during"), "the break is never healed: use `within` or `reached`"
        elif isinstance(step, Expect):
            yield from ExpectationRules((*path, "expect"), known, {}, ()).problems(step.expectation)
    if not known.injected:
        yield ("break",), "no step injects a fault"


def _tasks(drill: Drill, known: KnownFaults) -> Iterator[Finding]:
    known.injected[CHECK] = Known(-1, dict.fromkeys(Topology, frozenset({TargetKind.BALANCER})), False)
    for name, task in drill.tasks.items():
        path = ("tasks", name)
        if len(task.kinds) != 1:
            yield path, "needs exactly one of expect, check or answer"
        for other in task.needs:
            if other not in drill.tasks:
                yield (*path, "needs"), f"no such task: {other}{nearest(other, drill.tasks)}"
        yield from _expectation(path, task, known)
    yield from _circles(drill)
    yield from _hints(drill)


def _hints(drill: Drill) -> Iterator[Finding]:
    """Yield problems of hints. Each part is looked at alone: others may be drawn with it."""
    if not drill.parts:
        yield from _too_costly(("hints",), drill.hints, drill.total, drill.passing_score)
        yield from _too_late(("hints",), drill.hints, drill.time_limit)
    for name, part in drill.parts.items():
        yield from _too_costly(("parts", name, "hints"), part.hints, part.total, drill.passing_score)
        yield from _too_late(("parts", name, "hints"), part.hints, drill.time_limit)


def _too_costly(
    path: tuple[str, ...], hints: Sequence[Hint], total: int, passing_score: int
) -> Iterator[Finding]:
    cost, most = sum(hint.cost for hint in hints), (100 - passing_score) * total // 100
    if cost > most:
        passing = f"the passing score of {passing_score} % leaves {most} of {total}"
        yield path, f"cost {cost} points, so a learner who takes all of them cannot pass: {passing}"


def _too_late(path: tuple[str, ...], hints: Sequence[Hint], time_limit: float | None) -> Iterator[Finding]:
    """Yield times that mean nothing: a hint is shown after those above it, and while the attempt lasts."""
    latest = 0.0
    for index, hint in enumerate(hints):
        if hint.after is None:
            continue
        if hint.after < latest:
            above = format_duration(latest)
            yield (
                (*path, index, "after"),
                f"is earlier than that of a hint above it, which is shown first: {above}",
            )
        if time_limit is not None and hint.after >= time_limit:
            yield (*path, index, "after"), f"is not before the time limit: {format_duration(time_limit)}"
        latest = max(latest, hint.after)


def _told(drill: Drill, known: KnownFaults) -> Iterator[Finding]:
    """Yield placeholders in what the learner reads or answers that are never filled."""
    for path, text in _texts_of(drill):
        for name, part in dict.fromkeys(placeholders.references_in(text)):
            shown = f"{name}.{part}" if part else name
            if path == ("title",):
                yield path, f"is shown in lists, where no machine is chosen: leave {{{shown}}} out"
            elif name not in known.injected:
                close = nearest(name, [*known.injected, *drill.vars])
                keep = f" (write \\{{{shown}}} if it is not a placeholder)"
                yield path, f"{{{shown}}} is neither a fault of the break nor a variable{close}{keep}"
            elif path[-1] == "answer" and not part:
                yield path, f"an answer is the name of a machine: write {{{name}.name}}"


def _texts_of(drill: Drill) -> Iterator[tuple[tuple[str | int, ...], str]]:
    yield ("title",), drill.title
    yield ("initial_situation",), drill.initial_situation
    yield ("objective",), drill.objective
    for name, task in drill.tasks.items():
        yield ("tasks", name, "text"), task.text
        for answer in task.answer or ():
            yield ("tasks", name, "answer"), answer
    for index, hint in enumerate(drill.hints):
        yield ("hints", index, "text"), hint.text
    yield ("debrief",), drill.debrief


def _expectation(path: tuple[str, ...], task: Task, known: KnownFaults) -> Iterator[Finding]:
    expectation = task.expect
    if expectation is None:
        return
    path = (*path, "expect")
    if expectation.when is not None:
        yield (*path, "when"), "a task has no condition: the drill says in `requires` what the lab must have"
    if expectation.during not in (None, CHECK):
        yield (*path, "during"), f"should be `{CHECK}`, the time of the check, not {expectation.during}"
        return
    if expectation.target in (OTHERS, CHECK):
        yield (*path, "on"), "write a machine, all-cp or the name of a fault"
        return
    if isinstance(expectation, FactExpectation):
        for form in _RELATIVE:
            if getattr(expectation, form) is not None:
                yield (
                    (*path, form),
                    "compares with an earlier time, which a check does not know: use `value`",
                )
                return
    yield from ExpectationRules(path, known, {}, ()).problems(expectation)


def _circles(drill: Drill) -> Iterator[Finding]:
    """Yield tasks that need themselves."""
    for name in drill.tasks:
        seen, left = set(), list(drill.tasks[name].needs)
        while left:
            other = left.pop()
            if other == name:
                yield ("tasks", name, "needs"), "the task needs itself, directly or through others"
                break
            if other not in seen and other in drill.tasks:
                seen.add(other)
                left += drill.tasks[other].needs


def _acts(drill: Drill, known: KnownFaults) -> Iterator[Finding]:
    if not drill.solve and len(drill.questions) < len(drill.tasks):
        yield ("solve",), _UNSOLVED
    written: list[tuple[tuple[str | int, ...], Act]] = [
        *((("solve", index), act) for index, act in enumerate(drill.solve)),
        *(
            (("wrong", name, index), act)
            for name, acts in drill.wrong.items()
            for index, act in enumerate(acts)
        ),
    ]
    for path, act in written:
        if act.on == CHECK or not known.kinds(act.on):
            names = [*ROLES, "cp1", *(name for name in known.injected if name != CHECK)]
            yield (*path, "on"), f"no such target: {act.on}{nearest(act.on, names)}"
        elif act.on not in known.injected:
            yield from (((*path, "on"), what) for what in known.missing_machine(act.on))
        yield from (
            ((*path, "run"), what)
            for name in dict.fromkeys(placeholders.names_in(act.run))
            for what in known.placeholder_problem(name)
        )


def _missing_checks(drill: Drill, folder: Path) -> Iterator[Finding]:
    for name, task in drill.tasks.items():
        if task.check is None:
            continue
        try:
            files.require_regular(folder / task.check, files.WRITTEN_BYTES)
        except BadUsage as error:
            yield ("tasks", name, "check"), error.message
        except (OSError, ValueError):
            yield ("tasks", name, "check"), f"no such file: {task.check}"
