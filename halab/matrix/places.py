"""Where the labs of a matrix are played: on this host, or on others (see the package `hosts`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from halab.campaign import play as campaigns
from halab.campaign.outcome import CampaignOutcome, CampaignRun
from halab.campaign.plan import PlannedRun
from halab.campaign.play import CampaignOptions
from halab.campaign.temporary_campaign import play_on
from halab.clock import RealClock
from halab.lifecycle.lab import open_file
from halab.lifecycle.temporary_lab import LabDeps
from halab.matrix import lab_process
from halab.matrix.lab_process import EndedLab, EndedRun, LabWork, Listener
from halab.progress import Progress

_OPTIONS = CampaignOptions(ends_hanging=True)


@dataclass(frozen=True)
class LabOrders:
    """A lab, and what is still to be played on it. `seed` is that of the matrix.

    `fingerprints` are those of the cells in the plan, by the names of the cells.
    """

    lab: str
    file: Path
    runs: tuple[PlannedRun, ...]
    seed: int
    fingerprints: Mapping[str, str]


class Places(Protocol):
    """Where labs are played."""

    @property
    def set_aside(self) -> Mapping[str, str]:
        """The hosts that get no more labs, and why."""

    def play_all(self, orders: Sequence[LabOrders], listener: Listener) -> bool:
        """Play all labs, and return whether the user has interrupted them. No lab is left."""


@dataclass(frozen=True)
class ThisHost:
    """Labs on this host, so many at once. `labelled` shows the progress of one of several labs."""

    at_once: int
    shown: Progress
    labelled: Callable[[str], Progress]
    lab_deps: Callable[[Path], LabDeps]

    @property
    def set_aside(self) -> Mapping[str, str]:
        """This host plays what it can."""
        return {}

    def play_all(self, orders: Sequence[LabOrders], listener: Listener) -> bool:
        at_once = max(1, min(self.at_once, len(orders)))
        works = [self._work(each, is_alone=at_once == 1) for each in orders]
        return lab_process.play_all(works, listener, at_once=at_once)

    def _work(self, orders: LabOrders, *, is_alone: bool) -> LabWork:
        def play(tell: Callable[[EndedRun], None]) -> EndedLab:
            shown = self.shown if is_alone else self.labelled(orders.lab)
            return play_lab(orders, shown, self.lab_deps, tell)

        return LabWork(orders.lab, play)


def play_lab(
    orders: LabOrders,
    shown: Progress,
    lab_deps: Callable[[Path], LabDeps],
    tell: Callable[[EndedRun], None],
) -> EndedLab:
    """Build a lab, play its runs, and remove it. `tell` gets every run that came to its end."""
    lab_dir, begun = open_file(orders.file), RealClock().now()

    def on_run(run: CampaignRun) -> None:
        tell(EndedRun(str(run.planned), run.planned.seed, run.folder, run.result, run.is_over_limit))

    def play() -> CampaignOutcome:
        return campaigns.play(lab_dir, orders.runs, shown, _OPTIONS, seed=orders.seed, on_run=on_run)

    played = play_on(lab_dir, orders.lab, shown, lab_deps(orders.file), play)
    outcome = played.outcome
    return EndedLab(
        why=played.why,
        was_interrupted=played.was_interrupted,
        built_seconds=RealClock().now() - begun - outcome.seconds if outcome else None,
        repairs=tuple(map(str, outcome.repairs)) if outcome else (),
    )
