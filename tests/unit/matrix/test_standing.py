"""How far a matrix is: which runs are complete, which are still to be played, and what has changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.matrix_builder import SEED, TWO, plan_of, record_of

from halab.matrix.plan import MatrixPlan
from halab.matrix.standing import Standing

THREE_TIMES = f"{TWO}repeat: 3\n"


@pytest.fixture
def plan(tmp_path: Path) -> MatrixPlan:
    return plan_of(tmp_path, THREE_TIMES)


def pending(standing: Standing) -> list[str]:
    return [f"{run.cell} {run.number}" for runs in standing.pending.values() for run in runs]


def test_a_new_matrix_plays_everything_in_the_same_order_with_the_same_seeds(plan: MatrixPlan) -> None:
    standing = Standing(plan, SEED)
    assert (standing.planned_count, standing.pending_count) == (12, 12)
    orders = [
        [(run.cell.script.name, run.number, run.planned.seed) for run in runs]
        for runs in standing.pending.values()
    ]
    assert orders[0] == orders[1]
    assert [seed for _, _, seed in orders[0]] == [7, 7, 8, 8, 9, 9]
    assert list(standing.changes()) == []


def test_complete_runs_are_not_played_again(plan: MatrixPlan) -> None:
    # all runs of the first lab, and the first run of the second
    standing = Standing(plan, SEED, record_of(plan, *["pass"] * 5, "fail", "skip"))
    assert list(standing.pending) == ["nginx"]
    assert pending(standing)[0] == "kill-etcd-member on nginx 1"
    assert standing.pending_count == 5
    assert [standing.done(cell) for cell in plan.cells] == [3, 3, 1, 0]
    assert list(standing.changes()) == []


def test_a_complete_matrix_has_nothing_left(plan: MatrixPlan) -> None:
    assert not Standing(plan, SEED, record_of(plan, *["pass"] * 12)).pending


def test_runs_that_ended_in_an_error_are_played_again_only_if_asked(plan: MatrixPlan) -> None:
    record = record_of(plan, *["pass"] * 5, "error", *["pass"] * 6)
    assert pending(Standing(plan, SEED, record)) == []
    assert pending(Standing(plan, SEED, record, again=True)) == ["kill-etcd-member on haproxy 3"]


def test_a_run_that_is_played_again_replaces_the_first(plan: MatrixPlan) -> None:
    record = record_of(plan, "error")
    again = record.with_run(record_of(plan, "pass").runs[0])
    assert [str(run.verdict) for run in again.runs] == ["pass"]
    assert len(again.with_run(record_of(plan, "pass", "pass").runs[1]).runs) == 2


CHANGES: dict[str, tuple[Callable[[str], str], str, list[str], int]] = {
    "a scenario more": (
        lambda text: text.replace("member]", "member, kill-etcd-leader]"), "",
        ["2 cells (kill-etcd-leader on haproxy, kill-etcd-leader on nginx) are new"], 6,
    ),
    "a scenario less": (
        lambda text: text.replace(", kill-etcd-member", ""), "",
        [
            "2 cells (kill-etcd-member on haproxy, kill-etcd-member on nginx) are no longer in it: "
            "their runs stay in the folder, and the report leaves them out"
        ], 0,
    ),
    "another lab": (
        lambda text: text, "workers: 1\n",
        [
            "4 cells (stop-apiserver on haproxy, kill-etcd-member on haproxy, stop-apiserver on nginx, and 1 more) "
            "are played again, because the lab file, the scenario or a file that they name changed"
        ], 12,
    ),
    "more runs": (lambda text: text.replace("3", "4"), "", ["each cell has 4 runs now, and had 3"], 4),
    "fewer runs": (lambda text: text.replace("3", "2"), "", ["each cell has 2 runs now, and had 3"], 0),
    "a value more": (
        lambda text: text.replace("nginx]", "nginx, kube-vip]"), "",
        ["2 cells (stop-apiserver on kube-vip, kill-etcd-member on kube-vip) are new"], 6,
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_said_and_only_that_is_played(
    change: str, plan: MatrixPlan, tmp_path: Path
) -> None:
    changed, lab, said, left = CHANGES[change]
    standing = Standing(plan_of(tmp_path, changed(THREE_TIMES), lab), SEED, record_of(plan, *["pass"] * 12))
    assert list(standing.changes()) == said
    assert standing.pending_count == left


def test_another_seed_plays_everything_again(plan: MatrixPlan) -> None:
    standing = Standing(plan, SEED + 1, record_of(plan, *["pass"] * 12))
    # the second and the third run of a cell had the seeds of the first and the second now, but are other runs
    assert standing.pending_count == 12
    assert list(standing.changes()) == ["the seed is 8 now, and was 7: all cells are played again"]


def test_a_changed_scenario_file_is_another_scenario(tmp_path: Path) -> None:
    from support.run_builder import STOP

    text = "scenarios: [./mine.yml]\n"
    (tmp_path / "mine.yml").write_text(STOP)
    plan = plan_of(tmp_path, text)
    record = record_of(plan, "pass")
    assert not Standing(plan, SEED, record).pending
    (tmp_path / "mine.yml").write_text(f"# another comment\n{STOP}")
    assert Standing(plan_of(tmp_path, text), SEED, record).pending_count == 1


def test_a_changed_file_that_a_scenario_names_is_another_scenario(tmp_path: Path) -> None:
    script, check = tmp_path / "break.sh", tmp_path / "test_own.py"
    script.write_text("true\n")
    check.write_text("def test_it() -> None: ...\n")
    (tmp_path / "mine.yml").write_text(
        "title: A script\nteaches: A script.\nsteps:\n"
        "  - {inject: run-script, name: ran, on: any-cp, with: {script: ./break.sh, undo: 'true'}}\n"
        "  - {expect: {probe: ready-direct, on: ran, fails: within 10s}}\n"
        "recover: {steady: within 60s}\nchecks: [test_own.py]\ntwin: {replace: {ran: nothing}}\n"
    )
    before = plan_of(tmp_path, "scenarios: [./mine.yml]\n").fingerprints
    for file in (script, check):
        file.write_text(f"{file.read_text()}# changed\n")
        after = plan_of(tmp_path, "scenarios: [./mine.yml]\n").fingerprints
        assert after != before, file
        before = after
