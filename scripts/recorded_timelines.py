"""Pictures of recorded runs: the timelines that their reports draw. Part of the site."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from halab import templates
from halab.config.twin import Verdict
from halab.errors import HalabError
from halab.report import recorded_runs
from halab.report.drawing import draw
from halab.report.page import legend
from halab.scenario.record.folder import Meta, RunFolder
from halab.scenario.verdict.verdict import judge

log = logging.getLogger("mkdocs.hooks.recorded_timelines")


@dataclass(frozen=True)
class Picture:
    """The timeline of a run as SVG, with the name of its file, and what it shows."""

    file: str
    title: str
    svg: str


@dataclass(frozen=True)
class Timelines:
    """Recorded runs, the newest first."""

    runs: Sequence[tuple[Meta, RunFolder]]

    @classmethod
    def of(cls, folders: Sequence[Path]) -> Timelines:
        """The runs in these folders and below. Raises BadUsage for a folder without runs."""
        runs = list(_readable(recorded_runs.find(folders)))
        return cls(sorted(runs, key=lambda each: each[0].started, reverse=True))

    def of_scenario(self, name: str, verdict: Verdict = Verdict.PASS) -> Iterator[Picture]:
        """The newest run of a scenario with this verdict, and the newest of its losing twin that lost as expected."""
        for is_twin in (False, True):
            for meta, run in self.runs:
                if (meta.scenario, meta.is_twin, meta.is_game_day) == (name, is_twin, False):
                    picture = _picture(meta, run, verdict)
                    if picture:
                        yield picture
                        break


def _readable(folders: Sequence[Path]) -> Iterator[tuple[Meta, RunFolder]]:
    """Yield the runs in these folders; those that cannot be read are left out."""
    for folder in folders:
        try:
            run = RunFolder.existing(folder)
            yield run.read_meta(), run
        except (HalabError, OSError) as error:
            log.info("no picture of %s: %s", folder, error)


def _picture(meta: Meta, run: RunFolder, verdict: Verdict) -> Picture | None:
    """None for an unexpected verdict, and for a run that cannot be read."""
    try:
        evidence = run.read()
    except (HalabError, OSError) as error:
        log.info("no picture of %s: %s", run.path, error)
        return None
    result = judge(evidence)
    if result.verdict is not (evidence.scenario.twin.verdict if meta.is_twin else verdict):
        return None
    who = "The losing twin" if meta.is_twin else "The scenario"
    place = f"behind {meta.load_balancer}, Kubernetes {meta.kubernetes}, {meta.provider_in_words}"
    title = f"{who}, {place}: {result.verdict}"
    drawing = draw(evidence, result).main
    svg = templates.page("timeline.svg", drawing=drawing, title=title, legend=legend(drawing))
    return Picture(f"{meta.scenario}{'-twin' if meta.is_twin else ''}.svg", title, svg)
