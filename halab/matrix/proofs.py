"""Prove the drills of a matrix, one after another, on a lab that is up. Each proof has a folder among the runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from halab.campaign.time_limit import HANGING, OverLimit, ended_after
from halab.clock import RealClock
from halab.config.quantities import format_minutes
from halab.config.twin import Verdict
from halab.drill import library, proof_record, prove, recording
from halab.drill import play as attempts
from halab.drill.prove import Proof
from halab.errors import HalabError
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import LabDir
from halab.matrix.lab_process import EndedRun
from halab.matrix.plan import PlannedProof
from halab.printable import one_line
from halab.progress import Progress
from halab.report import proof
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import repair, session
from halab.topology.lab import Lab


@dataclass(frozen=True)
class ProofDeps:
    """What proofs do to the lab. Tests pass their own functions."""

    prove: Callable[[LabDir, PlannedProof, Progress], Iterator[Proof]]
    existing: Callable[[LabDir], Lab]
    rebuild: Callable[[LabDir, Progress], str]
    ended_after: Callable[[float, str], AbstractContextManager[None]] = ended_after


def _prove(lab_dir: LabDir, planned: PlannedProof, shown: Progress) -> Iterator[Proof]:
    # the seed of a drill with parts draws some of them, and all must be proved
    seed = None if planned.drill.drill.parts else planned.seed
    return prove.prove_all(lab_dir, [planned.source], shown, seed=seed, times=prove.TIMES)


def _rebuild(lab_dir: LabDir, shown: Progress) -> str:
    if lab_dir.work.has_drill:
        try:
            attempts.restore(lab_dir, shown)
        except HalabError as error:
            shown.say(f"could not restore the lab after the drill: {error.message}")
        else:
            return "restored the lab after the drill"
    return repair.rebuild(lab_dir, shown)


REAL_DEPS = ProofDeps(_prove, labs.existing, _rebuild)


def play(
    lab_dir: LabDir,
    planned: Sequence[PlannedProof],
    shown: Progress,
    tell: Callable[[EndedRun], None],
    *,
    is_broken: bool = False,
    deps: ProofDeps = REAL_DEPS,
) -> Iterator[str]:
    """Prove drills, and yield how the lab was repaired between them. `tell` gets every proof that came to its end.

    With `is_broken`, the lab is repaired first. Raises HalabError if the lab cannot be repaired.
    """
    for number, each in enumerate(planned, 1):
        if is_broken:
            yield f"before {each}: {deps.rebuild(lab_dir, shown)}"
        of = f"{number} of {len(planned)}: " if len(planned) > 1 else ""
        limit = _limit(each, lab_dir.written.patience)
        shown.say(f"{of}proof of the drill {each}, seed {each.seed}, up to about {format_minutes(limit)}")
        ended = _played(lab_dir, each, limit * HANGING, shown, deps)
        is_broken = ended.is_broken
        tell(ended.run)


@dataclass(frozen=True)
class _Ended:
    """A proof that came to its end. `is_broken` if the lab was not restored after it."""

    run: EndedRun
    is_broken: bool


def _played(
    lab_dir: LabDir, planned: PlannedProof, limit: float, shown: Progress, deps: ProofDeps
) -> _Ended:
    lab, clock, started = deps.existing(lab_dir), RealClock(), datetime.now().astimezone()
    begun, made = clock.now(), list[Proof]()
    problem, is_over_limit = "", False
    try:
        with deps.ended_after(limit, f"the time limit of {format_minutes(limit)}"):
            made.extend(deps.prove(lab_dir, planned, shown))
    except OverLimit as error:
        problem, is_over_limit = str(error), True
    except HalabError as error:
        problem = error.message
    finally:
        # after Ctrl-C, the lab is removed, and its drill with it
        recording.stop(lab_dir.work)
    if problem:
        shown.say(f"the proof of {planned} was ended: {problem}")
        made.append(Proof(planned.drill.name, planned.seed, Verdict.ERROR, reason=one_line(problem)))
    record = proof_record.record_of(planned.drill, made, clock.now() - begun)
    folder = RunFolder.free(lab_dir.work.runs, started, planned.drill.name)
    folder.path.mkdir(mode=0o700, parents=True)
    meta = session.meta_of(lab, planned.drill.name, started.isoformat(timespec="seconds"), planned.seed)
    result = proof.write(folder, meta, record)
    shown.say(f"{planned}: {result.verdict}" + "".join(f"\n  {reason}" for reason in result.reasons))
    run = EndedRun(str(planned), planned.seed, folder, result, is_over_limit)
    return _Ended(run, is_broken=bool(problem))


def _limit(planned: PlannedProof, patience: float) -> float:
    drill = planned.drill.drill
    draws = len(library.covering_seeds(planned.source)) if drill.parts else 1
    return draws * proof_record.longest_seconds(drill, patience)
