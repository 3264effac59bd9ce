"""The swim lanes of a run as geometry: what the page draws, decided here so that the template only loops."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from halab.config.quantities import spelled
from halab.scenario import events
from halab.scenario.events import Sample, When
from halab.scenario.folder import Evidence
from halab.scenario.history import Fault, History
from halab.scenario.outage import GAP_SECONDS, figures
from halab.scenario.result import Kind, Result, Standing

WIDTH = 1200
LEFT = 190
RIGHT = 24
TOP = 84
_ROW = 34
_HEAD = 30
_LEVELS = 3  # lines for what is written above the lanes
_MOST_LABELS = 8
_LABEL_WIDTH = 7.0  # of a character, about
# At this resolution a lane of any number of samples is a few hundred bars at most.
_COLUMNS = 900
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_TICKS = 14


@dataclass(frozen=True)
class Bar:
    """`kind` is a class of the page's style: ok, failed, unknown, fault, changing, recovering."""

    x: float
    width: float
    kind: str
    tip: str = ""


@dataclass(frozen=True)
class Label:
    x: float
    text: str
    anchor: str = "middle"
    kind: str = ""


@dataclass(frozen=True)
class Row:
    y: float
    name: str
    note: str
    bars: tuple[Bar, ...] = ()
    labels: tuple[Label, ...] = ()
    is_head: bool = False


@dataclass(frozen=True)
class Moment:
    """A line through all lanes."""

    x: float
    text: str
    kind: str
    level: int = 0
    is_left: bool = False  # its text stands left of it


@dataclass(frozen=True)
class Drawing:
    height: float
    ticks: tuple[Label, ...] = ()
    bands: tuple[Bar, ...] = ()
    moments: tuple[Moment, ...] = ()
    rows: tuple[Row, ...] = field(default=())
    width: int = WIDTH
    left: int = LEFT
    top: int = TOP


class _Scale:
    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = max(end, start + 1)

    def __call__(self, t: float) -> float:
        share = (min(max(t, self.start), self.end) - self.start) / (self.end - self.start)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def bar(self, start: float, end: float, kind: str, tip: str = "", *, at_least: float = 1.5) -> Bar:
        x = self(start)
        return Bar(x, round(max(self(end) - x, at_least), 1), kind, tip)


def draw(evidence: Evidence, result: Result) -> Drawing:
    """The lanes of a run: its faults, its recovery, and every probe, on one axis of seconds."""
    history = evidence.history
    scale = _Scale(*_extent(history))
    rows: list[Row] = []
    y = float(TOP)
    for group, drafts in _groups(history, result, scale):
        if not drafts:
            continue
        rows.append(Row(y, group, "", is_head=True))
        y += _HEAD
        for name, note, bars, labels in drafts:
            rows.append(Row(y, name, note, tuple(bars), tuple(labels)))
            y += _ROW
    bands = [scale.bar(fault.started, fault.heal_started or scale.end, "band") for fault in history.faults()]
    return Drawing(
        height=y + 12,
        ticks=tuple(_ticks(scale)),
        bands=tuple(bands),
        moments=tuple(_moments(history, scale)),
        rows=tuple(rows),
    )


_Draft = tuple[str, str, Sequence[Bar], Sequence[Label]]


def _groups(history: History, result: Result, scale: _Scale) -> Iterator[tuple[str, list[_Draft]]]:
    faults = [_fault(history, fault, scale) for fault in history.faults()]
    yield "What was done", faults + list(_recovery(result, scale))
    through = [lane for lane in history.samples.lanes if "@" not in lane]
    yield "Through the load balancer", [_lane(history, lane, lane, scale) for lane in through]
    for machine in history.control_planes:
        own = [lane for lane in history.samples.lanes if lane.endswith(f"@{machine}")]
        drafts = [_lane(history, lane, lane.partition("@")[0], scale) for lane in own]
        yield f"Asked directly: {machine}", drafts


def _extent(history: History) -> tuple[float, float]:
    """From shortly before the sampler began to shortly after it stopped: nothing else can be drawn."""
    bounds = [each.t for each in history.records if isinstance(each.what, events.SamplerStarted)]
    lanes = [history.samples.of(name) for name in history.samples.lanes]
    faults = history.faults()
    first = [samples[0].t for samples in lanes] + [fault.started for fault in faults]
    ends = [each.t for each in history.records if isinstance(each.what, events.Steady)]
    last = [samples[-1].end for samples in lanes] + [fault.healed or fault.started for fault in faults]
    if not first:
        return 0.0, max([each.t for each in history.records], default=1.0)
    start, end = min([*bounds, *first]), max([*last, *ends])
    return max(0.0, start - 0.5), end + 0.01 * (end - start)


def _fault(history: History, fault: Fault, scale: _Scale) -> _Draft:
    effective = fault.injected or fault.heal_started or scale.end
    heal = fault.heal_started or scale.end
    bars = [
        scale.bar(fault.started, effective, "changing", "being injected"),
        scale.bar(effective, heal, "fault", fault.effect),
    ]
    if fault.heal_started is not None:
        bars.append(scale.bar(heal, fault.healed or scale.end, "changing", "being healed"))
    held = f"{fault.fault}, {spelled(heal - fault.started)}"
    labels = [_placed(scale, effective, heal, held, "on-fault")]
    return fault.name, f"on {fault.machine}", bars, labels


def _recovery(result: Result, scale: _Scale) -> Iterator[_Draft]:
    for outcome in result.outcomes:
        if outcome.kind is Kind.RECOVERY and outcome.at is not None and outcome.measured is not None:
            begun = outcome.at - outcome.measured
            kind = "recovering" if outcome.standing is Standing.KEPT else "failed"
            bound = spelled(outcome.patient_seconds or 0)
            label = f"{outcome.seen} (bound {bound})"
            bars = [scale.bar(begun, outcome.at, kind, outcome.seen)]
            yield "recovery", "to steady", bars, [_placed(scale, begun, outcome.at, label, "on-recovery")]


def _placed(scale: _Scale, start: float, end: float, text: str, kind: str) -> Label:
    """Inside its bar where there is room, else beside it."""
    left, right = scale(start), scale(end)
    width = len(text) * _LABEL_WIDTH
    if right - left > width + 8:
        return Label((left + right) / 2, text, "middle", kind)
    if right + width + 6 < WIDTH:
        return Label(right + 6, text, "start")
    return Label(left - 6, text, "end")


def _lane(history: History, lane: str, name: str, scale: _Scale) -> _Draft:
    samples = history.samples.of(lane)
    found = figures(samples, samples[0].t, samples[-1].end + 1e-6)
    longest = found.longest
    note = f"longest outage {spelled(longest.seconds)}" if longest else "never out"
    labels: list[Label] = []
    taken: list[tuple[float, float]] = []
    # the longest are named first: where there is no room for all, they are what matters
    for outage in sorted(found.outages, key=lambda outage: -outage.seconds):
        text = spelled(outage.seconds) + ("+" if outage.is_open else "")
        middle, half = scale((outage.start + outage.end) / 2), len(text) * _LABEL_WIDTH / 2 + 3
        middle = min(max(middle, LEFT + half), WIDTH - half)
        if len(taken) < _MOST_LABELS and all(
            middle + half < left or middle - half > right for left, right in taken
        ):
            taken.append((middle - half, middle + half))
            labels.append(Label(middle, text, "middle", "outage"))
    return name, note, list(_segments(samples, scale)), sorted(labels, key=lambda label: label.x)


def _segments(samples: Sequence[Sample], scale: _Scale) -> Iterator[Bar]:
    """Neighbours that say the same are one bar, and a column in which anything failed shows it."""
    span = (scale.end - scale.start) / _COLUMNS
    columns = [""] * (_COLUMNS + 1)
    for number, sample in enumerate(samples):
        following = samples[number + 1].t if number + 1 < len(samples) else sample.end
        if following - sample.t > GAP_SECONDS:
            following = min(sample.end, following)
        first = _column(sample.t, scale, span)
        last = max(first, _column(following, scale, span) - 1)
        for column in range(first, last + 1):
            if columns[column] != "failed":
                columns[column] = "ok" if sample.ok else "failed"
    place = _column(samples[0].t, scale, span)
    ended = max(number for number, column in enumerate(columns) if column)
    for kind, group in groupby(columns[place : ended + 1]):
        length = len(list(group))
        start = scale.start + place * span
        yield scale.bar(start, start + length * span, kind or "unknown")
        place += length


def _column(t: float, scale: _Scale, span: float) -> int:
    return min(_COLUMNS, max(0, math.floor((t - scale.start) / span)))


def _moments(history: History, scale: _Scale) -> Iterator[Moment]:
    acts = [(fault.started, f"inject {fault.name}", "act") for fault in history.faults()]
    acts += [
        (fault.heal_started, f"heal {fault.name}", "act") for fault in history.faults() if fault.heal_started
    ]
    after = history.steady(When.AFTER)
    if after and after[1].ok:
        acts.append((after[0], "steady again", "steady"))
    taken: list[list[tuple[float, float]]] = [[] for _ in range(_LEVELS)]
    for t, text, kind in sorted(dict.fromkeys(acts)):
        x, width = scale(t), (len(text) + 1) * _LABEL_WIDTH
        is_left = x + width > WIDTH
        start, end = (x - width, x) if is_left else (x, x + width)
        # what would be written over its neighbour goes a line down
        free = (
            level
            for level in range(_LEVELS)
            if all(end <= low or start >= high for low, high in taken[level])
        )
        level = next(free, _LEVELS - 1)
        taken[level].append((start, end))
        yield Moment(x, text, kind, level, is_left)


def _ticks(scale: _Scale) -> Iterator[Label]:
    span = scale.end - scale.start
    step = next((each for each in _STEPS if span / each <= _MOST_TICKS), _STEPS[-1])
    t = math.ceil(scale.start / step) * step
    while t <= scale.end:
        yield Label(scale(t), f"{t}s" if span < 600 else f"{t // 60}:{t % 60:02d}")
        t += step
