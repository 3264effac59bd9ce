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
from halab.matrix import lab_process, proofs
from halab.matrix.lab_process import EndedLab, EndedRun, LabWork, Listener
from halab.matrix.plan import Planned, PlannedProof
from halab.progress import Progress
from halab.scenario.run import repair

_OPTIONS = CampaignOptions(ends_hanging=True)


@dataclass(frozen=True)
class LabOrders:
    """A lab, and what is still to be played on it. `seed` is that of the matrix.

    `fingerprints` are those of the cells in the plan, by the names of the cells.
    """

    lab: str
    file: Path
    runs: tuple[Planned, ...]
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
    """Build a lab, play its runs and then its proofs of drills, and remove it.

    `tell` gets every run that came to its end.
    """
    lab_dir, clock = open_file(orders.file), RealClock()
    begun = clock.now()
    runs = [planned for planned in orders.runs if isinstance(planned, PlannedRun)]
    drills = [planned for planned in orders.runs if isinstance(planned, PlannedProof)]
    repairs: list[str] = []

    def on_run(run: CampaignRun) -> None:
        tell(EndedRun(str(run.planned), run.planned.seed, run.folder, run.result, run.is_over_limit))

    def play() -> CampaignOutcome:
        outcome = campaigns.play(lab_dir, runs, shown, _OPTIONS, seed=orders.seed, on_run=on_run)
        if not outcome.error and not outcome.was_interrupted:
            proofs_begun = clock.now()
            try:
                is_broken = bool(drills) and _is_broken(outcome)
                repairs.extend(proofs.play(lab_dir, drills, shown, tell, is_broken=is_broken))
            except KeyboardInterrupt:
                outcome.was_interrupted = True
            outcome.seconds += clock.now() - proofs_begun
        return outcome

    played = play_on(lab_dir, orders.lab, shown, lab_deps(orders.file), play)
    outcome = played.outcome
    return EndedLab(
        why=played.why,
        was_interrupted=played.was_interrupted,
        built_seconds=clock.now() - begun - outcome.seconds if outcome else None,
        repairs=(*map(str, outcome.repairs), *repairs) if outcome else (),
    )


def _is_broken(outcome: CampaignOutcome) -> bool:
    """Whether the last run has left the lab broken: nothing was repaired after it."""
    if not outcome.runs:
        return False
    last = outcome.runs[-1]
    return last.is_over_limit or bool(repair.damage(last.folder))
