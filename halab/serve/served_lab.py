"""One lab that is served: a thread watches it, and publishes its boards whenever something has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from halab.drill import attempt as attempts
from halab.drill import play
from halab.drill.attempt import Attempt, Phase
from halab.drill.briefing import FillText
from halab.drill.play import View
from halab.errors import HalabError, LabProblem
from halab.gameday.seen import DaySeen
from halab.gameday.spectator import Spectator
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.printable import brief
from halab.scenario.record.folder import RunFolder
from halab.scenario.watch import watcher
from halab.scenario.watch.live import Live
from halab.serve import board, day_board
from halab.serve.board import WINDOW_SECONDS, Board, Seen
from halab.serve.jobs import Job, Jobs
from halab.topology.lab import Lab

# How often the boards are made, and how long a lab that cannot be watched is left alone.
_TICK_SECONDS = 1.0
_RETRY_SECONDS = 5.0
# The samples of a sampler are in one file (about 10 kB per second); then halab begins another.
_SAMPLER_SECONDS = 3600.0

Watching = Callable[[LabDir, Lab, float], AbstractContextManager[watcher.Refresh]]


def _require_up(lab_dir: LabDir) -> None:
    """Raise LabProblem if the lab went down since it is watched."""
    labs.require_not_kept(lab_dir)
    if not lab_dir.work.kubeconfig.exists():
        raise LabProblem(f"the lab {lab_dir.name} is not up", hint="run `halab up`")


@dataclass(frozen=True)
class ServeDeps:
    """What a served lab asks. Tests pass their own functions."""

    open_file: Callable[[Path], LabDir] = labs.open_file
    existing: Callable[[LabDir], Lab] = labs.existing
    require_up: Callable[[LabDir], None] = _require_up
    watching: Watching = watcher.watching
    attempt: Callable[[LabDir], View] = partial(play.status, include_ended=True)
    hint: Callable[[LabDir], object] = play.hint
    answer: Callable[[LabDir, str, str], tuple[View, bool]] = play.answer
    text_filler: Callable[[LabDir, Attempt], FillText] = play.text_filler
    jobs: Callable[[Callable[[], None]], Jobs] = Jobs
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    monotonic: Callable[[], float] = time.monotonic
    # waits for the next tick, or until the event is set
    pause: Callable[[threading.Event], object] = lambda event: event.wait(_TICK_SECONDS)


REAL_DEPS = ServeDeps()


@dataclass(frozen=True)
class Boards:
    """What the pages of a lab show. `version` grows with every change."""

    version: int
    learner: Board
    hidden: Board
    # the run of a game day that is over
    report: RunFolder | None = None


class _Stopped(Exception):
    """The view ends."""


@dataclass
class _Drill:
    """The attempt as it was read last. `stamp` tells whether its file has changed since."""

    stamp: object = None
    view: View | None = None
    is_changing: str = ""
    problem: str = ""
    shown: Board | None = None
    hidden: Board = field(default_factory=dict)


class ServedLab:
    """`name` is the name of the lab, also while it is down. `say` prints a line on the terminal."""

    def __init__(self, file: Path, say: Callable[[str], None], deps: ServeDeps = REAL_DEPS) -> None:
        self._file = file
        self._say = say
        self.deps = deps
        self._lock = threading.Lock()
        # hints and answers of several browsers come one after another
        self.acting = threading.Lock()
        self._wake = threading.Event()
        self._is_stopping = False
        self._drill = _Drill()
        self._problem = self._day_problem = ""
        self._seen: Seen | None = None
        self._thread = threading.Thread(target=self.run, name="watch", daemon=True)
        # a wrong lab file is reported before anything starts
        self.lab_dir = deps.open_file(file)
        self.name = self.lab_dir.name
        self._day = Spectator(self.lab_dir.work)
        self.jobs = deps.jobs(self.wake)
        self.boards = Boards(0, {}, {})
        self._publish()

    @property
    def machines(self) -> list[str]:
        """The names of its machines; none until it is watched."""
        return [machine.name for machine in self._seen.lab.machines] if self._seen else []

    @property
    def folder(self) -> Path:
        """The folder of its lab file."""
        return self.lab_dir.file.resolve().parent

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Look at the lab now and not only at the next tick."""
        self._wake.set()

    def stop(self) -> None:
        """End the thread, the sampler, and a command that runs. Say what that command leaves to do."""
        self._is_stopping = True
        self.wake()
        before = self.jobs.last
        if before and before.is_running:
            self._say(f"{self.name}: interrupting: {before.what}")
        self.jobs.stop()
        job = self.jobs.last
        if before and before.is_running and job and job.code not in (0, 1):
            self._say(f"{self.name}: {job.what} was interrupted\n{job.output}".rstrip())
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Watch the lab until `stop`; the page and the terminal show what goes wrong."""
        while not self._is_stopping:
            try:
                self._watch()
                continue
            except _Stopped:
                return
            except HalabError as error:
                problem = error.with_hint
            except Exception as error:
                # the page says so, and the next try may work
                problem = f"internal error: {type(error).__name__}: {error}"
            self._seen = None
            self._tell(brief(problem))
            retry = self.deps.monotonic() + _RETRY_SECONDS
            while not self._is_stopping and self.deps.monotonic() < retry:
                self._publish()
                self._pause()

    def _watch(self) -> None:
        """Watch the lab until it goes down, the sampler dies, or its file of samples is long."""
        deps = self.deps
        self.lab_dir = lab_dir = deps.open_file(self._file)
        lab = deps.existing(lab_dir)
        deps.require_up(lab_dir)
        # a view that only gets a new sampler goes on
        before = self._seen
        origin = deps.monotonic() - before.t if before else deps.monotonic()
        live, began = (before.live, before.began) if before else (Live(WINDOW_SECONDS), deps.now())
        with deps.watching(lab_dir, lab, origin) as refresh:
            self._tell("")
            until = deps.monotonic() + _SAMPLER_SECONDS
            while deps.monotonic() < until:
                refresh(live)
                if self._has_changed_the_lab():
                    # nothing of how the lab was prepared is on the page of a drill
                    live = Live(WINDOW_SECONDS)
                self._seen = Seen(lab, live, deps.monotonic() - origin, began)
                self._publish()
                self._pause()
                if self._is_stopping:
                    raise _Stopped
                deps.require_up(lab_dir)

    def _has_changed_the_lab(self) -> bool:
        """True at the first look after halab has prepared or restored the lab."""
        was_changing = self._drill.is_changing
        self._read_drill()
        return bool(was_changing) and not self._drill.is_changing

    def _pause(self) -> None:
        self.deps.pause(self._wake)
        self._wake.clear()

    def _tell(self, problem: str) -> None:
        """Say on the terminal what has changed."""
        if problem == self._problem and problem:
            return
        if problem:
            self._say(f"{self.name}: {problem}")
        elif self._problem:
            self._say(f"{self.name}: the live view is on again")
        self._problem = problem

    def _publish(self) -> None:
        self._read_drill()
        now = self.deps.now()
        day = self._look_at_day(now)
        drill, seen = self._drill, self._seen
        job = self.jobs.last
        shown = drill.shown
        if shown and drill.view and drill.view.outcome is None:
            shown = {**shown, "seconds": round(drill.view.attempt.seconds(now), 1)}
        learner: Board = {
            "lab": self.name,
            "about": _about(seen.lab) if seen else "",
            "time": f"{now:%H:%M:%S}",
            "problem": self._problem,
            # what happens to the lab before a drill begins would reveal its faults
            "changing": drill.is_changing,
            "live": board.live_board(seen) if seen and not drill.is_changing else None,
            "drill": shown,
            "drill_problem": drill.problem,
            "day": day_board.for_learner(day) if day else None,
            "job": _for_learner(job),
        }
        hidden: Board = {
            "drill": None,
            **drill.hidden,
            "job": _for_trainer(job),
            "is_on": bool(drill.stamp),
            "day": day_board.for_trainer(day) if day else None,
            "day_problem": self._day_problem,
        }
        with self._lock:
            before = self.boards
            if (learner, hidden) != (before.learner, before.hidden):
                report = day_board.report_of(day)
                self.boards = Boards(before.version + 1, learner, hidden, report)

    def _look_at_day(self, now: datetime) -> DaySeen | None:
        """The game day that runs or is over. Of drills and game days, only the last one is shown."""
        if self._drill.stamp:
            self._day.forget()
        self._day_problem = ""
        try:
            day = self._day.look(now)
        except HalabError as error:
            self._day_problem = brief(error.with_hint)
            return None
        if day and not self._drill.stamp:
            self._drill = _Drill()
        return day

    def _read_drill(self) -> None:
        """Read the attempt if its file has changed. The debrief of the last one stays until the next begins."""
        try:
            status = self.lab_dir.work.attempt.stat()
            stamp: object = (status.st_ino, status.st_mtime_ns)
        except OSError:
            stamp = None
        if stamp == self._drill.stamp:
            return
        before = self._drill
        ended = before.shown if before.view and before.view.outcome else None
        self._drill = _Drill(stamp)
        if stamp is None:
            self._drill = _Drill(None, before.view if ended else None, shown=ended)
            return
        try:
            attempt = attempts.load(self.lab_dir.work)
            if attempt.phase is Phase.STARTING:
                self._drill.is_changing = "The lab is being prepared for a drill"
                return
            view = self.deps.attempt(self.lab_dir)
            fill = self.deps.text_filler(self.lab_dir, view.attempt)
            self._drill = _Drill(
                stamp,
                view,
                "The lab is being restored" if view.outcome else "",
                shown=board.drill_board(view, fill),
                hidden=board.hidden_board(view, fill),
            )
        except HalabError as error:
            self._drill.problem = brief(error.with_hint)


def _about(lab: Lab) -> str:
    return f"Kubernetes {lab.release.kubernetes}, {lab.load_balancer.kind}, {lab.provider}"


def _for_learner(job: Job | None) -> dict[str, Any] | None:
    """A job as a learner may see it: not what a trainer does, and only the errors of its output."""
    if job is None or (job.is_secret and not job.is_running):
        return None
    if job.is_secret:
        return {"what": "The trainer works on the lab", "is_running": True, "output": "", "failed": False}
    seen = _for_trainer(job)
    if seen and not job.is_running:
        lines = job.output.splitlines()
        seen["output"] = "\n".join(line for line in lines if line.startswith(("error: ", "hint: ")))
    return seen


def _for_trainer(job: Job | None) -> dict[str, Any] | None:
    if job is None:
        return None
    # 1 is a verdict: not yet, or failed
    failed = job.code not in (None, 0, 1)
    return {"what": job.what, "is_running": job.is_running, "output": job.output, "failed": failed}
