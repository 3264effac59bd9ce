"""The time axis of a drawing: seconds to x coordinates, and space for labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

WIDTH = 1200
LEFT = 260
RIGHT = 24
# The approximate width of a character in the page's 12 px text. DejaVu Sans, the widest likely font, has 7.2.
CHARACTER = 7.3
# The resolution of a lane: however many samples it has, it is drawn with a few hundred bars at most.
_COLUMNS = 900
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_TICKS = 14


@dataclass(frozen=True)
class Bar:
    """`kind` is a CSS class of the page. A thin bar shows the normal state, in the background."""

    x: float
    width: float
    kind: str
    tip: str = ""
    is_thin: bool = False


@dataclass(frozen=True)
class Label:
    """A text in a lane, above its bars if `is_above`, else at their height."""

    x: float
    text: str
    anchor: str = "middle"
    kind: str = ""
    is_above: bool = False


@dataclass(frozen=True)
class Span:
    """A time with the same state. `value` is the text on the bar, if it fits."""

    start: float
    end: float
    kind: str
    value: str = ""


@dataclass(frozen=True)
class Strip:
    """A lane without its y coordinate. If it `is_quiet`, nothing happened in it, and it may be folded."""

    what: str
    note: str
    bars: Sequence[Bar]
    labels: Sequence[Label] = ()
    machine: str | None = None
    is_quiet: bool = False

    @property
    def name(self) -> str:
        return f"{self.what} {self.machine}" if self.machine else self.what


class Scale:
    """Convert seconds of a run to x coordinates, with a margin before `first` and after `last`."""

    def __init__(self, first: float, last: float) -> None:
        self.first, self.last = first, last
        self.start = max(0.0, first - 0.5)
        self.end = max(last + 0.01 * (last - first), self.start + 1)

    def __call__(self, t: float) -> float:
        share = (min(max(t, self.start), self.end) - self.start) / (self.end - self.start)
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def bar(
        self,
        start: float,
        end: float,
        kind: str,
        tip: str = "",
        *,
        at_least: float = 1.5,
        thin: bool = False,
    ) -> Bar:
        x = min(self(start), WIDTH - RIGHT - at_least)
        return Bar(x, round(max(self(end) - x, at_least), 1), kind, tip, thin)

    def ticks(self) -> Iterator[Label]:
        span = self.end - self.start
        step = next((seconds for seconds in _STEPS if span / seconds <= _MOST_TICKS), _STEPS[-1])
        t = math.ceil(self.start / step) * step
        while t <= self.end:
            yield Label(self(t), f"{t}s" if span < 600 else f"{t // 60}:{t % 60:02d}")
            t += step

    def merged(self, spans: Sequence[Span], outranks: Callable[[Span, Span], bool]) -> Iterator[Span]:
        """Join neighbours of the same state. If several share a column, the one that outranks the others is drawn."""
        second = (self.end - self.start) / _COLUMNS
        columns: list[Span | None] = [None] * (_COLUMNS + 1)
        for span in spans:
            first = self._column(span.start, second)
            last = max(first, self._column(span.end, second) - 1)
            for number in range(first, last + 1):
                current = columns[number]
                if current is None or outranks(span, current):
                    columns[number] = span
        column = 0
        for state, group in groupby(columns, key=lambda span: (span.kind, span.value) if span else None):
            length = len(list(group))
            if state is not None:
                start = self.start + column * second
                yield Span(start, start + length * second, *state)
            column += length

    def _column(self, t: float, second: float) -> int:
        return min(_COLUMNS, max(0, math.floor((t - self.start) / second)))


def width_of(text: str) -> float:
    return len(text) * CHARACTER


@dataclass
class Line:
    """A line of text, and the intervals of x that texts already occupy."""

    taken: list[tuple[float, float]] = field(default_factory=list)

    def take(self, start: float, end: float) -> bool:
        """Occupy an interval, and return True, if it is free."""
        free = all(end <= low or start >= high for low, high in self.taken)
        if free:
            self.taken.append((start, end))
        return free


def place_labels(wanted: Iterable[Label], *, most: int) -> list[Label]:
    """Place at most `most` labels above a lane, in the order of importance. Labels without space are left out."""
    line = Line()
    placed: list[Label] = []
    for unplaced in wanted:
        label = inside(unplaced)
        start, end = extent(label)
        if len(placed) < most and line.take(start - 4, end + 4):
            placed.append(label)
    return sorted(placed, key=lambda label: label.x)


def inside(label: Label) -> Label:
    """The same label, moved so that it does not reach outside of the drawing."""
    start, end = extent(label)
    shift = max(0.0, LEFT - start) - max(0.0, end - WIDTH)
    return Label(round(label.x + shift, 1), label.text, label.anchor, label.kind, label.is_above)


def extent(label: Label) -> tuple[float, float]:
    width = width_of(label.text)
    start = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
    return start, start + width
