"""Two matrices: which cells got worse, and which figures changed by more than noise."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.run_builder import META, MadeRun
from support.stage import result_of

from halab.report.comparison import Block, Row
from halab.report.difference import Difference
from halab.report.matrix import ReportedCell, ReportedLab
from halab.report.matrix_difference import CellChange, FigureChange, MatrixDifference, lines, to_json
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result
from halab.scenario.verdict.verdict import judge

NGINX = ReportedLab("nginx", {"load_balancer.kind": "nginx"})


def cell(
    *verdicts: str, planned: int = 0, lab: ReportedLab = NGINX, scenario: str = "stop-apiserver"
) -> ReportedCell:
    runs = tuple(
        (RunFolder(Path(f"/{number}")), result_of(scenario, each)) for number, each in enumerate(verdicts)
    )
    return ReportedCell(lab, scenario, planned or len(verdicts), runs)


def measured(folder: Path, recoveries: Sequence[float]) -> ReportedCell:
    """A cell whose runs recovered after so many seconds."""
    runs: list[tuple[RunFolder, Result]] = []
    for number, seconds in enumerate(recoveries):
        built = MadeRun(recover_seconds=seconds, meta=replace(META, scenario="stop-apiserver"))
        run = RunFolder(folder / f"run-{number}")
        run.make()
        run.meta.write_text(built.meta.to_json())
        run.scenario.write_text(built.text)
        runs.append((run, judge(built.evidence())))
    return ReportedCell(NGINX, "stop-apiserver", len(runs), tuple(runs))


@pytest.mark.parametrize(
    ("old", "new", "is_worse", "is_better"),
    [
        ("pass", "fail", True, False),
        ("pass pass", "pass fail", True, False),
        ("pass fail", "fail fail", True, False),
        ("fail", "pass", False, True),
        ("pass", "error", True, False),
        ("pass", "", True, False),
        ("error", "pass", False, True),
        # these say nothing about the scenario
        ("error", "fail", False, False),
        ("fail", "error", False, False),
        ("pass", "skip", False, False),
        ("pass", "pass", False, False),
    ],
)
def test_a_cell_is_worse_if_it_fails_more_or_if_nothing_is_known_any_more(
    old: str, new: str, is_worse: bool, is_better: bool
) -> None:
    change = CellChange(cell(*old.split()), cell(*new.split(), planned=len(old.split())))
    assert (change.is_worse, change.is_better) == (is_worse, is_better)


def test_cells_belong_together_by_their_settings_whatever_the_names_of_their_labs() -> None:
    renamed = replace(NGINX, name="nginx-2")
    other = ReportedLab("haproxy", {"load_balancer.kind": "haproxy"})
    difference = MatrixDifference(
        [cell("pass", "pass"), cell("pass", scenario="gone")],
        [cell("fail", "pass", lab=renamed), cell("pass", lab=other)],
    )
    assert list(lines(difference)) == [
        "worse: stop-apiserver on nginx-2: pass (2/2) → flaky (1/2)",
        "only in the old matrix: gone on nginx",
        "only in the new matrix: stop-apiserver on haproxy",
        "cells in both: 1, of which 0 are neither worse nor better",
    ]
    data = json.loads(to_json(difference))
    assert data["cells"] == [
        {
            "settings": {"load_balancer.kind": "nginx"}, "scenario": "stop-apiserver", "old": "pass", "new": "flaky",
            "is_worse": True, "is_better": False,
        }
    ]  # fmt: skip
    assert data["only_old"] == [{"settings": {"load_balancer.kind": "nginx"}, "scenario": "gone"}]


def test_a_figure_that_changed_by_more_than_noise_is_slower_or_faster(tmp_path: Path) -> None:
    quick = measured(tmp_path / "old", (4.0, 4.5, 5.0, 5.5, 6.0))
    slow = measured(tmp_path / "new", (14.0, 14.5, 15.0, 15.5, 16.0))
    slower = [line for line in lines(MatrixDifference([quick], [slow])) if line.startswith("slower")]
    assert len(slower) == 1 and slower[0].startswith("slower: stop-apiserver on nginx, recovery: +10s (")
    faster = [line for line in lines(MatrixDifference([slow], [quick])) if line.startswith("faster")]
    assert len(faster) == 1 and "−10s" in faster[0]
    figures = json.loads(to_json(MatrixDifference([quick], [slow])))["figures"]
    assert {figure["direction"] for figure in figures} <= {"slower", "changed"}
    assert next(figure for figure in figures if figure["figure"] == "recovery")["shift"] == pytest.approx(
        10, abs=0.1
    )


def test_noise_and_too_few_runs_show_nothing(tmp_path: Path) -> None:
    same = (
        measured(tmp_path / "a", (4.0, 4.5, 5.0, 5.5, 6.0)),
        measured(tmp_path / "b", (4.2, 4.4, 5.1, 5.4, 6.1)),
    )
    assert MatrixDifference([same[0]], [same[1]]).figures == []
    few = measured(tmp_path / "c", (4.0, 4.5, 5.0)), measured(tmp_path / "d", (14.0, 14.5, 15.0))
    assert MatrixDifference([few[0]], [few[1]]).figures == []


def test_more_of_another_figure_may_be_better() -> None:
    """How long it takes until clients notice a fault, for example."""
    row = Row("new", 5, 5, None, Difference(9.0, 8.0, 10.0, None))
    block = Block("stop-apiserver", "A title", "stopped: write-via-lb: failed after", (row, row))
    assert FigureChange("nginx", block).direction == "changed"


def test_thousands_of_cells_are_compared_in_about_a_second() -> None:
    """Processor time, because other tests may run at the same time. It is several times longer under coverage."""
    labs = [ReportedLab(str(pods), {"kubeadm.kubelet.maxPods": str(pods)}) for pods in range(60)]
    cells = [cell(planned=1, lab=lab, scenario=f"s{number}") for lab in labs for number in range(50)]
    begun = time.process_time()
    assert list(lines(MatrixDifference(cells, cells))) == [
        "cells in both: 3000, of which 3000 are neither worse nor better"
    ]
    taken = time.process_time() - begun
    assert taken < 5, f"{taken:.1f} s"
