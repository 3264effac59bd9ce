"""Recorded runs of a scenario over time: their verdicts and figures, by the places where they were measured. Pure.

The figures of two runs belong together if they are about the same amount of the same promise. Its bounds and the number
of its step may have changed between them.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from halab.config import yaml_source
from halab.config.kubernetes import minor_of
from halab.config.load_balancer import Balancer
from halab.config.scenario import Scenario
from halab.config.twin import Verdict, twin_name
from halab.printable import counted
from halab.report import wording
from halab.report.bounded import bounded_amounts
from halab.report.bounds import COUNTED, JUDGED, Place
from halab.report.campaign import CLIENTS, Spread
from halab.scenario.record.folder import Meta
from halab.scenario.verdict.judgement import Unit
from halab.scenario.verdict.result import Result

SCHEMA = 1


@dataclass(frozen=True)
class HistoryFigure:
    """What was measured for one amount of a promise: times in seconds, shares from 0 to 1.

    `what` is the amount without its bounds; a promise that is not the first with it has a `number` above 1. `least` and
    `most` are the bounds that were in effect.
    """

    name: str
    promised: str
    what: str
    number: int
    unit: Unit
    value: float
    least: float
    most: float | None


@dataclass(frozen=True)
class HistoryRun:
    """A run: where and when it took place, its verdict, and its figures if it passed or failed.

    `setting` is what else makes its lab differ from the usual one. `steps` is a hash of the steps with their bounds.
    `folder` is relative to that of the history; `stamp` says whether the result in it has been written again since.
    """

    scenario: str
    started: str
    lab: str
    seed: int
    is_twin: bool
    title: str
    verdict: Verdict
    seconds: float
    load_balancer: Balancer
    provider: str
    acceleration: str
    setting: str
    kubernetes: str
    halab: str
    revision: str
    steps: str
    folder: str
    stamp: str
    figures: tuple[HistoryFigure, ...] = field(default=())

    @property
    def key(self) -> tuple[object, ...]:
        """What no other run has; a copy of a run has the same."""
        return self.scenario, self.started, self.lab, self.seed, self.is_twin

    @property
    def place(self) -> Place:
        provider = f"{self.provider} ({self.acceleration})" if self.acceleration else self.provider
        setting = (self.setting,) if self.setting else ()
        return Place(self.load_balancer, provider, setting, minor_of(self.kubernetes))

    @property
    def moment(self) -> datetime:
        """The start. Raises ValueError if that is not a time in ISO 8601."""
        return datetime.fromisoformat(self.started).astimezone()


def key_of(meta: Meta) -> tuple[object, ...]:
    """The key of a run, before it is judged."""
    return meta.scenario, meta.started, meta.lab, meta.seed, meta.is_twin


def run_of(
    meta: Meta, scenario: Scenario | None, result: Result, *, steps: str, folder: str, stamp: str
) -> HistoryRun:
    """The entry of a judged run. `scenario` is the one that ran; the proof of a drill has none, and no figures."""
    setting = ", ".join(Place.of(meta, by_minor=True).unusual)
    return HistoryRun(
        scenario=meta.scenario,
        started=meta.started,
        lab=meta.lab,
        seed=meta.seed,
        is_twin=meta.is_twin,
        title=result.title,
        verdict=result.verdict,
        seconds=round(result.seconds, 3),
        load_balancer=meta.load_balancer,
        provider=str(meta.provider),
        acceleration=str(meta.acceleration or ""),
        setting=setting,
        kubernetes=meta.kubernetes,
        halab=meta.halab,
        revision=meta.revision or "",
        steps=steps,
        folder=folder,
        stamp=stamp,
        figures=tuple(_figures(scenario, result)) if scenario and result.verdict in COUNTED else (),
    )


def digest_of(text: str) -> str:
    """A short hash of the steps as written: comments, title and texts do not count."""
    value = yaml_source.parse(text, "").value
    return hashlib.sha256(json.dumps([value.get("steps"), value.get("recover")]).encode()).hexdigest()[:12]


def _figures(scenario: Scenario, result: Result) -> Iterator[HistoryFigure]:
    """What clients lost, and the amounts of the promises that were judged."""
    lane = wording.worst_for_clients(result)
    if lane:
        yield HistoryFigure(
            "clients", CLIENTS, CLIENTS, 1, Unit.SECONDS, lane.longest_outage_seconds, 0.0, None
        )
    numbers: Counter[str] = Counter()
    for bounded in bounded_amounts(scenario):
        numbers[bounded.what] += 1
        for outcome in result.outcomes:
            if outcome.name != bounded.name or outcome.standing not in JUDGED:
                continue
            for figure in outcome.figures:
                if figure.name == bounded.limit.figure:
                    yield HistoryFigure(
                        bounded.name,
                        bounded.promised,
                        bounded.what,
                        numbers[bounded.what],
                        figure.unit,
                        figure.value,
                        figure.least,
                        figure.most,
                    )


@dataclass(frozen=True)
class Series:
    """One amount over the runs of a place; None for a run in which it was not measured. The texts are the newest."""

    figures: tuple[HistoryFigure | None, ...]

    @cached_property
    def newest(self) -> HistoryFigure:
        return self.measured[-1]

    @cached_property
    def measured(self) -> list[HistoryFigure]:
        return [figure for figure in self.figures if figure]

    @property
    def spread(self) -> Spread:
        newest, values = self.newest, tuple(figure.value for figure in self.measured)
        return Spread(newest.name, newest.promised, newest.unit, values, newest.most, newest.least)

    def amount(self, value: float) -> str:
        return wording.amount(self.newest.unit, value)


@dataclass(frozen=True)
class PlaceHistory:
    """The runs of a scenario in one place, the oldest first."""

    place: Place
    runs: tuple[HistoryRun, ...]

    @cached_property
    def series(self) -> list[Series]:
        """All amounts, in the order of the newest run that has them; those of earlier scenarios come last."""
        columns = [{(each.what, each.number): each for each in run.figures} for run in self.runs]
        keys = dict.fromkeys(key for column in reversed(columns) for key in column)
        return [Series(tuple(column.get(key) for column in columns)) for key in keys]

    @property
    def in_words(self) -> str:
        """`haproxy on docker, Kubernetes 1.37: 12 runs, 2026-11-01 to 2026-11-29: 11 pass, 1 fail`."""
        first, last = (run.started.partition("T")[0] for run in (self.runs[0], self.runs[-1]))
        days = first if first == last else f"{first} to {last}"
        verdicts = Counter(run.verdict for run in self.runs)
        counts = ", ".join(f"{verdicts[verdict]} {verdict}" for verdict in Verdict if verdicts[verdict])
        return f"{self.place}: {counted(len(self.runs), 'run')}, {days}: {counts}"


@dataclass(frozen=True)
class ScenarioHistory:
    """All recorded runs of a scenario, or those of its losing twin, by place."""

    scenario: str
    title: str
    is_twin: bool
    places: tuple[PlaceHistory, ...]

    @property
    def name(self) -> str:
        return twin_name(self.scenario) if self.is_twin else self.scenario

    @property
    def runs(self) -> list[HistoryRun]:
        return [run for place in self.places for run in place.runs]


def history_of(runs: Sequence[HistoryRun]) -> ScenarioHistory:
    """The history of some runs of one scenario; at least one."""
    ordered = sorted(runs, key=lambda run: run.moment)
    groups: dict[str, list[HistoryRun]] = {}
    for run in ordered:
        groups.setdefault(str(run.place), []).append(run)
    newest = ordered[-1]
    places = tuple(PlaceHistory(groups[name][-1].place, tuple(groups[name])) for name in sorted(groups))
    return ScenarioHistory(newest.scenario, newest.title, newest.is_twin, places)


def to_json(history: ScenarioHistory) -> str:
    """Everything for programs, the oldest run of each place first."""
    values = {
        "schema": SCHEMA,
        "scenario": history.scenario,
        "title": history.title,
        "is_twin": history.is_twin,
        "places": [{"place": str(each.place), "runs": [_run(run) for run in each.runs]} for each in history.places],
    }  # fmt: skip
    return json.dumps(values, indent=2, ensure_ascii=False)


def _run(run: HistoryRun) -> dict[str, Any]:
    values = {name: value for name, value in vars(run).items() if name not in ("figures", "stamp")}
    return {**values, "figures": [vars(figure) for figure in run.figures]}
