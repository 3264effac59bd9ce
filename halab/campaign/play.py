"""Playing scenarios one after another, judging each as soon as it has ended, on a lab that is mended in between."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime

from halab.campaign.outcome import CampaignOutcome, CampaignRun, Repair
from halab.campaign.plan import PlannedRun, minutes
from halab.clock import RealClock
from halab.errors import HalabError, HostProblem, afterwards
from halab.lifecycle.lab import LabDir
from halab.printable import one_line
from halab.progress import Progress
from halab.report.render import render
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import repair, session
from halab.scenario.run.duration import longest_seconds
from halab.scenario.run.session import Session
from halab.scenario.verdict.result import Result


@dataclass(frozen=True)
class CampaignOptions:
    """How a campaign goes on. `proving` expects of each run what its twin promises, not a pass."""

    fail_fast: bool = False
    keep: bool = False
    proving: bool = False


@dataclass(frozen=True)
class CampaignDeps:
    """The ways to play, judge and mend; tests bring their own."""

    opened: Callable[[LabDir, Progress, int], AbstractContextManager[Session]]
    render: Callable[[RunFolder], Result]
    damage: Callable[[RunFolder], str]
    healed: Callable[[Session], list[str]]
    mend: Callable[[Session], tuple[list[str], str]]
    rebuild: Callable[[LabDir, Progress], str]


REAL = CampaignDeps(
    opened=lambda place, progress, seed: session.opened(place, progress, seed=seed),
    render=render,
    damage=repair.damage,
    healed=repair.healed,
    mend=repair.mend,
    rebuild=repair.rebuild,
)


def play(
    place: LabDir,
    planned: Sequence[PlannedRun],
    progress: Progress,
    manner: CampaignOptions,
    *,
    seed: int,
    ended: Callable[[CampaignRun], None] = lambda run: None,
    ways: CampaignDeps = REAL,
) -> CampaignOutcome:
    """Play a campaign to its end. Every run that was begun is healed and has a report, whatever ended it.

    `ended` is told of each run as soon as it has its report. Raises what keeps the first run from being begun: a lab
    that is not up, that is in use, with a fault open.
    """
    begun = RealClock().now()
    played = CampaignOutcome(seed, planned, datetime.now().astimezone())
    campaign = _Campaign(place, planned, progress, manner, ended, ways, played)
    try:
        campaign.play()
    except KeyboardInterrupt:
        played.was_interrupted, played.why_left = True, "interrupted"
    except (HalabError, OSError) as error:
        problem = problem_of(error)
        if not played.runs:
            raise problem from error
        played.ended_by, played.why_left = problem, one_line(problem.message)
    played.left = list(campaign.left)
    played.seconds = RealClock().now() - begun
    return played


class _Campaign:
    """`left` are the turns still to come; `is_over` once none of them will be played."""

    def __init__(
        self,
        place: LabDir,
        planned: Sequence[PlannedRun],
        progress: Progress,
        manner: CampaignOptions,
        ended: Callable[[CampaignRun], None],
        ways: CampaignDeps,
        played: CampaignOutcome,
    ) -> None:
        self._place = place
        self._count = len(planned)
        self._progress = progress
        self._manner = manner
        self._ended = ended
        self._ways = ways
        self.played = played
        self.left = deque(planned)
        self.is_over = False

    def play(self) -> None:
        while self.left and not self.is_over:
            with self._ways.opened(self._place, self._progress, self.left[0].seed) as held:
                beyond_mending = self._play_while_sound(held)
            # the lab is not held any more: it goes down and comes up
            if beyond_mending:
                self._rebuild(beyond_mending)

    def _play_while_sound(self, held: Session) -> Repair | None:
        """Play until nothing is left; earlier where only a rebuild helps, and then with what was tried."""
        while self.left and not self.is_over:
            turn = self.left.popleft()
            run = self._play_one(replace(held, seed=turn.seed), turn)
            if self._manner.fail_fast and not turn.went_well(run.result, proving=self._manner.proving):
                self._stop(f"{turn} did not end as it should")
            broken = self._ways.damage(run.folder)
            if broken and self._manner.keep:
                self._stop(f"{turn} left the lab broken, and it is kept so: {broken}")
            if not broken or not self.left or self.is_over:
                continue
            self._progress.say(f"{turn} left the lab broken: {broken}")
            done, lacking = self._ways.mend(held)
            mended = Repair(turn, one_line(broken), tuple(done))
            if lacking:
                return replace(mended, why=one_line(lacking))
            self._note(mended)
        return None

    def _play_one(self, held: Session, turn: PlannedRun) -> CampaignRun:
        limit = longest_seconds(turn.script.scenario, held.lab.patience)
        number = f"{self._count - len(self.left)} of {self._count}: " if self._count > 1 else ""
        self._progress.say(f"{number}scenario {turn}, seed {turn.seed}, at most {minutes(limit)}")
        folder = held.prepare(turn.script, twin=turn.twin)
        # whatever ends it: what it did to the lab is undone, and what it saw is in its report
        with afterwards(lambda: self._judge(turn, folder)), afterwards(lambda: self._heal(held)):
            held.play(turn.script, folder, twin=turn.twin)
        return self.played.runs[-1]

    def _heal(self, held: Session) -> None:
        if not self._manner.keep:
            self._ways.healed(held)

    def _judge(self, turn: PlannedRun, folder: RunFolder) -> None:
        run = CampaignRun(turn, folder, self._ways.render(folder))
        self.played.runs.append(run)
        self._ended(run)

    def _stop(self, why: str) -> None:
        self.is_over = True
        self.played.why_left = why
        self._progress.say(f"{why}; not played: {len(self.left)}" if self.left else why)

    def _rebuild(self, tried: Repair) -> None:
        self._progress.say(f"the lab is made anew: {tried.why}")
        done = self._ways.rebuild(self._place, self._progress)
        self._note(replace(tried, done=(*tried.done, done)))

    def _note(self, done: Repair) -> None:
        self._progress.say(f"repaired {done}")
        self.played.repairs.append(done)


def problem_of(error: HalabError | OSError) -> HalabError:
    if isinstance(error, HalabError):
        return error
    where = f": {error.filename}" if error.filename else ""
    return HostProblem(f"{(error.strerror or str(error)).lower()}{where}", hint="is the disk full?")
