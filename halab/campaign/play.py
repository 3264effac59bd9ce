"""Play scenarios one after another: judge every run when it ends, and repair the lab between runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime

from halab import files
from halab.campaign.outcome import CampaignOutcome, CampaignRun, Repair
from halab.campaign.plan import PlannedRun
from halab.campaign.time_limit import HANGING, OverLimit, ended_after
from halab.clock import RealClock
from halab.config.quantities import format_minutes
from halab.errors import HalabError, HostProblem, afterwards
from halab.lifecycle.lab import LabDir
from halab.printable import one_line
from halab.progress import Progress
from halab.report.render import render
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import repair
from halab.scenario.run.duration import longest_seconds
from halab.scenario.run.session import Session, opened
from halab.scenario.verdict.result import Result

_HUNG, _UNHEALED = "the run did not end by itself", "healing did not end by itself"
_ENOUGH = "the runs before it were enough"
# What a run did not heal is healed after it, for as long as a run that was ended may take for it.
_HEALING_SECONDS = 600.0


@dataclass(frozen=True)
class CampaignOptions:
    """`fail_fast` stops at the first unexpected verdict. `keep` stops at a broken lab and leaves it as it is.

    With `proving` the expected verdict of a run is the one its losing twin promises, else a pass. With `ends_hanging`,
    a run that takes twice as long as the sum of its limits is ended, as is healing after a run that takes ten minutes.
    Then the lab is rebuilt. `is_enough` is asked after each run whether the runs so far say enough: then no others take
    place. `following` is asked after the last planned run for one more.
    """

    fail_fast: bool = False
    keep: bool = False
    proving: bool = False
    ends_hanging: bool = False
    is_enough: Callable[[Sequence[CampaignRun]], bool] = lambda runs: False
    following: Callable[[Sequence[CampaignRun]], PlannedRun | None] = lambda runs: None


@dataclass(frozen=True)
class CampaignDeps:
    """What a campaign calls to play, judge and repair. Tests pass their own functions."""

    open_session: Callable[[LabDir, Progress, int], AbstractContextManager[Session]]
    render: Callable[[RunFolder], Result]
    find_damage: Callable[[RunFolder], str]
    heal: Callable[[Session], list[str]]
    mend: Callable[[Session], tuple[list[str], str]]
    rebuild: Callable[[LabDir, Progress], str]
    ended_after: Callable[[float, str], AbstractContextManager[None]] = ended_after


REAL_DEPS = CampaignDeps(
    open_session=lambda lab_dir, progress, seed: opened(lab_dir, progress, seed=seed),
    render=render,
    find_damage=repair.damage,
    heal=repair.healed,
    mend=repair.mend,
    rebuild=repair.rebuild,
)


def play(
    lab_dir: LabDir,
    planned: Sequence[PlannedRun],
    progress: Progress,
    options: CampaignOptions,
    *,
    seed: int,
    on_run: Callable[[CampaignRun], None] = lambda run: None,
    deps: CampaignDeps = REAL_DEPS,
) -> CampaignOutcome:
    """Play a campaign to its end. Every run that started is healed and has a report, whatever ended it.

    `on_run` gets every run as soon as its report is written. Raises HalabError if the first run cannot start: the lab
    is not up or is in use, or an earlier fault is still open.
    """
    begun = RealClock().now()
    outcome = CampaignOutcome(seed, list(planned), datetime.now().astimezone())
    campaign = _RunningCampaign(lab_dir, planned, progress, options, on_run, deps, outcome)
    try:
        campaign.play()
    except KeyboardInterrupt:
        outcome.was_interrupted, outcome.why_not_run = True, "interrupted"
    except (HalabError, OSError) as error:
        problem = as_halab_error(error)
        if not outcome.runs:
            raise problem from error
        outcome.error, outcome.why_not_run = problem, one_line(problem.message)
    outcome.not_run = list(campaign.queue)
    outcome.seconds = RealClock().now() - begun
    return outcome


class _RunningCampaign:
    """`queue` holds the runs to come. Once `is_stopped`, none of them takes place.

    `_is_unhealed`: healing after the last run was ended, because it took too long.
    """

    def __init__(
        self,
        lab_dir: LabDir,
        planned: Sequence[PlannedRun],
        progress: Progress,
        options: CampaignOptions,
        on_run: Callable[[CampaignRun], None],
        deps: CampaignDeps,
        outcome: CampaignOutcome,
    ) -> None:
        self._lab_dir = lab_dir
        self._count = len(planned)
        self._progress = progress
        self._options = options
        self._on_run = on_run
        self._deps = deps
        self._outcome = outcome
        self.queue = deque(planned)
        self.is_stopped = False
        self._is_unhealed = False

    def play(self) -> None:
        while self.queue and not self.is_stopped:
            with self._deps.open_session(self._lab_dir, self._progress, self._outcome.seed) as session:
                failed_repair = self._play_until_rebuild(session)
            # the session has released its lock on the lab, so that `down` and `up` can take it
            if failed_repair:
                self._rebuild(failed_repair)

    def _play_until_rebuild(self, session: Session) -> Repair | None:
        """Play the queue. Return early, with the repair that was tried, if only a rebuild can help the lab."""
        while self.queue and not self.is_stopped:
            planned = self.queue.popleft()
            run = self._play_one(replace(session, seed=planned.seed), planned)
            if self._options.fail_fast and not planned.is_as_expected(
                run.result, proving=self._options.proving
            ):
                self._stop(f"unexpected verdict of {planned}: {run.result.verdict}")
            if self._options.is_enough(self._outcome.runs):
                self.is_stopped, self._outcome.why_not_run = True, _ENOUGH
            self._add_following()
            hung = _HUNG if run.is_over_limit else _UNHEALED if self._is_unhealed else ""
            damage = hung or self._deps.find_damage(run.folder)
            if damage and self._options.keep:
                self._stop(f"{planned} left the lab broken, and --keep prevents the repair: {damage}")
            if not damage or not self.queue or self.is_stopped:
                continue
            self._progress.say(f"{planned} left the lab broken: {damage}")
            if hung:
                # what hung may hang again
                return Repair(planned, damage, ())
            actions, remaining = self._deps.mend(session)
            done = Repair(planned, one_line(damage), tuple(actions))
            if remaining:
                return replace(done, why=one_line(remaining))
            self._record(done)
        return None

    def _add_following(self) -> None:
        if not self.queue and not self.is_stopped and (more := self._options.following(self._outcome.runs)):
            self.queue.append(more)
            self._outcome.planned.append(more)

    def _play_one(self, session: Session, planned: PlannedRun) -> CampaignRun:
        limit = longest_seconds(planned.script.scenario, session.lab.patience)
        number = f"{self._count - len(self.queue)} of {self._count}: " if self._count > 1 else ""
        self._progress.say(
            f"{number}scenario {planned}, seed {planned.seed}, up to about {format_minutes(limit)}"
        )
        folder = session.prepare(planned.script, twin=planned.twin)
        was_ended: list[OverLimit] = []
        # whatever ends the run, its faults are healed and its report is written
        with (
            afterwards(lambda: self._judge(planned, folder, is_over_limit=bool(was_ended))),
            afterwards(lambda: self._heal(session)),
        ):
            try:
                with self._limited(limit * HANGING):
                    session.play(planned.script, folder, twin=planned.twin)
            except OverLimit as error:
                self._progress.say(f"{planned} was ended: {error}")
                was_ended.append(error)
        return self._outcome.runs[-1]

    def _limited(self, seconds: float) -> AbstractContextManager[None]:
        if not self._options.ends_hanging:
            return nullcontext()
        return self._deps.ended_after(seconds, f"the time limit of {format_minutes(seconds)}")

    def _heal(self, session: Session) -> None:
        self._is_unhealed = False
        if self._options.keep:
            return
        try:
            with self._limited(_HEALING_SECONDS):
                self._deps.heal(session)
        except OverLimit as error:
            self._progress.say(f"healing was ended: {error}")
            self._is_unhealed = True

    def _judge(self, planned: PlannedRun, folder: RunFolder, *, is_over_limit: bool) -> None:
        run = CampaignRun(planned, folder, self._deps.render(folder), is_over_limit)
        self._outcome.runs.append(run)
        self._on_run(run)

    def _stop(self, why: str) -> None:
        self.is_stopped = True
        self._outcome.why_not_run = why
        self._progress.say(f"{why}; not run: {len(self.queue)}" if self.queue else why)

    def _rebuild(self, tried: Repair) -> None:
        self._progress.say(f"rebuild the lab: {tried.why}")
        action = self._deps.rebuild(self._lab_dir, self._progress)
        self._record(replace(tried, actions=(*tried.actions, action)))

    def _record(self, done: Repair) -> None:
        self._progress.say(f"repaired the lab {done}")
        self._outcome.repairs.append(done)


def as_halab_error(error: HalabError | OSError) -> HalabError:
    if isinstance(error, HalabError):
        return error
    path = f": {error.filename}" if error.filename else ""
    return HostProblem(f"{(error.strerror or str(error)).lower()}{path}", hint=files.write_hint(error))
