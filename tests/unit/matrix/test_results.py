"""The runs of a matrix are judged again from their folders; its reports are made of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from support.fakes import Recorded
from support.matrix_builder import SEED, plan_of, record_of
from support.recorded_runs import copy_run

from halab.config.twin import Verdict
from halab.matrix import record, results
from halab.matrix.record import MatrixRecord
from halab.matrix.standing import Standing
from halab.report.matrix import CellState

TWICE = "axes:\n  load_balancer.kind: [haproxy, nginx]\nscenarios: [stop-apiserver]\nrepeat: 2\n"


def recorded_matrix(folder: Path) -> MatrixRecord:
    """A matrix whose first three runs are recorded: two on one lab, one on the other."""
    written = record_of(plan_of(folder, TWICE), "pass", "pass", "pass")
    for run in written.runs:
        copy_run(f"stop-apiserver-{run.lab}", folder / run.folder)
    record.write(folder, written)
    return written


def test_recorded_runs_are_judged_again(tmp_path: Path) -> None:
    # the verdicts of the record are not believed
    written = recorded_matrix(tmp_path)
    record.write(
        tmp_path, replace(written, runs=tuple(replace(run, verdict=Verdict.FAIL) for run in written.runs))
    )
    cells = results.recorded(tmp_path, Recorded())
    assert [(str(cell.lab.values["load_balancer.kind"]), len(cell.runs), cell.state) for cell in cells] == [
        ("haproxy", 2, CellState.PASS), ("nginx", 1, CellState.NOT_RUN),
    ]  # fmt: skip


def test_a_recorded_matrix_knows_its_twins_and_what_was_skipped(tmp_path: Path) -> None:
    written = recorded_matrix(tmp_path)
    twin = replace(written.cells[0], expected=Verdict.FAIL)
    skipped = replace(written.cells[1], scenario="kill-etcd-member", lacking="the lab has 1 control plane")
    record.write(tmp_path, replace(written, cells=(twin, skipped)))
    read = record.read(tmp_path)
    assert read and read.cells == (twin, skipped)
    assert [(cell.state, cell.planned) for cell in results.recorded(tmp_path, Recorded())] == [
        (CellState.FAIL, 2), (CellState.SKIP, 0),
    ]  # fmt: skip


def test_a_run_that_cannot_be_judged_does_not_count_and_is_named(tmp_path: Path) -> None:
    written = recorded_matrix(tmp_path)
    shutil.rmtree(tmp_path / written.runs[0].folder)
    (tmp_path / written.runs[1].folder / "meta.json").write_text("{")
    shown = Recorded()
    assert [len(cell.runs) for cell in results.recorded(tmp_path, shown)] == [0, 1]
    said = "\n".join(shown.lines)
    assert "run 1 of stop-apiserver on haproxy does not count: no such folder" in said
    assert "run 2 of stop-apiserver on haproxy does not count: cannot read" in said


def test_runs_of_an_earlier_matrix_do_not_count(tmp_path: Path) -> None:
    written = recorded_matrix(tmp_path)
    old = replace(written.runs[0], fingerprint="of another lab file")
    record.write(tmp_path, replace(written, runs=(old, *written.runs[1:])))
    assert [len(cell.runs) for cell in results.recorded(tmp_path, Recorded())] == [1, 1]
    record.write(tmp_path, replace(written, repeat=1))
    assert [len(cell.runs) for cell in results.recorded(tmp_path, Recorded())] == [1, 1]


def test_a_lab_with_several_runs_has_a_report_of_its_own(tmp_path: Path) -> None:
    written = recorded_matrix(tmp_path)
    standing = Standing(plan_of(tmp_path, TWICE), SEED, written)
    found = results.read(written.runs, tmp_path, Recorded())
    report = results.write(tmp_path, standing, found)
    pages = {lab.name: lab.page for lab in report.labs}
    assert pages == {"haproxy": tmp_path / "labs/haproxy/overview.html", "nginx": None}
    page = (tmp_path / "matrix.html").read_text()
    assert "<h1>1 scenario on 2 labs</h1>" in page
    assert 'href="labs/haproxy/overview.html"' in page
    assert 'href="labs/haproxy/.halab/runs/stop-apiserver-1/report.html"' in page
