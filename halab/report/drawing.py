"""The geometry of the swim lanes of a run, so that the template only has to loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from halab.report import fault_lanes, probe_lanes, state_lanes
from halab.report.axis import LEFT, WIDTH, Bar, Label, Line, Scale, Strip, width_of
from halab.report.changes import acts
from halab.scenario.record import events
from halab.scenario.record.events import SteadyCheckPoint
from halab.scenario.record.folder import Evidence
from halab.scenario.record.history import History
from halab.scenario.verdict.result import Result

_AXIS = 24  # the height of the axis labels at the top
_LEVEL = 15  # the height of a line of texts for injects and heals
_MOST_LEVELS = 6
_HEAD = 28
_ROW = 26
_LABELS = 12  # the additional height of a row with labels above its bars
_SMALL = 6.4  # the approximate width of a character in the notes
_INDENT = 10


@dataclass(frozen=True)
class Row:
    """A lane, or the heading of a group. `middle` is the y coordinate of the middle of its bars, from its top."""

    y: float
    height: float
    name: str
    note: str = ""
    bars: tuple[Bar, ...] = ()
    labels: tuple[Label, ...] = ()
    is_head: bool = False
    tip: str = ""

    @property
    def middle(self) -> float:
        return self.height - _ROW / 2


@dataclass(frozen=True)
class Moment:
    """A vertical line through all lanes, with its text on the right, or on the left if `is_left`."""

    x: float
    y: float
    text: str
    kind: str
    is_left: bool = False


@dataclass(frozen=True)
class Drawing:
    """`top` is the y coordinate of the first lane, `kinds` are the kinds of all bars."""

    height: float
    top: float = _AXIS
    ticks: tuple[Label, ...] = ()
    bands: tuple[Bar, ...] = ()
    moments: tuple[Moment, ...] = ()
    rows: tuple[Row, ...] = ()
    width: int = WIDTH
    left: int = LEFT

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(bar.kind for row in self.rows for bar in row.bars)

    @property
    def lanes(self) -> int:
        return sum(not row.is_head for row in self.rows)


@dataclass(frozen=True)
class Pictures:
    """`main` shows the lanes where something happened, `quiet` the others, on the same axis.

    `folded` names the quiet lanes: `backend, node: cp1, cp3`.
    """

    main: Drawing
    quiet: Drawing
    folded: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    name: str
    strips: Sequence[Strip] = field(default=())

    @property
    def quiet(self) -> list[Strip]:
        """The lanes to fold. A single one is not folded, as that would save no space."""
        quiet = [strip for strip in self.strips if strip.is_quiet]
        return quiet if len(quiet) > 1 else []

    def folded(self) -> _Group:
        """The group with its quiet strips replaced by one."""
        quiet = self.quiet
        shown = [strip for strip in self.strips if strip not in quiet]
        if quiet:
            name = f"{len(quiet)} others" if shown else f"all {len(quiet)}"
            notes = list(dict.fromkeys(strip.note for strip in quiet))
            first, last = quiet[0].bars[0], quiet[0].bars[-1]
            bar = Bar(first.x, round(last.x + last.width - first.x, 1), first.kind, is_thin=True)
            note = notes[0] if len(notes) == 1 else "always fine"
            shown.append(Strip(name, note, [bar]))
        return _Group(self.name, shown)


def draw(evidence: Evidence, result: Result) -> Pictures:
    """Draw the lanes of a run on one time axis: faults, leaders, states of machines, probes."""
    history = evidence.history
    scale = Scale(*_extent(history))
    groups = list(_groups(history, result, scale))
    bands = [
        scale.bar(window.start, window.end or scale.end, "band")
        for name in dict.fromkeys(fault.name for fault in history.faults)
        if (window := history.window(name))
    ]
    moments, levels = _moments(history, scale)
    top = _AXIS + _LEVEL * levels + 4
    quiet = [_Group(group.name, group.quiet) for group in groups]
    return Pictures(
        main=_drawing([group.folded() for group in groups], scale, top, bands, moments),
        quiet=_drawing(quiet, scale, _AXIS, bands, ()),
        folded=tuple(text for group in quiet for text in _lane_names(group.strips)),
    )


def _groups(history: History, result: Result, scale: Scale) -> Iterator[_Group]:
    yield _Group(
        "Faults and recovery", [*fault_lanes.faults(history, scale), *fault_lanes.recovery(result, scale)]
    )
    yield _Group("Leaders", list(state_lanes.leaders(history, scale)))
    machines = [*fault_lanes.machines(history, scale), *state_lanes.of_machines(history, scale)]
    # the sort is stable: the lane of a machine's faults stays before the lanes of its states
    in_order = [strip for _, strip in sorted(machines, key=lambda named: named[0])]
    yield _Group("Machines", in_order)
    yield _Group("Through the load balancer", probe_lanes.through_balancer(history, scale))
    yield _Group("Direct to the machines", probe_lanes.direct(history, scale))


def _drawing(
    groups: Sequence[_Group], scale: Scale, top: float, bands: Sequence[Bar], moments: Sequence[Moment]
) -> Drawing:
    rows, y = [], top
    for group in groups:
        if group.strips:
            rows.append(Row(y, _HEAD, group.name, is_head=True))
            y += _HEAD
        for strip in group.strips:
            row = _row(strip, y)
            rows.append(row)
            y += row.height
    return Drawing(y + 22, top, tuple(scale.ticks()), tuple(bands), tuple(moments), tuple(rows))


def _row(strip: Strip, y: float) -> Row:
    height = _ROW + (_LABELS if any(label.is_above for label in strip.labels) else 0)
    most = int((LEFT - 2 * _INDENT - 8 - len(strip.note) * _SMALL) / (width_of("x")))
    is_short = len(strip.name) <= most
    name = strip.name if is_short else strip.name[: max(most - 1, 8)] + "…"
    note = strip.note if is_short or len(name) <= most else ""
    tip = "" if is_short else f"{strip.name}, {strip.note}"
    return Row(y, height, name, note, tuple(strip.bars), tuple(strip.labels), tip=tip)


def _lane_names(strips: Sequence[Strip]) -> Iterator[str]:
    """The names of lanes, with lanes of the same machines together."""
    machines: dict[str, list[str]] = {}
    for strip in strips:
        machines.setdefault(strip.what, []).extend([strip.machine] if strip.machine else [])
    same: dict[tuple[str, ...], list[str]] = {}
    for what, names in machines.items():
        same.setdefault(tuple(names), []).append(what)
    for lane_machines, whats in same.items():
        yield ", ".join(whats) + (f": {', '.join(lane_machines)}" if lane_machines else "")


def _extent(history: History) -> tuple[float, float]:
    """The first and the last moment to draw, in seconds since the start of the run."""
    starts = [t for t, _ in history.events(events.SamplerStarted)]
    samples, states, faults = history.samples, history.states, history.faults
    first = [samples.of(lane)[0].t for lane in samples.lanes] + [fault.started for fault in faults]
    first += [states.of(lane)[0].t for lane in states.lanes]
    ends = [t for t, _ in history.events(events.Steady)]
    last = [samples.of(lane)[-1].end for lane in samples.lanes]
    last += [states.of(lane)[-1].end for lane in states.lanes]
    last += [fault.healed or fault.started for fault in faults]
    if not first:
        return 0.0, max([record.t for record in history.records], default=1.0)
    return min([*starts, *first]), max([*last, *ends])


def _moments(history: History, scale: Scale) -> tuple[list[Moment], int]:
    """The lines for injects, heals and recovery, and the number of text lines they need above the lanes."""
    marks = [(act.t, str(act), "act") for act in acts(history)]
    after = history.steady(SteadyCheckPoint.AFTER)
    if after and after[1].ok:
        marks.append((after[0], "steady again", "steady"))
    lines: list[Line] = []
    moments = []
    for t, text, kind in sorted(marks):
        x, width = scale(t), width_of(text) + 8
        is_left = x + width > WIDTH
        start, end = (x - width, x) if is_left else (x, x + width)
        # a text that would overlap with another one moves down a line
        level = next((number for number, line in enumerate(lines) if line.take(start, end)), len(lines))
        if level == len(lines) < _MOST_LEVELS:
            lines.append(Line([(start, end)]))
        shown = text if level < len(lines) else ""
        moments.append(Moment(x, _AXIS + _LEVEL * min(level, len(lines)), shown, kind, is_left))
    return moments, len(lines)
