"""The record of a proof, and how long a proof may take."""

from __future__ import annotations

from collections.abc import Sequence

from halab.config.drill import Act, Drill
from halab.drill.grade import Sighting, TaskResult
from halab.drill.library import DrillScript
from halab.drill.prove import TIMES, Proof
from halab.report.proof import ProofRecord, ProvedAttempt, ProvedDraw, Seen
from halab.scenario.run.duration import longest_seconds as longest_run

# Every check file, and every sampler that watches expectations, has a limit of its own.
_CHECK_SECONDS = 60.0


def record_of(script: DrillScript, proofs: Sequence[Proof], seconds: float) -> ProofRecord:
    """The record of the proofs of a drill, one for each seed."""
    return ProofRecord(
        script.drill.title, round(seconds, 3), script.digest, tuple(draw_of(proof) for proof in proofs)
    )


def draw_of(proof: Proof) -> ProvedDraw:
    """The same attempts as texts and numbers, for files."""
    attempts = tuple(
        ProvedAttempt(
            trial.name,
            trial.promised,
            trial.verdict,
            trial.problem,
            trial.grade.score,
            {task.name: _seen(task) for task in trial.grade.tasks},
            {str(name): _seen(sighting) for name, sighting in trial.grade.violations.items()},
        )
        for trial in proof.trials
    )
    return ProvedDraw(proof.drill, proof.seed, proof.verdict, proof.reason, attempts)


def _seen(what: TaskResult | Sighting) -> Seen:
    return Seen(str(what.state), what.seen)


def longest_seconds(drill: Drill, patience: float = 1.0, *, times: int = TIMES) -> float:
    """An estimate of the longest proof with one seed, in seconds: the sum of the limits of its attempts.

    To restore the lab and to break it takes at most as long as a scenario with the same steps.
    """
    acts = [*drill.wrong.values(), *[drill.solve] * times]
    breaks = len(acts) * longest_run(drill.break_scenario, patience)
    checks = (1 + len(acts)) * (drill.observe + _CHECK_SECONDS * patience * max(1, len(drill.check_files)))
    return breaks + checks + sum(map(_acting_seconds, acts)) * patience


def _acting_seconds(acts: Sequence[Act]) -> float:
    return sum(act.limit for act in acts)
