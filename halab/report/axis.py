"""The time axis of a drawing: seconds to places, and room for words beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

WIDTH = 1200
LEFT = 260
RIGHT = 24
# Of a character of the page's 12 px text, about: DejaVu Sans, the widest that a browser may take, has 7.2.
CHARACTER = 7.3
# At this resolution a lane of any number of samples is a few hundred bars at most.
_COLUMNS = 900
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_TICKS = 14


@dataclass(frozen=True)
class Bar:
    """`kind` is a class of the page's style; a thin one is as it should be, and steps back."""

    x: float
    width: float
    kind: str
    tip: str = ""
    is_thin: bool = False


@dataclass(frozen=True)
class Label:
    """`is_above`: over the bars of its lane, else on their height."""

    x: float
    text: str
    anchor: str = "middle"
    kind: str = ""
    is_above: bool = False


@dataclass(frozen=True)
class Span:
    """A time in which something was the same. `value` is what the bar says, where there is room."""

    start: float
    end: float
    kind: str
    value: str = ""


@dataclass(frozen=True)
class Strip:
    """A lane before it has its place. What is quiet may be folded: nothing happened in it."""

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
    """Seconds of a run to the drawing's width, with some room before `first` and after `last`."""

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
        step = next((each for each in _STEPS if span / each <= _MOST_TICKS), _STEPS[-1])
        t = math.ceil(self.start / step) * step
        while t <= self.end:
            yield Label(self(t), f"{t}s" if span < 600 else f"{t // 60}:{t % 60:02d}")
            t += step

    def merged(self, spans: Sequence[Span], louder: Callable[[Span, Span], bool]) -> Iterator[Span]:
        """Neighbours that say the same as one, and where several share a column, the loudest of them."""
        second = (self.end - self.start) / _COLUMNS
        columns: list[Span | None] = [None] * (_COLUMNS + 1)
        for span in spans:
            first = self._column(span.start, second)
            last = max(first, self._column(span.end, second) - 1)
            for number in range(first, last + 1):
                there = columns[number]
                if there is None or louder(span, there):
                    columns[number] = span
        place = 0
        for says, group in groupby(columns, key=lambda span: (span.kind, span.value) if span else None):
            length = len(list(group))
            if says is not None:
                start = self.start + place * second
                yield Span(start, start + length * second, *says)
            place += length

    def _column(self, t: float, second: float) -> int:
        return min(_COLUMNS, max(0, math.floor((t - self.start) / second)))


def width_of(text: str) -> float:
    return len(text) * CHARACTER


@dataclass
class Line:
    """A line of text that words are put on, as long as there is room for them."""

    taken: list[tuple[float, float]] = field(default_factory=list)

    def take(self, start: float, end: float) -> bool:
        """Whether there was room, which is taken now."""
        free = all(end <= low or start >= high for low, high in self.taken)
        if free:
            self.taken.append((start, end))
        return free


def placed(wanted: Iterable[Label], *, most: int) -> list[Label]:
    """Labels above a lane, the first ones first: what finds no room is left out, as the lane still shows it."""
    line = Line()
    found: list[Label] = []
    for each in wanted:
        label = inside(each)
        start, end = extent(label)
        if len(found) < most and line.take(start - 4, end + 4):
            found.append(label)
    return sorted(found, key=lambda label: label.x)


def inside(label: Label) -> Label:
    """The same label, moved so far that none of it stands outside of the drawing."""
    start, end = extent(label)
    shift = max(0.0, LEFT - start) - max(0.0, end - WIDTH)
    return Label(round(label.x + shift, 1), label.text, label.anchor, label.kind, label.is_above)


def extent(label: Label) -> tuple[float, float]:
    width = width_of(label.text)
    start = label.x - {"start": 0.0, "middle": width / 2, "end": width}[label.anchor]
    return start, start + width
