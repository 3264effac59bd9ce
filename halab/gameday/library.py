"""Read game day files: check them, choose by the seed, and make a scenario and a plan of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from halab.config import loading, option_files, yaml_source, yaml_text
from halab.config.fault_facts import NOTHING
from halab.config.fault_rules import Finding, KnownFaults
from halab.config.fault_spec import with_texts
from halab.config.game_day import WHOLE, Break, GameDay
from halab.config.quantities import format_duration
from halab.config.scenario import Scenario
from halab.config.step import AnyStep, Heal, Inject, Join, Wait
from halab.errors import BadFile, HalabError
from halab.faults.catalogue import FAULTS
from halab.gameday.plan import Plan, PlannedBreak, PlannedInject
from halab.scenario.run import library
from halab.scenario.run.library import Script


@dataclass(frozen=True)
class GameDayScript:
    """A game day with what the seed chose. `script` is the same as a scenario, for the record and the verdict."""

    day: GameDay
    plan: Plan
    script: Script
    content: bytes


def find(path: Path, seed: int) -> GameDayScript:
    """Read a game day file. Raises BadUsage if it cannot be read, and BadFile with all problems."""
    written = loading.read(path, GameDay)
    day = written.value
    scenarios, unreadable = _scenarios(day, path.parent)
    texts, without_text = option_files.read_all(_option_files(day), path.parent)
    problems = [
        written.problem(where, what)
        for where, what in [*unreadable, *_findings(day, scenarios, texts), *without_text]
    ]
    if problems:
        raise BadFile(sorted(dict.fromkeys(problems), key=lambda problem: problem.line))
    plan = Plan(day.lasts, tuple(_chosen(day, scenarios, texts, seed)))
    content = yaml_text.dump(day.as_scenario([_as_step(each.step) for each in plan.injects]))
    scenario = loading.loads(content, str(path), Scenario)
    script = Script(path.stem, path, scenario, content.encode(), is_game_day=True)
    return GameDayScript(day, plan, script, written.content)


def in_folder(folder: Path) -> dict[str, str]:
    """The titles of the game day files in a folder, by the names of the files. Also of files that have mistakes."""
    found = {}
    for path in sorted(folder.glob("*.y*ml")):
        with suppress(HalabError):
            written = yaml_source.parse(loading.text_of(path), path.name).value
            if isinstance(written, dict) and "breaks" in written:
                found[path.name] = str(written.get("title", ""))
    return found


def _scenarios(day: GameDay, folder: Path) -> tuple[dict[str, Script], list[Finding]]:
    """The scenarios that breaks name, by their names as written. A path is relative to the file."""
    found: dict[str, Script] = {}
    problems: list[Finding] = []
    for index, each in enumerate(day.breaks):
        if each.scenario is None or each.scenario in found:
            continue
        is_own = loading.is_own_file(each.scenario)
        try:
            found[each.scenario] = library.find(str(folder / each.scenario) if is_own else each.scenario)
        except HalabError as error:
            problems.append((("breaks", index, "scenario"), error.with_hint))
    return found, problems


def _option_files(day: GameDay) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield where options of faults name files, and the paths of these files."""
    for index, each in enumerate(day.breaks):
        for number, step in enumerate(each.steps or ()):
            if isinstance(step, Inject):
                where = ("breaks", index, "steps", number)
                yield from option_files.named_by(where, step.fault, step.arguments, FAULTS)


def _findings(day: GameDay, scenarios: Mapping[str, Script], texts: Mapping[str, str]) -> Iterator[Finding]:
    known = KnownFaults(FAULTS, day.needs, texts)
    if not day.needs.condition.versions:
        yield ("needs", "kubernetes"), f"halab has no Kubernetes version {day.needs.kubernetes}"
    if day.draw and day.draw > len(day.breaks):
        yield ("draw",), f"is more than the number of breaks: {len(day.breaks)}"
    for probe, bound in day.stop.outage.items():
        where = ("stop", "outage", str(probe))
        if probe.is_direct:
            yield where, "asks single machines: name a probe of the load balancer"
        if bound >= day.lasts:
            yield where, "no outage can be longer than the game day: choose a bound below `lasts`"
    names: dict[str, int] = {}
    faults: dict[str, int] = {WHOLE: -1}
    for index, each in enumerate(day.breaks):
        path = ("breaks", index)
        yield from ((path, what) for what in _form(day, each))
        if each.steps is not None:
            yield from _steps((*path, "steps"), each.steps, known)
        elif each.scenario in scenarios and not _faults(each, scenarios):
            yield (*path, "scenario"), f"has no step inject before its first heal: {each.scenario}"
        for step in _faults(each, scenarios):
            yield from ((path, what) for what in _name_problem("fault", step.name, faults, index))
        yield from ((path, what) for what in _name_problem("name", _name(each, index), names, index))


def _name_problem(what: str, name: str, seen: dict[str, int], index: int) -> Iterator[str]:
    earlier = seen.setdefault(name, index)
    if earlier == -1:
        yield f"{name} is reserved: choose another name"
    elif earlier != index:
        change = (
            "write its steps into this file, with another `name`" if what == "fault" else "give it a `name`"
        )
        yield f"the {what} {name} is also in entry {earlier + 1} of breaks: {change}"


def _form(day: GameDay, each: Break) -> Iterator[str]:
    if len(each.sources) != 1:
        yield "needs exactly one of scenario or steps"
    if len(each.times) != 1:
        yield "needs exactly one of at or between"
    first, last = each.window
    if first > last:
        yield f"`between` should go from the earlier to the later time, not from {format_duration(first)}"
    if last >= day.lasts:
        yield f"begins when the game day is over, after {format_duration(day.lasts)}"


def _steps(path: tuple[str | int, ...], steps: Sequence[AnyStep], known: KnownFaults) -> Iterator[Finding]:
    if not any(isinstance(step, Inject) for step in steps):
        yield path, "no step injects a fault"
    for index, step in enumerate(steps):
        where = (*path, index)
        if isinstance(step, Inject):
            # the same name in another break is reported with its entry
            known.injected.pop(step.name, None)
            yield from known.inject(where, index, step)
        elif not isinstance(step, Wait):
            yield where, "a break has only the steps inject and wait: `heal_after` says when it is healed"


def _faults(each: Break, scenarios: Mapping[str, Script]) -> list[Inject]:
    return [step for _, step in _timed(each, scenarios)]


def _timed(each: Break, scenarios: Mapping[str, Script]) -> Iterator[tuple[float, Inject]]:
    """The faults of a break, with the seconds after its beginning."""
    steps: Sequence[AnyStep] = each.steps or ()
    if each.scenario is not None and each.scenario in scenarios:
        steps = scenarios[each.scenario].scenario.steps
    seconds = 0.0
    for step in steps:
        if isinstance(step, Heal | Join):
            return
        if isinstance(step, Wait):
            seconds += step.seconds
        elif isinstance(step, Inject):
            yield seconds, step


def _chosen(
    day: GameDay, scenarios: Mapping[str, Script], texts: Mapping[str, str], seed: int
) -> Iterator[PlannedBreak]:
    """The breaks that the seed chose. The time of a break does not depend on which others are drawn."""
    rng = random.Random(seed)
    begins = [float(round(rng.uniform(*each.window))) for each in day.breaks]
    count = len(day.breaks)
    for index in sorted(rng.sample(range(count), day.draw or count)):
        each, begin = day.breaks[index], begins[index]
        script = scenarios.get(each.scenario or "")
        injects = [
            PlannedInject(begin + after, _with_texts(step, script.texts if script else texts))
            for after, step in _timed(each, scenarios)
        ]
        needs = (script.scenario,) if script else ()
        healed = None if each.heal_after is None else begin + each.heal_after
        yield PlannedBreak(_name(each, index), begin, healed, tuple(injects), needs)


def _with_texts(step: Inject, texts: Mapping[str, str]) -> Inject:
    if step.fault == NOTHING:
        return step
    return step.model_copy(update={"options": dict(with_texts(FAULTS[step.fault], step.arguments, texts))})


def _as_step(step: Inject) -> dict[str, object]:
    when = {"when": step.when.model_dump(mode="json", exclude_none=True)} if step.when else {}
    on = step.on if isinstance(step.on, str) else list(step.on)
    return {"inject": step.fault, "name": step.name, "on": on, "with": dict(step.options), **when}


def _name(each: Break, index: int) -> str:
    return each.name or (Path(each.scenario).stem if each.scenario else f"break-{index + 1}")
