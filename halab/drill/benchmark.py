"""Drills as a benchmark: a program solves them instead of a person, several times, and is graded in the same way."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from halab import files, process
from halab.config.twin import Verdict
from halab.drill import attempt as attempts
from halab.drill import briefing, library, play
from halab.drill.attempt import Attempt, Outcome
from halab.drill.play import REAL_DEPS, DrillDeps, View
from halab.errors import BadUsage, HalabError, TimedOut, Unable
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.progress import Progress


@dataclass(frozen=True)
class Response:
    """What a responder did. `code` is its exit code, None if it was ended after its time limit."""

    code: int | None
    seconds: float
    log: Path


@dataclass(frozen=True)
class ResponderAttempt:
    """One attempt of a responder at a drill. `reason` is why it has no outcome; empty if it has one."""

    drill: str
    seed: int
    response: Response | None = None
    outcome: Outcome | None = None
    reason: str = ""
    skipped: bool = False

    @property
    def verdict(self) -> Verdict:
        """An attempt that the responder ended without a grade fails. One that could not be made is an error."""
        if self.skipped:
            return Verdict.SKIP
        if self.outcome is None:
            return Verdict.ERROR
        return self.outcome.verdict or Verdict.FAIL


@dataclass(frozen=True)
class Score:
    """The attempts at one drill. The medians are of the attempts that have an outcome; None if none has one."""

    drill: str
    attempts: int
    passed: int
    errors: int
    median_score: float | None
    median_seconds: float | None


@dataclass(frozen=True)
class Responder:
    """A command that is run in the folder of the lab for each attempt. It gets the briefing as JSON on its input."""

    command: Sequence[str]
    limit_seconds: float

    def require(self, lab_dir: LabDir) -> None:
        """Raise BadUsage if there is no such program: the lab would be restored and broken for nothing."""
        program = self.command[0]
        # with a slash, it is a path in the folder in which it runs
        place = str(_folder(lab_dir) / program) if "/" in program else program
        if shutil.which(place) is None:
            raise BadUsage(
                f"no such program: {program}",
                hint="a responder is an executable file in the folder of the lab (./NAME), or a program in PATH",
            )

    def respond(self, lab_dir: LabDir, briefing: str, log: Path) -> Response:
        """Run the command to its end, or to its time limit. What it prints is in the log."""
        begun = time.monotonic()
        code: int | None = None
        with suppress(TimedOut):
            # with all variables: the responder may need a key of its own
            code = process.run(
                self.command,
                timeout_seconds=self.limit_seconds,
                input=briefing,
                cwd=_folder(lab_dir),
                env=os.environ,
                log=log,
                check=False,
            ).code
        return Response(code, time.monotonic() - begun, log)


Respond = Callable[[LabDir, str, Path], Response]


def benchmark(
    lab_dir: LabDir,
    names: Sequence[str],
    respond: Respond,
    progress: Progress,
    *,
    count: int = 1,
    seed: int | None = None,
    deps: DrillDeps = REAL_DEPS,
) -> Iterator[ResponderAttempt]:
    """Let a responder attempt each drill `count` times, each time on a restored lab. The attempts are in the history.

    With `seed`, the attempts at a drill have the seeds from that one on; without it, random ones.

    Raises BadUsage or BadFile before the first attempt if a drill cannot be read, LabProblem if the lab is not up, and
    the error of a lab that cannot be restored.
    """
    known_names = [library.find(name).name for name in names]
    labs.existing(lab_dir)
    for name, known_name in zip(names, known_names, strict=True):
        for number in range(count):
            used = secrets.randbelow(10**6) if seed is None else seed + number
            try:
                view = play.start(lab_dir, name, progress, seed=used, deps=deps)
            except Unable as error:
                yield ResponderAttempt(known_name, used, reason=error.message, skipped=True)
                break
            except HalabError as error:
                # the lab is not restored, or the drill of somebody else is running
                if lab_dir.work.has_drill:
                    raise
                yield ResponderAttempt(known_name, used, reason=error.message)
                continue
            log = _log(lab_dir, view.attempt)
            with progress.step(f"attempt {number + 1} of {count} at {known_name}, seed {used}") as step:
                response = respond(lab_dir, _briefing(lab_dir, view), log)
                step.done(
                    "stopped after its time limit"
                    if response.code is None
                    else f"exit code {response.code}",
                    is_good=response.code == 0,
                )
            yield _graded(lab_dir, view.attempt, response, progress, deps)


def scores(attempted: Sequence[ResponderAttempt]) -> list[Score]:
    """The attempts of each drill together, in the order of the drills. Skipped drills are left out."""
    drills = dict.fromkeys(each.drill for each in attempted if not each.skipped)
    return [_score(drill, [each for each in attempted if each.drill == drill]) for drill in drills]


def _score(drill: str, made: Sequence[ResponderAttempt]) -> Score:
    outcomes = [each.outcome for each in made if each.outcome]
    return Score(
        drill,
        attempts=len(made),
        passed=sum(each.verdict is Verdict.PASS for each in made),
        errors=sum(each.verdict is Verdict.ERROR for each in made),
        median_score=statistics.median(outcome.score for outcome in outcomes) if outcomes else None,
        median_seconds=statistics.median(outcome.seconds for outcome in outcomes) if outcomes else None,
    )


def _briefing(lab_dir: LabDir, view: View) -> str:
    return json.dumps(briefing.as_data(view, play.text_filler(lab_dir, view.attempt)), indent=2) + "\n"


def _folder(lab_dir: LabDir) -> Path:
    return lab_dir.file.absolute().parent


def _log(lab_dir: LabDir, attempt: Attempt) -> Path:
    folder = lab_dir.work.runs / "responders"
    with files.writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / f"{attempt.started:%Y%m%d-%H%M%S}-{attempt.drill}.log"


def _graded(
    lab_dir: LabDir, attempt: Attempt, response: Response, progress: Progress, deps: DrillDeps
) -> ResponderAttempt:
    """Grade an attempt as it is now, unless the responder has ended it itself; then restore the lab."""
    reason = ""
    if _is_current(lab_dir, attempt):
        try:
            play.check(lab_dir, progress, is_final=True, deps=deps)
        except HalabError as error:
            reason = error.message
        play.restore(lab_dir, progress, deps=deps)
    ended = [each for each in attempts.history(lab_dir.work) if _is_of(each, attempt)]
    outcome = ended[-1] if ended else None
    return ResponderAttempt(
        attempt.drill, attempt.seed, response, outcome, reason if outcome is None else ""
    )


def _is_current(lab_dir: LabDir, attempt: Attempt) -> bool:
    return lab_dir.work.has_drill and attempts.load(lab_dir.work).started == attempt.started


def _is_of(outcome: Outcome, attempt: Attempt) -> bool:
    # the history has whole seconds
    begun = attempt.started.replace(microsecond=0)
    return (outcome.drill, outcome.seed, outcome.started) == (attempt.drill, attempt.seed, begun)


def as_data(each: ResponderAttempt) -> Mapping[str, object]:
    """An attempt for programs."""
    response = each.response
    return {
        "drill": each.drill,
        "seed": each.seed,
        "verdict": str(each.verdict),
        "reason": each.reason,
        "responder": {
            "code": response.code,
            "timed_out": response.code is None,
            "seconds": round(response.seconds, 1),
            "log": str(response.log),
        }
        if response
        else None,
        "outcome": attempts.as_data(each.outcome) if each.outcome else None,
    }
