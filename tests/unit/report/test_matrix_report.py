"""The report of a matrix: states of cells, what is never counted, and its files."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from junitparser import JUnitXml
from support.stage import result_of

from halab.config.twin import Verdict
from halab.report import matrix, table
from halab.report.matrix import CellState, MatrixReport, ReportedCell, ReportedLab
from halab.scenario.record.folder import RunFolder

LOST = "no docker engine answers"
LABS = [
    ReportedLab("haproxy-1.36", {"load_balancer.kind": "haproxy", "kubernetes.version": "1.36"}),
    ReportedLab("haproxy-1.37", {"load_balancer.kind": "haproxy", "kubernetes.version": "1.37"}),
    ReportedLab(
        "nginx-1.37",
        {"load_balancer.kind": "nginx", "kubernetes.version": "1.37"},
        "no docker engine answers",
    ),
]


def cell(
    *verdicts: str, planned: int = 0, lab: ReportedLab = LABS[0], scenario: str = "stop-apiserver"
) -> ReportedCell:
    runs = tuple(
        (
            RunFolder(Path(f"/m/labs/{lab.name}/.halab/runs/{scenario}-{number}")),
            result_of(scenario, verdict),
        )
        for number, verdict in enumerate(verdicts)
    )
    return ReportedCell(lab, scenario, planned or len(verdicts), runs)


def report(*cells: ReportedCell) -> MatrixReport:
    axes = {"load_balancer.kind": ("haproxy", "nginx"), "kubernetes.version": ("1.36", "1.37")}
    scenarios = {one.scenario: "A title" for one in cells}
    started = "2026-11-29T20:00:00+00:00"
    return MatrixReport(
        "Matrix m", axes, scenarios, LABS, cells, 7, started, 600.0, ["nginx-1.37: rebuilt the lab"]
    )


WITH_ALL = report(
    cell("pass", "pass"),
    cell("fail", "pass", "pass", "error", lab=LABS[1]),
    cell(planned=2, lab=LABS[2]),
    cell("fail", "fail", scenario="kill-etcd-member"),
    cell("skip", lab=LABS[1], scenario="kill-etcd-member"),
    cell("pass", planned=2, scenario="stop-kubelet"),
    cell("pass", "error", lab=LABS[1], scenario="stop-kubelet"),
)


def twin(*verdicts: str, expected: Verdict = Verdict.FAIL) -> ReportedCell:
    name = "stop-apiserver (its losing twin)"
    made = cell(*verdicts, scenario=name)
    runs = tuple(
        (folder, result_of("stop-apiserver", str(result.verdict), twin=True)) for folder, result in made.runs
    )
    return replace(made, runs=runs, expected=expected)


SKIPPED = replace(cell(lab=LABS[1]), lacking="the lab has 1 control plane, and 3 are needed")


@pytest.mark.parametrize(
    ("verdicts", "missing", "state", "short"),
    [
        ("pass pass", 0, CellState.PASS, "2/2"),
        ("fail fail", 0, CellState.FAIL, "0/2"),
        ("fail pass", 0, CellState.FLAKY, "1/2"),
        ("fail pass error", 0, CellState.FLAKY, "1/2 1 error"),
        ("fail error", 0, CellState.FAIL, "0/1 1 error"),
        ("pass error", 0, CellState.ERROR, "1/1 1 error"),
        ("error error", 0, CellState.ERROR, "2 errors"),
        ("pass skip", 0, CellState.PASS, "1/1"),
        ("skip", 0, CellState.SKIP, "skip"),
        ("pass", 1, CellState.NOT_RUN, "1/1 1 left"),
        ("fail", 1, CellState.FAIL, "0/1"),
        ("", 1, CellState.NOT_RUN, "–"),
    ],
)
def test_an_error_is_never_a_pass_or_a_failure(
    verdicts: str, missing: int, state: CellState, short: str
) -> None:
    found = cell(*verdicts.split(), planned=len(verdicts.split()) + missing)
    assert (found.state, found.short) == (state, short)


def test_a_losing_twin_passes_if_it_ends_as_declared() -> None:
    assert (twin("fail", "fail").state, twin("fail").short, twin("fail").reasons) == (
        CellState.PASS,
        "1/1",
        [],
    )
    assert (twin("pass").state, twin("fail", "pass").state) == (CellState.FAIL, CellState.FLAKY)
    assert twin("pass").reasons == ["it ended with pass, and not with fail"]
    assert twin("error").state is CellState.ERROR
    assert twin("error", expected=Verdict.ERROR).state is CellState.PASS
    shown = twin("fail", "pass").shown_run
    assert shown is not None and shown.path.name.endswith("-1")


def test_a_bug_is_in_the_columns_of_the_other_labs_although_it_has_its_own() -> None:
    labs = [*LABS, *(replace(lab, name=f"bug-{lab.name}", error="") for lab in LABS[:2])]
    cells = [
        cell("pass"),
        cell("pass", lab=labs[3], scenario="bug"),
        cell("fail", lab=labs[4], scenario="bug"),
    ]
    shown = replace(report(*cells), labs=labs)
    assert [lab.name for lab in shown.columns] == [lab.name for lab in LABS]
    found = shown.cell("bug", LABS[1])
    assert found is not None and found.lab.name == "bug-haproxy-1.37"
    page = matrix.html(Path("/m"), shown)
    assert 'title="bug on bug-haproxy-1.37: 0 of 1 judged run passed (0%)"' in page


def test_a_bug_that_breaks_a_promise_passes_in_junit(tmp_path: Path) -> None:
    shows = replace(cell("fail", "pass"), expected=Verdict.FAIL)
    assert (shows.state, shows.short) == (CellState.FLAKY, "1/2")
    matrix.write(tmp_path, report(shows))
    suites = list(JUnitXml.fromfile(str(tmp_path / "junit.xml")))
    assert [suite.failures for suite in suites] == [0, 1]


def test_a_cell_that_the_lab_cannot_run_is_skipped_with_the_reason() -> None:
    assert (SKIPPED.state, SKIPPED.short, SKIPPED.missing) == (CellState.SKIP, "skip", 0)
    assert SKIPPED.in_words == "the lab has 1 control plane, and 3 are needed"


def test_junit_has_one_test_case_for_a_losing_twin_and_the_skipped_cells(tmp_path: Path) -> None:
    matrix.write(tmp_path, report(twin("fail", "pass", "error"), SKIPPED))
    xml = JUnitXml.fromfile(str(tmp_path / "junit.xml"))
    suites = {suite.name: suite for suite in xml}
    names = [f"stop-apiserver (its losing twin) on haproxy-1.36, {number} of 3" for number in (1, 2, 3)]
    counts = [(suites[name].tests, suites[name].failures, suites[name].errors) for name in names]
    assert counts == [(1, 0, 0), (1, 1, 0), (1, 0, 1)]
    (case,) = suites["not run"]
    assert case.name == "stop-apiserver on haproxy-1.37"
    assert case.result[0].message == "the lab has 1 control plane, and 3 are needed"


def test_a_flaky_cell_has_its_rate() -> None:
    flaky = cell("pass", "fail", "pass", "error", "pass", planned=6)
    assert flaky.pass_rate == 0.75
    assert flaky.in_words == "3 of 4 judged runs passed (75%), 1 run ended in an error, 1 run missing"
    assert cell("error").pass_rate is None


def test_runs_that_a_lost_lab_could_not_have_are_errors() -> None:
    lost = cell("pass", planned=2, lab=LABS[2])
    assert (lost.state, lost.short, lost.reasons) == (
        CellState.ERROR,
        "1/1 error",
        ["no docker engine answers"],
    )
    assert cell(planned=1, lab=LABS[2]).short == "error"


def test_a_cell_leads_to_the_run_that_matters_most() -> None:
    shown = cell("pass", "error", "fail", "fail").shown_run
    assert shown is not None and shown.path.name == "stop-apiserver-2"
    assert cell(planned=1).shown_run is None


def test_the_report_counts_cells_and_has_one_verdict_for_each() -> None:
    assert {str(state): count for state, count in WITH_ALL.totals.items()} == {
        "fail": 1, "flaky": 1, "error": 2, "not run": 1, "pass": 1, "skip": 1,
    }  # fmt: skip
    assert WITH_ALL.state is CellState.FAIL
    assert WITH_ALL.verdicts == [
        Verdict.PASS, Verdict.FAIL, Verdict.ERROR, Verdict.FAIL, Verdict.SKIP, Verdict.ERROR, Verdict.ERROR,
    ]  # fmt: skip
    assert [str(one.state) for one in WITH_ALL.to_look_at] == ["fail", "flaky", "error", "error"]
    assert report().state is CellState.SKIP


def test_the_columns_are_grouped_by_the_axes() -> None:
    assert list(WITH_ALL.heads()) == [
        ("load_balancer.kind", [("haproxy", 2), ("nginx", 1)]),
        ("kubernetes.version", [("1.36", 1), ("1.37", 1), ("1.37", 1)]),
    ]


def test_the_page_links_every_cell_to_its_run() -> None:
    page = matrix.html(Path("/m"), WITH_ALL)
    for folder in (
        "labs/haproxy-1.36/.halab/runs/stop-apiserver-0",
        "labs/haproxy-1.36/.halab/runs/kill-etcd-member-0",
    ):
        assert f'href="{folder}/report.html"' in page
    assert '<th colspan="2">haproxy</th>' in page
    assert page.count('<td class="cell flaky">') == 1
    assert (
        "3 of 4 judged runs" not in page
        and "2 of 3 judged runs passed (67%), 1 run ended in an error" in page
    )
    # excluded: two cells of the second and third scenario
    assert page.count("<td></td>") == 2
    assert "nginx-1.37: rebuilt the lab" in page


def test_a_matrix_without_axes_has_the_name_of_its_lab_above_its_column() -> None:
    lab = ReportedLab("lab", {})
    alone = MatrixReport(
        "Matrix m", {}, {"stop-apiserver": "A title"}, [lab], [cell("pass", lab=lab)], 7, "", 60.0
    )
    assert "<th>lab</th>" in matrix.html(Path("/m"), alone)


def test_the_files_are_written_together(tmp_path: Path) -> None:
    assert matrix.write(tmp_path, WITH_ALL) == tmp_path / "matrix.html"
    data = json.loads((tmp_path / "matrix.json").read_text())
    assert data["totals"]["flaky"] == 1
    assert data["cells"][1]["pass_rate"] == pytest.approx(2 / 3)
    assert data["cells"][2] | {"runs": []} == {
        "lab": "nginx-1.37", "scenario": "stop-apiserver", "state": "error", "planned": 2, "pass_rate": None,
        "runs": [], "expected": "pass", "lacking": None,
    }  # fmt: skip
    suites = {suite.name: suite for suite in JUnitXml.fromfile(str(tmp_path / "junit.xml"))}
    assert "stop-apiserver on haproxy-1.37, 2 of 4" in suites
    assert [case.name for case in suites["not run"]] == ["stop-kubelet on haproxy-1.36: 1 run"]
    assert suites["could not run"].errors == 1
    assert suites["not run"].skipped == 1


def test_ten_thousand_cells_are_written_in_seconds(tmp_path: Path) -> None:
    """Processor time. A list of suites that compares each with all others took more than eight minutes."""
    labs = [ReportedLab(f"lab-{number}", {"workers": str(number)}) for number in range(100)]
    cells = [cell("pass", lab=lab, scenario=f"scenario-{number}") for lab in labs for number in range(100)]
    scenarios = {f"scenario-{number}": "A title" for number in range(100)}
    axes = {"workers": tuple(map(str, range(100)))}
    begun = time.process_time()
    matrix.write(tmp_path, MatrixReport("Matrix m", axes, scenarios, labs, cells, 7, "", 60.0))
    assert time.process_time() - begun < 30
    assert (tmp_path / "junit.xml").read_text().count("<testsuite ") == 10_000


def test_the_table_has_a_line_per_cell_and_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table.matrix(WITH_ALL).splitlines()
    assert any(line.split()[:3] == ["FLAKY", "stop-apiserver", "haproxy-1.37"] for line in lines)
    assert "why stop-apiserver on nginx-1.37: no docker engine answers" in lines
    assert lines[-1].startswith("cells: 1 fail, 1 flaky, 2 error, 1 not run, 1 pass, 1 skip")
    monkeypatch.setattr(table, "_MOST_CELLS", 3)
    assert not any(line.startswith("PASS") for line in table.matrix(WITH_ALL).splitlines())
    passed = report(*[cell("pass")] * 4)
    assert table.matrix(passed).splitlines() == ["cells: 4 pass, in 10m, seed 7"]
