"""`halab watch`: show a lab live, beside a run or a fault injected by hand. It takes no lock and changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halab.cli.console import echo
from halab.cli.options import file_option, lab_dir_of
from halab.config.probe import ProbeName

if TYPE_CHECKING:
    from halab.cli.live_view import LiveScreen
    from halab.clock import Clock
    from halab.scenario.watch.live import Live

# Four frames a second look live, and are few enough for a terminal over SSH.
_FRAME_SECONDS = 0.25
_LINE_SECONDS = 5.0
# By then every probe has answered and the power state of every machine is known.
_FIRST_LINE_SECONDS = 1.5
# Samples go to a temporary folder, about 20 kB per second. After this time, halab starts a new file.
_SAMPLES_FILE_SECONDS = 3600.0

Show = Callable[["Live", float], None]


@click.command("watch")
@file_option
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this many seconds.")
@click.option(
    "--writes",
    is_flag=True,
    help="Also run the probes that write, in a namespace of their own that is removed at the end.",
)
@click.option(
    "--probe",
    "names",
    type=click.Choice([str(name) for name in ProbeName]),
    metavar="NAME",
    multiple=True,
    help="Also run this probe, such as serializable-read (repeatable).",
)
def watch_command(file: Path, seconds: float | None, writes: bool, names: tuple[str, ...]) -> None:
    """Watch the lab live: machines, leaders, backends and the probes of the last minute.

    Press Ctrl-C to stop. You can use `halab run` or `halab inject` in another terminal at the same time: `halab watch`
    does not lock the lab and, without --writes, changes nothing. Without a terminal it prints every change, and a
    summary every 5 s.

    \b
    Example:
      halab watch
      halab watch --seconds 30 --writes
      halab watch --writes --probe service --probe pod-starts
    """
    from halab.cli import Interrupted, streams
    from halab.cli.live_view import LiveScreen
    from halab.clock import RealClock
    from halab.lifecycle import lab as labs
    from halab.scenario.watch.live import Live
    from halab.scenario.watch.watcher import watching

    extra = [name for name in ProbeName if name in names]
    lab_dir = lab_dir_of(file)
    lab = labs.existing(lab_dir)
    live, view, frames = Live(), LiveScreen(lab, datetime.now()), Frames(RealClock(), seconds)
    try:
        with on_screen(view) if _has_screen() else in_lines(view) as show:
            while not frames.over:
                with watching(lab_dir, lab, frames.origin, writes=writes, extra=extra) as refresh:
                    for t in frames.of_one_samples_file():
                        refresh(live)
                        show(live, t)
                        if not streams.has_reader():
                            return
    except Interrupted:
        raise
    except KeyboardInterrupt:
        # Ctrl-C is the normal way to stop the view
        echo(err=True)


class Frames:
    """The moments at which to draw, in seconds since the view began.

    The view ends `seconds` after its first frame. The objects that probes need are made before that frame.
    """

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self.origin = clock.now()
        self._first: float | None = None

    @property
    def over(self) -> bool:
        if self._seconds is None or self._first is None:
            return False
        return self._now >= self._first + self._seconds

    def of_one_samples_file(self) -> Iterator[float]:
        """The frames until the view ends or needs a new samples file."""
        self._first = self._now if self._first is None else self._first
        file_ends = self._now + _SAMPLES_FILE_SECONDS
        while not self.over and self._now < file_ends:
            yield self._now
            self._clock.sleep(_FRAME_SECONDS)

    @property
    def _now(self) -> float:
        return self._clock.now() - self.origin


@contextmanager
def on_screen(view: LiveScreen) -> Iterator[Show]:
    """Draw in place. The last frame stays on the terminal."""
    from rich.console import Console
    from rich.live import Live as Drawing

    from halab.cli.live_view import screen

    console = Console(highlight=False)
    with Drawing(console=console, auto_refresh=False, vertical_overflow="crop") as drawing:

        def show(live: Live, t: float) -> None:
            drawing.update(screen(view, live, t, console.width, console.height), refresh=True)

        yield show


@contextmanager
def in_lines(view: LiveScreen) -> Iterator[Show]:
    """Print a line for every change, and a summary every 5 s."""
    from halab.cli.live_view import change_line, summary

    seen = 0
    due: float | None = None

    def show(live: Live, t: float) -> None:
        nonlocal seen, due
        due = t + _FIRST_LINE_SECONDS if due is None else due
        seen, changes = live.changes_after(seen)
        for change in changes:
            echo(change_line(view, change))
        if t >= due:
            echo(summary(view, live, t))
            due = t + _LINE_SECONDS

    yield show


def _has_screen() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
