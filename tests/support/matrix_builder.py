"""Matrices for tests: files in a folder, and their plans."""

from __future__ import annotations

from pathlib import Path

from halab.config.twin import Verdict
from halab.matrix import library
from halab.matrix.plan import CellRun, MatrixPlan
from halab.matrix.record import MatrixRecord, PlayedRun
from halab.matrix.standing import Standing

TWO = "axes:\n  load_balancer.kind: [haproxy, nginx]\nscenarios: [stop-apiserver, kill-etcd-member]\n"
SEED = 7


def write_matrix(folder: Path, text: str, lab: str = "") -> Path:
    """Write a matrix file and the lab file beside it."""
    (folder / "lab.yml").write_text(lab)
    (folder / "matrix.yml").write_text(text)
    return folder / "matrix.yml"


def plan_of(folder: Path, text: str, lab: str = "") -> MatrixPlan:
    return library.find(write_matrix(folder, text, lab))


def played(run: CellRun, fingerprint: str, verdict: str = "pass", seconds: float = 30.0) -> PlayedRun:
    lab, scenario = run.cell.key
    return PlayedRun(
        lab, run.cell.lab.values, scenario, run.number, run.planned.seed, fingerprint,
        f"labs/{lab}/.halab/runs/{scenario}-{run.number}", Verdict(verdict), seconds,
    )  # fmt: skip


def record_of(plan: MatrixPlan, *verdicts: str, seed: int = SEED) -> MatrixRecord:
    """A record of the first runs of a plan, with these verdicts."""
    runs = [run for of_lab in plan.runs(seed).values() for run in of_lab]
    return MatrixRecord(
        seed=seed,
        started="2026-11-29T20:00:00+00:00",
        repeat=plan.repeat,
        cells=Standing(plan, seed).cells,
        runs=tuple(
            played(run, plan.fingerprints[run.cell.key], verdict)
            for run, verdict in zip(runs, verdicts, strict=False)
        ),
    )
