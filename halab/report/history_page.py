"""The history of a scenario as one self-contained page: a drawing for each figure, with a column for each run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from urllib.parse import quote

from halab import templates
from halab.config.quantities import format_duration
from halab.config.twin import Verdict
from halab.report import wording
from halab.report.campaign import CLIENTS, RECOVERY
from halab.report.history import HistoryRun, ScenarioHistory, Series
from halab.report.run_entries import relative
from halab.scenario.record.folder import RunFolder

WIDTH = 1200
_LEFT = 70
_RIGHT = 16
_WIDEST_COLUMN = 40.0
_TOP, _PLOT, _BOTTOM = 22, 110, 20
# A bound that is further away from the worst value would press all values to the ground.
_BOUND_SHARE = 4
_DAY_WIDTH = 78  # of a date below a drawing
_MARK_WIDTH = 150  # of a text about a change


@dataclass(frozen=True)
class Dot:
    """One run in a drawing, with the link to its page; empty if it is gone."""

    x: float
    y: float
    verdict: Verdict
    tip: str
    link: str


@dataclass(frozen=True)
class Mark:
    """Something at an x coordinate: a day, or what has changed since the run before."""

    x: float
    text: str


@dataclass(frozen=True)
class Level:
    """A horizontal line with its value."""

    y: float
    text: str


@dataclass(frozen=True)
class Drawing:
    """One figure over the runs of a place. `bounds` and `line` are points of SVG polylines."""

    title: str
    caption: str
    width: float
    height: float
    bottom: float
    dots: Sequence[Dot]
    line: str
    bounds: Sequence[str]
    levels: Sequence[Level]
    days: Sequence[Mark]
    changes: Sequence[Mark]


def html(history: ScenarioHistory, runs: Path, page: Path) -> str:
    """The page. `runs` is the folder to which the folders of the runs are relative; its links begin at `page`."""
    links = {run.folder: _link(runs / run.folder, page) for run in history.runs}
    return templates.page(
        "history.html",
        history=history,
        verdicts=[
            (verdict, count)
            for verdict in Verdict
            if (count := sum(run.verdict is verdict for run in history.runs))
        ],
        places=[
            (place, [_drawing(place.runs, links, series) for series in place.series])
            for place in history.places
        ],
        links=links,
        marks=wording.VERDICT_MARKS,
        duration=format_duration,
        figure=_figure,
        clients=CLIENTS,
        recovery=RECOVERY,
    )


def _link(run: Path, page: Path) -> str:
    """The link to the report of a run; empty if it is gone."""
    report = RunFolder(run).page
    return quote(relative(report.resolve(), page.resolve().parent)) if report.is_file() else ""


def _figure(run: HistoryRun, what: str) -> str:
    return next((wording.amount(each.unit, each.value) for each in run.figures if each.what == what), "–")


def _drawing(runs: Sequence[HistoryRun], links: Mapping[str, str], series: Series) -> Drawing:
    spread, bottom = series.spread, _TOP + _PLOT
    column = min(_WIDEST_COLUMN, (WIDTH - _LEFT - _RIGHT) / len(runs))
    # a bound that is near enough is drawn; the others are only in the caption
    bounds = [figure.most for figure in series.measured if figure.most is not None]
    drawn = [bound for bound in bounds if 0 < bound <= _BOUND_SHARE * spread.worst]
    top = 1.1 * max([spread.worst, *drawn]) or 1.0

    def x(number: int) -> float:
        return round(_LEFT + (number + 0.5) * column, 1)

    def y(value: float) -> float:
        return round(bottom - value / top * _PLOT, 1)

    dots = [
        Dot(
            x(number),
            y(figure.value),
            run.verdict,
            f"{run.started.replace('T', ' ', 1)}, Kubernetes {run.kubernetes}: "
            f"{series.amount(figure.value)}, {run.verdict}",
            links[run.folder],
        )
        for number, (run, figure) in enumerate(zip(runs, series.figures, strict=True))
        if figure
    ]
    amounts = [f"p50 {series.amount(spread.p50)}", f"worst {series.amount(spread.worst)}"]
    amounts += [f"bound {spread.bounds}"] * bool(spread.bounds)
    return Drawing(
        title=f"{spread.name}: {spread.promised}",
        caption=", ".join(amounts),
        width=WIDTH,
        height=bottom + _BOTTOM,
        bottom=bottom,
        dots=dots,
        line=" ".join(f"{dot.x},{dot.y}" for dot in dots),
        bounds=list(_bound_lines(series, drawn, x, y, column)),
        levels=[Level(y(value), series.amount(value)) for value in dict.fromkeys((0.0, spread.worst))],
        days=list(_days(runs, x)),
        changes=list(_changes(runs, x, column)),
    )


def _bound_lines(
    series: Series,
    drawn: Sequence[float],
    x: Callable[[int], float],
    y: Callable[[float], float],
    column: float,
) -> Iterator[str]:
    """The upper bounds as they were: a line for each stretch of measured runs with the same one."""
    measured = [(number, figure.most) for number, figure in enumerate(series.figures) if figure]
    for bound, stretch in groupby(measured, key=itemgetter(1)):
        numbers = [number for number, _ in stretch]
        if bound is not None and bound in drawn:
            height = y(bound)
            yield f"{x(numbers[0]) - column / 2:.1f},{height} {x(numbers[-1]) + column / 2:.1f},{height}"


def _days(runs: Sequence[HistoryRun], x: Callable[[int], float]) -> Iterator[Mark]:
    """The first run of each day, as far as the texts do not overlap."""
    free, before = 0.0, ""
    for number, run in enumerate(runs):
        day = run.started.partition("T")[0]
        if day != before and x(number) >= free and x(number) + _DAY_WIDTH / 2 <= WIDTH:
            yield Mark(x(number), day)
            free = x(number) + _DAY_WIDTH
        before = day


def _changes(runs: Sequence[HistoryRun], x: Callable[[int], float], column: float) -> Iterator[Mark]:
    """Between which runs the version of Kubernetes or of halab has changed, or the steps of the scenario."""
    free = 0.0
    for number in range(1, len(runs)):
        before, run = runs[number - 1], runs[number]
        texts = [f"Kubernetes {run.kubernetes}"] * (run.kubernetes != before.kubernetes)
        texts += [f"halab {run.halab}"] * (run.halab != before.halab)
        texts += ["other steps"] * (run.steps != before.steps)
        if texts:
            place = round(x(number) - column / 2, 1)
            yield Mark(place, ", ".join(texts) if place >= free else "")
            free = max(free, place + _MARK_WIDTH) if place >= free else free
