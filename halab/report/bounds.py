"""The promises of scenarios against what recorded runs measured, by the places where it was measured. Pure.

Only runs that passed or failed count, and in them only promises that were judged. A run counts for the scenario as it
is today if its own scenario did and asked the same: its bounds may have been others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from halab.config.kubernetes import minor_of
from halab.config.load_balancer import Balancer
from halab.config.load_balancer_choices import BackendCheck
from halab.config.quantities import Bounds, Promise
from halab.config.scenario import Scenario
from halab.config.step import AnyStep, Expect
from halab.config.twin import Verdict
from halab.printable import counted
from halab.report.bounded import Bounded, bounded_amounts
from halab.report.promise_bounds import MeasuredPromise, Standing
from halab.scenario.record.folder import Meta
from halab.scenario.record.lanes import time_limit_seconds
from halab.scenario.verdict.judgement import Unit
from halab.scenario.verdict.result import PromiseOutcome, PromiseStatus, Result

# Smaller values of a figure are not told apart: a smaller share may be one or two questions of a short window. For
# times, the resolution is the time limit of a question.
_RESOLUTION = {Unit.SHARE: 0.05, Unit.COUNT: 1.0}
COUNTED = (Verdict.PASS, Verdict.FAIL)
JUDGED = (PromiseStatus.KEPT, PromiseStatus.BROKEN)
_USUAL_CONTROL_PLANES = 3
_NOT_COUNTED = {Verdict.ERROR: "ended in an error", Verdict.SKIP: "skipped"}
_OTHER_STEPS = "with other steps than today"


@dataclass(frozen=True)
class JudgedRun:
    """A recorded run, with the scenario in its folder."""

    meta: Meta
    scenario: Scenario
    result: Result


@dataclass(frozen=True)
class Place:
    """What must be the same before figures can be compared. `provider` includes the acceleration.

    `unusual` is what else makes the lab differ from one without settings. `kubernetes` is empty if figures of all
    versions are taken together, else a minor.
    """

    load_balancer: Balancer
    provider: str
    unusual: tuple[str, ...] = ()
    kubernetes: str = ""

    @classmethod
    def of(cls, meta: Meta, *, by_minor: bool) -> Place:
        minor = minor_of(meta.kubernetes) if by_minor else ""
        return cls(meta.load_balancer, meta.provider_in_words, tuple(_unusual(meta)), minor)

    def __str__(self) -> str:
        """`haproxy on docker, 5 control planes`."""
        version = [f"Kubernetes {self.kubernetes}"] if self.kubernetes else []
        return ", ".join([f"{self.load_balancer} on {self.provider}", *self.unusual, *version])


@dataclass(frozen=True)
class ScenarioBounds:
    """What was measured of one scenario in one place. `left_out` counts the runs that do not count, by reason."""

    scenario: str
    title: str
    place: Place
    kubernetes: tuple[str, ...]
    runs: int
    left_out: Mapping[str, int]
    promises: tuple[MeasuredPromise, ...]

    @property
    def runs_in_words(self) -> str:
        """`12 runs (not counted: 1 ended in an error, 2 skipped)`."""
        runs = counted(self.runs, "run")
        others = ", ".join(f"{count} {why}" for why, count in self.left_out.items())
        return f"{runs} (not counted: {others})" if others else runs

    @property
    def place_in_words(self) -> str:
        """`haproxy on docker, Kubernetes 1.36.5, 1.37.2`: the place, with the versions of its runs."""
        if self.place.kubernetes:
            return str(self.place)
        return f"{self.place}, Kubernetes {', '.join(self.kubernetes)}"


@dataclass(frozen=True)
class MeasuredBounds:
    """All scenarios that have runs, and the names of those that have none."""

    scenarios: tuple[ScenarioBounds, ...]
    without_runs: tuple[str, ...]

    @cached_property
    def promises(self) -> list[MeasuredPromise]:
        return [promise for each in self.scenarios for promise in each.promises]

    @property
    def totals(self) -> dict[Standing, int]:
        """The number of promises by standing."""
        numbers = Counter(promise.standing for promise in self.promises)
        return {standing: numbers[standing] for standing in Standing}

    @property
    def few(self) -> int:
        """The number of promises that were measured in too few runs."""
        return sum(promise.is_few for promise in self.promises if promise.values)


def measure(
    runs: Sequence[JudgedRun], today: Mapping[str, Scenario], *, by_minor: bool = False
) -> MeasuredBounds:
    """Put the figures of runs beside the bounds of their scenarios. The runs are no losing twins and no game days.

    `today` has scenarios as they are now, by name. Any other scenario is taken from its newest run. `by_minor` keeps
    the minors of Kubernetes apart.
    """
    groups: dict[tuple[str, Place], list[JudgedRun]] = {}
    newest: dict[str, Scenario] = {}
    for run in sorted(runs, key=lambda run: run.meta.started):
        place = Place.of(run.meta, by_minor=by_minor)
        groups.setdefault((run.meta.scenario, place), []).append(run)
        newest[run.meta.scenario] = run.scenario
    ordered = sorted(groups, key=lambda key: (key[0], str(key[1])))
    measured = tuple(
        _measured(today.get(name, newest[name]), place, groups[name, place]) for name, place in ordered
    )
    return MeasuredBounds(measured, tuple(sorted(today.keys() - newest.keys())))


def _measured(scenario: Scenario, place: Place, runs: Sequence[JudgedRun]) -> ScenarioBounds:
    reasons = [(run, _why_not(run, scenario)) for run in runs]
    that_count = [run for run, why in reasons if not why]
    versions = {run.meta.kubernetes for run in that_count or runs}
    return ScenarioBounds(
        scenario=runs[0].meta.scenario,
        title=scenario.title,
        place=place,
        kubernetes=tuple(sorted(versions, key=_version)),
        runs=len(that_count),
        left_out=dict(sorted(Counter(why for _, why in reasons if why).items())),
        promises=tuple(_promises(scenario, that_count)),
    )


def _why_not(run: JudgedRun, scenario: Scenario) -> str:
    """Why a run does not count; empty if it does."""
    if run.result.verdict not in COUNTED:
        return _NOT_COUNTED[run.result.verdict]
    return "" if _steps(run.scenario) == _steps(scenario) else _OTHER_STEPS


def _steps(scenario: Scenario) -> object:
    """What a scenario does and asks, without its bounds."""
    return [_without_bounds(step) for step in scenario.steps], scenario.recover.origin, scenario.probes


def _without_bounds(step: AnyStep) -> BaseModel:
    if isinstance(step, Expect):
        return step.model_copy(update={"expectation": _bare(step.expectation)})
    return _bare(step)


def _bare(model: BaseModel) -> BaseModel:
    """The model with only the kind of each promise: within a time, always, or an amount."""
    kinds = {name: _kind(value) for name, value in model if isinstance(value, Promise | Bounds)}
    return model.model_copy(update=kinds)


def _kind(value: Any) -> str:
    if isinstance(value, Bounds):
        return "amount"
    return "always" if value.always else "within"


def _promises(scenario: Scenario, runs: Sequence[JudgedRun]) -> Iterator[MeasuredPromise]:
    """The bounded amounts of all promises that apply to some run."""
    for bounded in bounded_amounts(scenario):
        outcomes = [
            (run.meta, outcome)
            for run in runs
            for outcome in run.result.outcomes
            if outcome.name == bounded.name and outcome.standing is not PromiseStatus.LEFT_OUT
        ]
        if outcomes:
            yield _measured_promise(bounded, outcomes)


def _measured_promise(bounded: Bounded, outcomes: Sequence[tuple[Meta, PromiseOutcome]]) -> MeasuredPromise:
    """The promise with the figures of all runs of one place: these have the same patience and kind of processors."""
    meta = outcomes[0][0]
    judged = [outcome for _, outcome in outcomes if outcome.standing in JUDGED]
    figures = [figure for outcome in judged for figure in outcome.figures]
    return MeasuredPromise(
        name=bounded.name,
        promised=bounded.promised,
        what=bounded.what,
        limit=bounded.limit,
        values=tuple(figure.value for figure in figures if figure.name == bounded.limit.figure),
        never=sum(outcome.standing is PromiseStatus.BROKEN and not outcome.figures for outcome in judged),
        stretch=meta.patience if bounded.is_waited else 1.0,
        resolution=_RESOLUTION.get(bounded.limit.unit, time_limit_seconds(meta.is_emulated)),
    )


def _unusual(meta: Meta) -> Iterator[str]:
    """What makes a lab differ from one without settings, in words."""
    planes, members = len(meta.control_planes), len(meta.etcd_machines)
    if planes != _USUAL_CONTROL_PLANES:
        yield counted(planes, "control plane")
    if members:
        yield f"{members} etcd machines"
    if meta.load_balancer.checks_backends and meta.load_balancer_check == BackendCheck.TCP:
        yield "check: tcp"
    if meta.load_balancer_config:
        yield f"config: {meta.load_balancer_config}"
    for component, source in meta.sources.items():
        # not its commit: a history shows how figures change with the commits
        yield f"{component} from {source.path}"
    if meta.tunnel:
        yield f"through {meta.tunnel}"
    if meta.patience != 1:
        yield f"patience {meta.patience:g}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in text.split("."))
