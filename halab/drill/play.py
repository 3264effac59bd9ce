"""One attempt at a drill: started, checked, answered, given up, and the lab restored afterwards."""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from halab.config import lab_rules
from halab.config.drill import Drill, Hint, TaskMode, Violation
from halab.config.loading import nearest
from halab.config.placeholders import Part
from halab.config.quantities import format_duration
from halab.drill import attempt as attempts
from halab.drill import lab_actions, library, machine_names, observer, recording, violations
from halab.drill.attempt import Attempt, Ending, Outcome, Phase
from halab.drill.grade import Finding, Grade, Sighting, TaskState, grade, is_among, is_right
from halab.drill.lab_actions import InjectedBreak
from halab.drill.library import DrillScript
from halab.errors import BadFile, BadUsage, Corrupted, HalabError, LabProblem
from halab.faults.targets import part_of
from halab.lifecycle import access, snapshot
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir, Unfinished
from halab.machines.work import Work
from halab.progress import Progress


def _break(lab_dir: LabDir, script: DrillScript, progress: Progress) -> InjectedBreak:
    lab = labs.existing(lab_dir)
    with access.api(lab_dir, lab) as api:
        return lab_actions.inject_break(lab_dir, access.site(lab_dir, lab), api, script, progress)


def _observe(lab_dir: LabDir, drill: Drill, attempt: Attempt, progress: Progress) -> dict[str, Finding]:
    lab = labs.existing(lab_dir)
    with access.api(lab_dir, lab) as api:
        return observer.observe(lab_dir, access.site(lab_dir, lab), api, drill, attempt, progress)


def _look(lab_dir: LabDir, drill: Drill, attempt: Attempt) -> dict[Violation, Sighting]:
    lab = labs.existing(lab_dir)
    with access.api(lab_dir, lab) as api:
        return violations.look(lab_dir, access.site(lab_dir, lab), api, drill, attempt)


@dataclass(frozen=True)
class DrillDeps:
    """What an attempt does to the lab, whose lock is held. Tests pass their own functions."""

    require_way_back: Callable[[LabDir], None] = snapshot.require_after_up
    restore: Callable[[LabDir, Progress], object] = snapshot.reset_locked
    break_lab: Callable[[LabDir, DrillScript, Progress], InjectedBreak] = _break
    observe: Callable[[LabDir, Drill, Attempt, Progress], Mapping[str, Finding]] = _observe
    now: Callable[[], datetime] = lambda: datetime.now().astimezone()
    record: Callable[[LabDir, Attempt, datetime], None] = recording.ensure
    look: Callable[[LabDir, Drill, Attempt], Mapping[Violation, Sighting]] = _look


REAL_DEPS = DrillDeps()


@dataclass(frozen=True)
class View:
    """What a learner may see of an attempt. `outcome` is None while it goes on."""

    attempt: Attempt
    drill: Drill
    grade: Grade
    seconds: float
    outcome: Outcome | None = None

    @property
    def hints(self) -> tuple[Hint, ...]:
        """The hints that were shown, each with the points that it has cost."""
        costs = self.attempt.hint_costs
        shown = self.drill.hints[: len(costs)]
        return tuple(hint.model_copy(update={"cost": cost}) for hint, cost in zip(shown, costs, strict=True))

    @property
    def next_hint(self) -> Hint | None:
        """The hint that is shown next; None if all were shown."""
        return next(iter(self.drill.hints[len(self.attempt.hint_costs) :]), None)


def start(
    lab_dir: LabDir,
    name: str,
    progress: Progress,
    *,
    seed: int | None = None,
    is_proof: bool = False,
    after: Attempt | None = None,
    deps: DrillDeps = REAL_DEPS,
) -> View:
    """Restore the lab, break it, and begin an attempt.

    Attempts of a proof are not in the history. `after`: the previous attempt of the same proof. Its record stays until
    the lab is restored. If the new attempt cannot start, the lab is restored. After Ctrl-C or a kill, `reset` does
    that.
    """
    script = library.find(name, secrets.randbelow(10**6) if seed is None else seed)
    # One lock for the whole start. With two locks, another process could reset the attempt between them, and the break
    # would be injected without a record.
    despite = Unfinished.DRILL if after else Unfinished.NOTHING
    with labs.locked(lab_dir, f"drill start, process {os.getpid()}", despite=despite):
        if after and attempts.load(lab_dir.work).started != after.started:
            labs.require_no_drill(lab_dir)
        lab_actions.require_kind(labs.existing(lab_dir), script.drill)
        deps.require_way_back(lab_dir)
        library.copy_into(lab_dir.work, script)
        path = str(script.path.resolve())
        attempt = Attempt(
            script.name, path, script.drill.title, script.seed, deps.now(),
            check_files=script.checks, is_proof=is_proof,
        )  # fmt: skip
        attempts.save(lab_dir.work, attempt)
        with _undone_on_error(lab_dir, progress, deps):
            recording.forget(lab_dir.work)
            deps.restore(lab_dir, progress)
            broken = deps.break_lab(lab_dir, script, progress)
            attempt = replace(
                attempt,
                phase=Phase.RUNNING,
                chosen=broken.chosen,
                objects=broken.objects,
                identity=broken.identity,
                started=deps.now(),
            )
            attempts.save(lab_dir.work, attempt)
        _record(lab_dir, script.drill, attempt, progress, deps)
        return _view(lab_dir, attempt, deps)


def _record(lab_dir: LabDir, drill: Drill, attempt: Attempt, progress: Progress, deps: DrillDeps) -> None:
    """Let the sampler record what clients see. Without it, the debrief has less to tell, and no write can be lost."""
    if attempt.is_proof and Violation.LOST_WRITE not in drill.fail_if:
        return
    try:
        deps.record(lab_dir, attempt, deps.now())
    except HalabError as error:
        progress.say(f"what clients see during the drill is not recorded: {error.message}")


@contextmanager
def _undone_on_error(lab_dir: LabDir, progress: Progress, deps: DrillDeps) -> Iterator[None]:
    try:
        yield
    except HalabError:
        _restore_locked(lab_dir, progress, deps)
        raise


def status(lab_dir: LabDir, *, include_ended: bool = False, deps: DrillDeps = REAL_DEPS) -> View:
    """Return the attempt with the results of its last check.

    Raises LabProblem if no attempt is running. With `include_ended`, one that has ended is returned with its outcome,
    until the lab is restored.
    """
    attempt = attempts.load(lab_dir.work)
    if attempt.outcome is None or not include_ended:
        attempts.require_running(attempt)
    view = _view(lab_dir, attempt, deps)
    return (
        replace(view, outcome=attempt.outcome, seconds=attempt.outcome.seconds) if attempt.outcome else view
    )


def check(
    lab_dir: LabDir, progress: Progress, *, is_final: bool = False, deps: DrillDeps = REAL_DEPS
) -> View:
    """Check the tasks.

    The attempt ends if all are done, if something happened that fails it, if the time is over, or if it is final.
    """
    with _running(lab_dir, "drill check") as attempt:
        drill = library.copied(lab_dir.work, attempt.seed)
        # after a reboot of the host, no sampler runs
        _record(lab_dir, drill, attempt, progress, deps)
        # the time of the learner: the check itself may take a minute
        seconds = attempt.seconds(deps.now())
        found = deps.observe(lab_dir, drill, attempt, progress)
        sighted = deps.look(lab_dir, drill, attempt) if drill.fail_if else {}
        edges = [name for name, task in drill.tasks.items() if task.mode is TaskMode.EDGE]
        attempt = attempt.checked(found, seconds, sighted, edges)
        view = _viewed(lab_dir, attempt, drill, seconds)
        ending = attempts.ending_of(drill, view.grade, seconds, is_final=is_final)
        if ending is None:
            attempts.save(lab_dir.work, attempt)
            return view
        return _end(lab_dir.work, view, ending)


def answer(lab_dir: LabDir, name: str, text: str, *, deps: DrillDeps = REAL_DEPS) -> tuple[View, bool]:
    """Answer a question. Return the attempt, and True if the answer is right.

    Raises BadUsage, and counts no try, if the task is no question or is answered already, and if the answer is empty or
    was given before.
    """
    with _running(lab_dir, "drill answer") as attempt:
        view = _view(lab_dir, attempt, deps)
        task = view.drill.questions.get(name)
        if task is None:
            known = view.drill.questions
            what = (
                "is not a question: repair the lab, then run `halab drill check`"
                if name in view.drill.tasks
                else "does not exist"
            )
            raise BadUsage(f"the task {name} {what}{nearest(name, known) if known else ''}")
        result = next(result for result in view.grade.tasks if result.name == name)
        if result.state in (TaskState.DONE, TaskState.WAITING):
            raise BadUsage(f"the task {name} is answered already")
        if result.state is TaskState.CLOSED:
            raise BadUsage(f"the task {name} is closed: {result.seen}")
        if not text.strip():
            raise BadUsage("an answer is missing; nothing was counted")
        if is_among(text, attempt.answers.get(name, ())):
            # for example after a double click
            raise BadUsage(f"this answer to {name} was wrong before; it was not counted again")
        right = is_right(task, text)
        attempt = attempt.answered(name, text, view.seconds, is_right=right)
        attempts.save(lab_dir.work, attempt)
        return _view(lab_dir, attempt, deps), right


def hint(lab_dir: LabDir, *, deps: DrillDeps = REAL_DEPS) -> tuple[View, Hint]:
    """Show the next hint, at its cost or from its time on. Raises LabProblem if there is none now."""
    with _running(lab_dir, "drill hint") as attempt:
        view = _view(lab_dir, attempt, deps)
        following = view.next_hint
        if following is None:
            raise LabProblem("there are no more hints", hint="`halab drill give-up` explains the solution")
        price = following.price(view.seconds)
        if price is None and following.after is not None:
            left = math.ceil(following.after - view.seconds)
            raise LabProblem(
                f"the next hint comes in {format_duration(left)}", hint="until then, continue without it"
            )
        attempt = attempt.hinted(price or 0, view.seconds)
        attempts.save(lab_dir.work, attempt)
        view = _view(lab_dir, attempt, deps)
        return view, view.hints[-1]


def give_up(lab_dir: LabDir, *, deps: DrillDeps = REAL_DEPS) -> View:
    """End the attempt with the points of the last check. It fails."""
    with _running(lab_dir, "drill give-up") as attempt:
        return _end(lab_dir.work, _view(lab_dir, attempt, deps), Ending.GAVE_UP)


def reset(lab_dir: LabDir, progress: Progress, *, deps: DrillDeps = REAL_DEPS) -> None:
    """End an attempt in any phase without a grade, and restore the lab.

    An attempt whose files cannot be read is ended too, but is not in the history.
    """
    with _locked_for_restore(lab_dir, "drill reset"):
        try:
            attempt = attempts.load(lab_dir.work)
            view = _view(lab_dir, attempt, deps) if attempt.phase is Phase.RUNNING else None
        except (Corrupted, BadFile, BadUsage) as error:
            progress.say(f"the attempt is not in the history: {error.message}")
            view = None
        if view:
            _end(lab_dir.work, view, Ending.RESET)
        _restore_locked(lab_dir, progress, deps)


def restore(lab_dir: LabDir, progress: Progress, *, deps: DrillDeps = REAL_DEPS) -> None:
    """Restore the lab after an attempt, and forget the attempt."""
    with _locked_for_restore(lab_dir, "drill reset"):
        _restore_locked(lab_dir, progress, deps)


def text_filler(lab_dir: LabDir, attempt: Attempt) -> Callable[[str], str]:
    """Return a function that replaces the placeholders in texts of the drill with the machines of its faults."""

    def fill(text: str) -> str:
        lab = labs.allocated(lab_dir)

        def shown(machine: str, part: Part) -> str:
            return part_of(lab.machine(machine), part)

        return machine_names.filled(text.strip(), attempt, shown)

    return fill


def _locked_for_restore(lab_dir: LabDir, doing: str) -> AbstractContextManager[None]:
    """Lock the lab to restore it, also after a restore or an upgrade (a fault of the break) that was interrupted."""
    despite = Unfinished.RESTORE | Unfinished.UPGRADE | Unfinished.DRILL
    return labs.locked(lab_dir, f"{doing}, process {os.getpid()}", despite=despite)


def _restore_locked(lab_dir: LabDir, progress: Progress, deps: DrillDeps) -> None:
    """Restore the lab, and forget the attempt. The caller holds the lab's lock."""
    recording.stop(lab_dir.work)
    deps.restore(lab_dir, progress)
    # first the file that says that a drill is running
    lab_dir.work.attempt.unlink(missing_ok=True)
    shutil.rmtree(lab_dir.work.drill, ignore_errors=True)


@contextmanager
def _running(lab_dir: LabDir, doing: str) -> Iterator[Attempt]:
    """Lock the lab, and yield the attempt that a learner works on."""
    attempts.load(lab_dir.work)
    with labs.locked(lab_dir, f"{doing}, process {os.getpid()}", despite=Unfinished.DRILL):
        attempt = attempts.load(lab_dir.work)
        attempts.require_running(attempt)
        yield attempt


def _end(work: Work, view: View, ending: Ending) -> View:
    saw = recording.seen(work, view.seconds)
    recording.stop(work)
    outcome = attempts.outcome_of(view.attempt, view.drill, view.grade, ending, view.seconds, saw)
    if not view.attempt.is_proof:
        attempts.record(work, outcome)
    attempts.save(work, replace(view.attempt, phase=Phase.OVER, outcome=outcome))
    return replace(view, outcome=outcome)


def _view(lab_dir: LabDir, attempt: Attempt, deps: DrillDeps) -> View:
    drill = library.copied(lab_dir.work, attempt.seed)
    return _viewed(lab_dir, attempt, drill, attempt.seconds(deps.now()))


def _viewed(lab_dir: LabDir, attempt: Attempt, drill: Drill, seconds: float) -> View:
    hostname = partial(lab_rules.hostname, lab_dir.written)
    drill = machine_names.answered_by_name(drill, attempt, hostname)
    return View(attempt, drill, grade(drill, attempt.found, attempt.effort, attempt.sighted), seconds)
