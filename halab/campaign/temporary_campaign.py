"""A campaign on a lab that is built for it and removed afterwards, whatever ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from halab.campaign.outcome import CampaignOutcome
from halab.errors import HalabError
from halab.lifecycle.lab import LabDir
from halab.lifecycle.temporary_lab import LabDeps, removed_afterwards
from halab.progress import Progress


@dataclass(frozen=True)
class TemporaryCampaign:
    """What took place on the lab. `why` says why runs did not take place; empty if all did."""

    outcome: CampaignOutcome | None
    why: str
    was_interrupted: bool


def play_on(
    lab_dir: LabDir, name: str, shown: Progress, deps: LabDeps, play: Callable[[], CampaignOutcome]
) -> TemporaryCampaign:
    """Build a lab, play a campaign on it, and remove the lab. `name` is the name of the lab in messages.

    An error ends only this campaign: the caller continues with other labs.
    """
    outcome = None
    why, was_interrupted = "", False
    try:
        with removed_afterwards(lab_dir, shown, deps, keep=False):
            deps.up(lab_dir, shown)
            outcome = play()
    except KeyboardInterrupt:
        why, was_interrupted = "interrupted", True
    except HalabError as error:
        why = error.message
        shown.say("\n".join(filter(None, (f"{name}: {error.message}", error.hint))))
    if outcome:
        was_interrupted = was_interrupted or outcome.was_interrupted
        why = why or (outcome.error.message if outcome.error else "")
    return TemporaryCampaign(outcome, why, was_interrupted)
