"""Matrices for tests: files in a folder, their plans, and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from halab.config.twin import Verdict
from halab.matrix import library
from halab.matrix.plan import CellRun, MatrixPlan
from halab.matrix.record import MatrixRecord, PlayedRun
from halab.matrix.standing import Standing
from halab.report.matrix import MatrixReport, ReportedCell, ReportedLab
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result

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
        lab, scenario, run.number, run.planned.seed, fingerprint,
        f"labs/{lab}/.halab/runs/{scenario}-{run.number}", Verdict(verdict), seconds,
    )  # fmt: skip


def record_of(plan: MatrixPlan, *verdicts: str, seed: int = SEED) -> MatrixRecord:
    """A record of the first runs of a plan, with these verdicts."""
    runs = [run for of_lab in plan.runs(seed).values() for run in of_lab]
    return MatrixRecord(
        seed=seed,
        started="2026-11-29T20:00:00+00:00",
        repeat=plan.repeat,
        labs={lab.name: dict(lab.values) for lab in plan.labs},
        cells=Standing(plan, seed).cells,
        runs=tuple(
            played(run, plan.fingerprints[run.cell.key], verdict)
            for run, verdict in zip(runs, verdicts, strict=False)
        ),
    )


def matrix_of(runs: Sequence[tuple[RunFolder, Result]]) -> MatrixReport:
    """A report with every state of a cell: on six labs, each scenario of the runs has the runs of one state."""
    verdicts: tuple[list[str], ...] = (
        ["pass"] * 5,
        ["fail"] * 5,
        ["pass", "fail", "pass", "error"],
        ["error"],
        ["skip"],
        [],
    )
    axes = {"load_balancer.kind": ("haproxy", "nginx", "kube-vip"), "kubernetes.version": ("1.36", "1.37")}
    labs = [
        ReportedLab(f"{kind}-{version}", dict(zip(axes, (kind, version), strict=True)))
        for kind in axes["load_balancer.kind"]
        for version in axes["kubernetes.version"]
    ]
    labs[3] = replace(
        labs[3], error="kubeadm join on cp2 took longer than 4 min: the kubelet is not healthy"
    )
    by_name = {result.scenario: (folder, result) for folder, result in runs}
    cells = []
    for row, (name, (folder, result)) in enumerate(by_name.items()):
        for column, lab in enumerate(labs):
            of_cell = tuple(
                (folder, replace(result, verdict=Verdict(verdict)))
                for verdict in verdicts[(row + column) % 6]
            )
            cells.append(ReportedCell(lab, name, 5, of_cell))
    scenarios = {name: result.title for name, (_, result) in by_name.items()} | {
        "kill-etcd-leader": "Excluded"
    }
    started = "2026-11-29T10:15:00+01:00"
    return MatrixReport(
        "Matrix nightly", axes, scenarios, labs, cells, 7, started, 5412.5, ["nginx-1.36: started cp2"]
    )
