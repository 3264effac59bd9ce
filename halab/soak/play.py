"""Play the rounds of a soak, one after another, on a lab that is up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from halab.campaign import play as campaigns
from halab.campaign.outcome import CampaignOutcome, CampaignRun
from halab.campaign.plan import PlannedRun
from halab.campaign.play import REAL_DEPS, CampaignDeps, CampaignOptions
from halab.clock import Clock, Deadline, RealClock
from halab.config.twin import Verdict
from halab.errors import HostProblem
from halab.images import linearizability_checker
from halab.lifecycle.lab import LabDir
from halab.progress import Progress
from halab.soak.draw import Choices, script_of
from halab.soak.menu import acts_of, groups_of

# A lab on which round after round ends in an error has a problem that no further round tells more about.
_MOST_ERRORS = 3


def choices_of(
    lab_dir: LabDir,
    progress: Progress,
    faults: Collection[str] = (),
    *,
    seed: int,
    most_faults: int,
    deps: CampaignDeps = REAL_DEPS,
    obstacle: Callable[[], HostProblem | None] = linearizability_checker.obstacle,
) -> Choices:
    """What the rounds on this lab are drawn from. `faults` are the names of the only faults to use.

    Raises BadUsage or LabProblem if the lab cannot lose a machine, or cannot take a fault.
    """
    with deps.open_session(lab_dir, progress, seed) as session:
        groups = groups_of(session.lab)
        acts = acts_of(groups, session.capabilities.lacking, faults)
    if problem := obstacle():
        progress.say(f"reads and writes are not checked for linearizability: {problem.message}")
    else:
        # before the first round: it takes half a minute
        linearizability_checker.program(progress)
    return Choices(groups, acts, most_faults, linearizable=problem is None)


def play(
    lab_dir: LabDir,
    choices: Choices,
    progress: Progress,
    *,
    seed: int,
    seconds: float,
    on_run: Callable[[CampaignRun], None],
    clock: Clock | None = None,
    play_campaign: Callable[..., CampaignOutcome] | None = None,
) -> CampaignOutcome:
    """Play rounds until the time is over, until one fails, or until three in a row end in an error.

    A round that has begun is played to its end. Raises HalabError if the first one cannot start.
    """
    deadline = Deadline.after(clock or RealClock(), seconds)

    def following(runs: Sequence[CampaignRun]) -> PlannedRun | None:
        verdicts = [run.result.verdict for run in runs]
        if deadline.expired or verdicts[-1] is Verdict.FAIL:
            return None
        if len(verdicts) >= _MOST_ERRORS and Verdict.PASS not in verdicts[-_MOST_ERRORS:]:
            # a round that is skipped takes no time: without this, thousands of them would take place
            progress.say(f"{_MOST_ERRORS} rounds in a row ended in an error or were skipped: the soak ends")
            return None
        return planned_round(seed, len(runs) + 1, choices)

    options = CampaignOptions(ends_hanging=True, following=following)
    first = [planned_round(seed, 1, choices)]
    return (play_campaign or campaigns.play)(lab_dir, first, progress, options, seed=seed, on_run=on_run)


def planned_round(seed: int, number: int, choices: Choices) -> PlannedRun:
    """A round and the seed with which it is played. The first one has the number 1."""
    return PlannedRun(script_of(seed, number, choices), seed + number)
