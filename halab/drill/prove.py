"""Prove a drill on a lab: after the break its tasks are open, every wrong attempt fails, and the solution passes."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from halab.config.drill import Act
from halab.config.twin import Verdict
from halab.drill import attempt as attempts
from halab.drill import lab_actions, library, play
from halab.drill.attempt import Attempt
from halab.drill.grade import Grade, TaskState
from halab.drill.library import DrillScript
from halab.drill.play import REAL_DEPS, DrillDeps, View
from halab.errors import CommandFailed, HalabError, Unable
from halab.lifecycle import access
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.progress import Progress

NOTHING, SOLUTION = "do nothing", "solve"
# How many times a solution is tried, each time on a restored lab.
TIMES = 2
_UNSEEN = "halab saw in no wrong attempt what `fail_if` names: {}"


@dataclass(frozen=True)
class ProofAttempt:
    """One attempt of an author, and what came of it. `problem` is why it is not as it must be; empty if it is.

    `verdict` is on the drill: fail if the attempt shows that the drill is not good, error if something that decides
    could not be checked.
    """

    name: str
    grade: Grade
    verdict: Verdict = Verdict.PASS
    problem: str = ""

    @property
    def promised(self) -> str:
        """What it must come to."""
        return {NOTHING: "no task is done after the break", SOLUTION: "it passes"}.get(
            self.name, "it does not pass"
        )


@dataclass(frozen=True)
class Proof:
    """The trials of a drill with one seed. `reason` is why they did not come to an end; empty if they did."""

    drill: str
    seed: int
    verdict: Verdict
    trials: tuple[ProofAttempt, ...] = ()
    reason: str = ""


def _act(lab_dir: LabDir, attempt: Attempt, acts: Sequence[Act], progress: Progress) -> None:
    lab = labs.existing(lab_dir)
    with access.api(lab_dir, lab) as api, progress.step("run the scripts of the attempt"):
        lab_actions.run_scripts(access.site(lab_dir, lab), api, attempt.chosen, acts, attempt.seed)


Acting = Callable[[LabDir, Attempt, Sequence[Act], Progress], None]


def prove_all(
    lab_dir: LabDir,
    names: Sequence[str],
    progress: Progress,
    *,
    seed: int | None = None,
    times: int = 1,
    deps: DrillDeps = REAL_DEPS,
    act: Acting = _act,
) -> Iterator[Proof]:
    """Prove drills one after another on one lab. A drill that cannot run, or that breaks, does not stop the others.

    The solution is tried `times` times. A drill with parts is proved with several seeds, until every part was drawn;
    with `seed`, only with that.

    Raises BadUsage or BadFile before the first one if a drill cannot be read, LabProblem if the lab is not up, and the
    error of a lab that cannot be restored.
    """
    scripts = [library.find(name) for name in names]
    labs.require_no_drill(lab_dir)
    labs.existing(lab_dir)
    prover = _Prover(lab_dir, progress, deps, act)
    for name, script, used in _planned(names, scripts, seed):
        trials: list[ProofAttempt] = []
        try:
            lab_actions.require_kind(labs.existing(lab_dir), script.drill)
            for trial in prover.trials(name, used, times):
                trials.append(trial)
        except Unable as error:
            yield Proof(script.name, used, Verdict.SKIP, tuple(trials), error.message)
        except HalabError as error:
            yield Proof(script.name, used, Verdict.ERROR, tuple(trials), error.message)
        else:
            yield _proof(script, used, trials)
    prover.restore()


def _planned(
    names: Sequence[str], scripts: Sequence[DrillScript], seed: int | None
) -> Iterator[tuple[str, DrillScript, int]]:
    for name, script in zip(names, scripts, strict=True):
        if seed is not None:
            yield name, script, seed
        elif script.drill.parts:
            yield from ((name, script, each) for each in library.covering_seeds(name))
        else:
            yield name, script, secrets.randbelow(10**6)


def _proof(script: DrillScript, seed: int, trials: Sequence[ProofAttempt]) -> Proof:
    """The proof of a drill whose trials have come to an end."""
    drill, verdict, reason = script.drill, _worst(trials), ""
    seen = {name for trial in trials for name in trial.grade.violated}
    unseen = [name for name in drill.fail_if if name not in seen]
    # a seed draws only some of the attempts of a drill with parts
    if verdict is Verdict.PASS and unseen and not drill.parts:
        verdict, reason = Verdict.FAIL, _UNSEEN.format(", ".join(unseen))
    return Proof(script.name, seed, verdict, tuple(trials), reason)


def _worst(trials: Sequence[ProofAttempt]) -> Verdict:
    verdicts = {trial.verdict for trial in trials}
    return next((each for each in (Verdict.FAIL, Verdict.ERROR) if each in verdicts), Verdict.PASS)


@dataclass
class _Prover:
    """Plays trials one after another on one lab. `last` is an attempt whose lab is not restored yet.

    That attempt stays on record until the next one restores the lab: if halab is killed between two drills,
    `halab drill reset` restores it.
    """

    lab_dir: LabDir
    progress: Progress
    deps: DrillDeps
    act: Acting
    last: Attempt | None = None

    def trials(self, name: str, seed: int, times: int) -> Iterator[ProofAttempt]:
        """Yield the trials of a drill, each on a lab that was restored and broken again.

        Doing nothing comes first. The next attempt goes on from there, because nothing was done.
        """
        drill = library.find(name, seed).drill
        view: View | None = None
        try:
            for trial in [NOTHING, *drill.wrong, *[SOLUTION] * times]:
                view = view or self._start(name, seed)
                judged, view = _tried(self.lab_dir, trial, view, self.progress, self.deps, self.act)
                self.last = view.attempt
                yield judged
                if trial != NOTHING or view.outcome:
                    view = None
        except HalabError:
            self.restore()
            raise

    def restore(self) -> None:
        work, self.last = self.lab_dir.work, None
        # an attempt that is not of a proof belongs to a learner, who began after somebody had reset the proof
        if work.has_drill and attempts.load(work).is_proof:
            play.restore(self.lab_dir, self.progress, deps=self.deps)

    def _start(self, name: str, seed: int) -> View:
        after, self.last = self.last, None
        return play.start(
            self.lab_dir, name, self.progress, seed=seed, is_proof=True, after=after, deps=self.deps
        )


def _tried(
    lab_dir: LabDir, trial: str, view: View, progress: Progress, deps: DrillDeps, act: Acting
) -> tuple[ProofAttempt, View]:
    drill, script_error = view.drill, ""
    acts = drill.solve if trial == SOLUTION else drill.wrong.get(trial, ())
    try:
        if acts:
            act(lab_dir, view.attempt, acts, progress)
    except CommandFailed as error:
        # a wrong attempt may fail in any way
        script_error = error.message if trial == SOLUTION else ""
    if trial != NOTHING:
        # a learner who tries something wrong may still know the answers
        for name, task in drill.questions.items():
            play.answer(lab_dir, name, (task.answer or ("",))[0], deps=deps)
    view = play.check(lab_dir, progress, deps=deps)
    verdict, problem = _judged(trial, view.grade)
    if script_error:
        verdict, problem = Verdict.FAIL, "; ".join(filter(None, (script_error, problem)))
    return ProofAttempt(trial, view.grade, verdict, problem), view


def _judged(trial: str, result: Grade) -> tuple[Verdict, str]:
    """The verdict on the drill, and the problem; what was seen wins over what could not be checked."""
    done = result.of(TaskState.DONE)
    names = ", ".join(task.name for task in done)
    violated = "; ".join(f"{name}: {result.violations[name].seen}" for name in result.violated)
    unlooked = [f"{name} ({result.violations[name].seen})" for name in result.unknown_violations]
    if trial in (NOTHING, SOLUTION) and violated:
        return Verdict.FAIL, f"it fails at once: {violated}"
    if trial == SOLUTION and len(done) < len(result.tasks):
        left = [task for task in result.tasks if task not in done]
        is_known = any(task.state in (TaskState.NOT_YET, TaskState.CLOSED) for task in left)
        listed = "; ".join(f"{task.name} ({task.state}: {task.seen})" for task in left)
        return Verdict.FAIL if is_known else Verdict.ERROR, f"not done: {listed}"
    if trial == SOLUTION and unlooked:
        return Verdict.ERROR, f"it might fail, because these could not be checked: {'; '.join(unlooked)}"
    if trial == NOTHING and done:
        return Verdict.FAIL, f"done without any repair: {names}"
    if trial not in (NOTHING, SOLUTION) and result.verdict is Verdict.PASS:
        return Verdict.FAIL, f"it passes with {result.score} %: {names} done"
    if trial != SOLUTION and result.verdict is Verdict.ERROR:
        unknown = [f"{task.name} ({task.seen})" for task in result.of(TaskState.UNCHECKED)]
        problem = f"it might pass, because these could not be checked: {'; '.join([*unknown, *unlooked])}"
        return Verdict.ERROR, problem
    return Verdict.PASS, ""
