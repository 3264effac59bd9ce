"""Output on the terminal: progress on standard error, tables and data on standard output."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from halab.printable import one_line, printable
from halab.progress import Progress, Quiet, Step

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

_WAITING_LINE_SECONDS = 30
# Columns that a live line needs for the spinner, the time and the limit.
_LIVE_COLUMNS = 26
# The mark of a step that ended, by `is_good`.
_MARKS = {True: "✓", False: "✗", None: "?"}
# What printing may raise. rich raises SystemExit for a broken pipe.
_DROPPED = (Exception, SystemExit)


def progress(label: str = "") -> Progress:
    """Live lines on a terminal, plain lines elsewhere. An error while printing never stops the work.

    With a label, lines that begin with it: several processes may print them at the same time.
    """
    is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not label
    return _Harmless(_Live() if is_live else _Plain(label))


def echo(text: object = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text that may contain data from files or machines, with control characters escaped."""
    click.echo(printable(str(text)), err=err, nl=nl)


def echo_raw(text: object, *, nl: bool = True, color: bool | None = None) -> None:
    """Print data for programs, or text with halab's own colours, to standard output without escaping.

    Colours are removed if standard output is not a terminal, unless `color` is true.
    """
    click.echo(str(text), nl=nl, color=color)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns to standard output, as plain text that `grep` and `awk` can read."""
    lines = [[printable(str(cell)) for cell in row] for row in [columns, *rows]]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def duration(seconds: float) -> str:
    """`3m20s`, as in scenario files."""
    # imported only here: `halab --help` needs none of it
    from halab.config.quantities import format_duration

    return format_duration(seconds)


def _limit(seconds: float | None) -> str:
    return "" if seconds is None else f" (≤ {duration(seconds)})"


class _Harmless:
    """Drops errors of the progress display: healing a fault must not depend on a terminal."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown

    def say(self, text: str) -> None:
        with suppress(*_DROPPED):
            self._shown.say(text)

    @contextmanager
    def step(self, what: str, *, limit_seconds: float | None = None) -> Iterator[Step]:
        drawn = self._shown.step(what, limit_seconds=limit_seconds)
        try:
            step: Step = _HarmlessStep(drawn.__enter__())
        except _DROPPED:
            yield Quiet()
            return
        try:
            yield step
        except BaseException as error:
            with suppress(*_DROPPED):
                drawn.__exit__(type(error), error, error.__traceback__)
            raise
        with suppress(*_DROPPED):
            drawn.__exit__(None, None, None)


class _HarmlessStep:
    def __init__(self, shown: Step) -> None:
        self._shown = shown

    def note(self, text: str) -> None:
        with suppress(*_DROPPED):
            self._shown.note(text)

    def done(self, text: str, *, is_good: bool | None = True) -> None:
        with suppress(*_DROPPED):
            self._shown.done(text, is_good=is_good)


class _Noted:
    """A step that remembers its last note and its outcome."""

    def __init__(self) -> None:
        self.last = ""
        self.outcome = ""
        self.mark = _MARKS[True]

    def note(self, text: str) -> None:
        self.last = text

    def done(self, text: str, *, is_good: bool | None = True) -> None:
        self.outcome = text
        self.mark = _MARKS[is_good]


class _Plain:
    """Prints a line when a step begins, a line when it ends, and a reminder every 30 s in between."""

    def __init__(self, label: str = "") -> None:
        self._label = f"{label}: " if label else ""
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        with self._lock:
            echo(f"{self._label}{text}", err=True)

    @contextmanager
    def step(self, what: str, *, limit_seconds: float | None = None) -> Iterator[Step]:
        self.say(f"… {what}{_limit(limit_seconds)}")
        begun = time.monotonic()
        noted = _Noted()
        ended = threading.Event()

        def remind() -> None:
            while not ended.wait(_WAITING_LINE_SECONDS):
                seen = f": {noted.last}" if noted.last else ""
                self.say(f"… {what}, for {duration(time.monotonic() - begun)}{seen}")

        threading.Thread(target=remind, daemon=True).start()
        try:
            yield noted
        except BaseException:
            self.say(f"{_MARKS[False]} {what}, after {duration(time.monotonic() - begun)}")
            raise
        finally:
            ended.set()
        outcome = f": {noted.outcome}" if noted.outcome else ""
        self.say(f"{noted.mark} {what} {duration(time.monotonic() - begun)}{outcome}")


class _Live:
    """Draws running steps in place; finished steps scroll up as lines."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._running = 0

    def say(self, text: str) -> None:
        with self._lock:
            if self._bars:
                self._bars.console.print(printable(text), markup=False, highlight=False)
            else:
                echo(text, err=True)

    @contextmanager
    def step(self, what: str, *, limit_seconds: float | None = None) -> Iterator[Step]:
        bars = self._enter()
        task = bars.add_task(printable(what), total=None, limit=_limit(limit_seconds), note="")
        begun = time.monotonic()

        class Drawn(_Noted):
            def note(self, text: str) -> None:
                # the note gets the rest of the line: the name of the step matters more
                room = max(0, bars.console.width - len(what) - _LIVE_COLUMNS)
                text = one_line(text)
                bars.update(task, note=text if len(text) <= room else text[: max(0, room - 1)] + "…")

        noted = Drawn()
        try:
            yield noted
        except BaseException:
            noted.mark = _MARKS[False]
            raise
        finally:
            bars.remove_task(task)
            outcome = f": {noted.outcome}" if noted.outcome else ""
            self.say(f"{noted.mark} {what} {duration(time.monotonic() - begun)}{outcome}")
            self._leave()

    def _enter(self) -> Bars:
        from rich.console import Console
        from rich.progress import Progress as Bars
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        with self._lock:
            if self._bars is None:
                self._bars = Bars(
                    SpinnerColumn(),
                    TextColumn("{task.description}", markup=False),
                    TimeElapsedColumn(),
                    TextColumn("{task.fields[limit]}  {task.fields[note]}", style="dim", markup=False),
                    console=Console(stderr=True),
                    transient=True,
                )
                self._bars.start()
            self._running += 1
            return self._bars

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1
            if self._running == 0 and self._bars:
                self._bars.stop()
                self._bars = None
