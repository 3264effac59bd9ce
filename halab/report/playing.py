"""Playing scenarios and judging each as soon as it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from halab.lifecycle.lab import Place
from halab.progress import Progress
from halab.report.render import render
from halab.scenario import session
from halab.scenario.folder import RunFolder
from halab.scenario.library import Script
from halab.scenario.result import Result


@dataclass(frozen=True)
class Played:
    """The runs that have a report; of an interrupted command these are not all."""

    runs: list[tuple[RunFolder, Result]]
    was_interrupted: bool


def play(
    place: Place, scripts: Sequence[Script], progress: Progress, *, seed: int | None, twin: bool
) -> Played:
    """Play scenarios one after another. An interrupted one is healed, and has a report as well."""
    runs: list[tuple[RunFolder, Result]] = []
    with session.opened(place, progress, seed=seed) as held:
        for script in scripts:
            progress.say(f"scenario {script.name}{' (its losing twin)' if twin else ''}, seed {held.seed}")
            folder = held.prepare(script, twin=twin)
            was_interrupted = False
            try:
                held.play(script, folder, twin=twin)
            except KeyboardInterrupt:
                was_interrupted = True
            runs.append((folder, render(folder)))
            if was_interrupted:
                return Played(runs, was_interrupted=True)
    return Played(runs, was_interrupted=False)
