"""Proofs of drills in a matrix have folders as runs do. What goes wrong is said, and does not stop the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.drill_room import DrillRoom
from support.fakes import Recorded, lab_of

from halab.campaign.time_limit import OverLimit
from halab.config.load_balancer import Balancer
from halab.config.twin import Verdict
from halab.drill import library
from halab.drill.prove import Proof, prove_all
from halab.errors import BadUsage, Corrupted, LabProblem
from halab.lifecycle.lab import LabDir
from halab.matrix import proofs, results, times
from halab.matrix.lab_process import EndedRun
from halab.matrix.plan import PlannedProof
from halab.matrix.proofs import ProofDeps
from halab.progress import Progress
from halab.report.history_file import HistoryFile
from halab.report.history_update import HistoryUpdate
from halab.report.recorded_runs import RecordedRuns, find
from halab.scenario.record.folder import RunFolder


@dataclass
class Proving:
    """`during` is called before the proof with this number, counted from 1."""

    room: DrillRoom
    during: dict[int, Callable[[], None]] = field(default_factory=dict)
    ended: list[EndedRun] = field(default_factory=list)
    rebuilt: int = 0
    count: int = 0

    def prove(self, lab_dir: LabDir, planned: PlannedProof, shown: Progress) -> Iterator[Proof]:
        self.count += 1
        self.during.get(self.count, lambda: None)()
        return prove_all(
            lab_dir, [planned.source], shown, seed=planned.seed, deps=self.room.deps, act=self.room.act
        )

    def rebuild(self, lab_dir: LabDir, shown: Progress) -> str:
        self.rebuilt += 1
        return "rebuilt the lab"

    def play(self, times: int = 1, *, is_broken: bool = False) -> list[str]:
        planned = [
            PlannedProof(library.find(self.room.name), self.room.name, 7 + number) for number in range(times)
        ]
        deps = ProofDeps(self.prove, lambda lab_dir: lab_of(name="ha"), self.rebuild, no_limit)
        return list(
            proofs.play(
                self.room.lab_dir,
                planned,
                self.room.progress,
                self.ended.append,
                is_broken=is_broken,
                deps=deps,
            )
        )


@contextmanager
def no_limit(seconds: float, what: str) -> Iterator[None]:
    assert seconds > 60 and "limit" in what
    yield


@pytest.fixture
def proving(tmp_path: Path) -> Proving:
    return Proving(DrillRoom(tmp_path))


def test_a_proof_is_a_run_with_a_folder_that_is_judged_again(proving: Proving) -> None:
    assert proving.play() == []
    [run] = proving.ended
    assert (run.name, run.seed, run.result.verdict) == ("mine", 7, Verdict.PASS)
    assert [outcome.name for outcome in run.result.outcomes] == ["do nothing", "restart", "wait", "solve"]
    assert results.judged(run.folder) == run.result
    assert json.loads(run.folder.result.read_text())["verdict"] == "pass"
    page = run.folder.page.read_text()
    assert "An API server is gone" in page and "it does not pass" in page and "100 %" in page
    assert run.folder.junit.read_text().count("<testcase") == 4
    assert run.folder.path.stat().st_mode & 0o777 == 0o700


def test_a_drill_that_is_not_good_fails_with_the_reason(proving: Proving) -> None:
    # a wrong attempt that repairs the lab passes
    text = (proving.room.folder / "mine.yml").read_text().replace("run: restart}", 'run: "restore cp1"}')
    proving.room.write(text)
    proving.play()
    [run] = proving.ended
    assert run.result.verdict is Verdict.FAIL
    assert run.result.reasons == ("restart: it passes with 100 %: back, held-once, who done",)


def test_an_error_is_recorded_and_the_lab_is_repaired_for_the_next_drill(proving: Proving) -> None:
    def break_down() -> None:
        raise LabProblem("no snapshot")

    proving.during[1] = break_down
    assert proving.play(2) == ["before mine: rebuilt the lab"]
    assert [run.result.verdict for run in proving.ended] == [Verdict.ERROR, Verdict.PASS]
    assert proving.ended[0].result.reasons == ("the proof: no snapshot",)
    assert proving.rebuilt == 1


def test_a_proof_that_hangs_is_ended_as_an_error(proving: Proving) -> None:
    def hang() -> None:
        raise OverLimit("the time limit of 1h")

    proving.during[1] = hang
    proving.play(2)
    assert [(run.is_over_limit, str(run.result.verdict)) for run in proving.ended] == [
        (True, "error"), (False, "pass"),
    ]  # fmt: skip
    assert not proving.ended[0].result.is_interrupted


def test_ctrl_c_leaves_no_record_of_the_proof(proving: Proving) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    proving.during[2] = interrupt
    with pytest.raises(KeyboardInterrupt):
        proving.play(3)
    assert len(proving.ended) == 1
    assert len(list(proving.room.lab_dir.work.runs.iterdir())) == 1


def test_a_lab_that_a_scenario_has_broken_is_repaired_first(proving: Proving) -> None:
    assert proving.play(is_broken=True) == ["before mine: rebuilt the lab"]


def test_a_drill_that_the_lab_cannot_run_is_skipped(proving: Proving) -> None:
    text = (proving.room.folder / "mine.yml").read_text().replace("control_planes: 3", "balancers: 2")
    proving.room.write(text)
    proving.play()
    assert proving.ended[0].result.verdict is Verdict.SKIP


def test_proofs_have_times_and_a_history_and_no_bounds(proving: Proving) -> None:
    proving.play(2)
    runs = proving.room.lab_dir.work.runs
    found = find([runs])
    assert found == [run.folder.path for run in proving.ended]
    [first, _] = times.read(found)
    assert (first.scenario, first.load_balancer) == ("mine", Balancer.HAPROXY)
    recorded = RecordedRuns()
    for path in found:
        recorded.add(path)
    assert (recorded.runs, recorded.left_out) == ([], {"proofs of drills": 2})
    update = HistoryUpdate(HistoryFile(runs / "history.sqlite"))
    update.add_all(found)
    assert (update.added, update.refused) == (2, [])
    [entry, _] = HistoryFile(runs / "history.sqlite").runs("mine")
    assert (entry.verdict, entry.title, entry.figures) == (Verdict.PASS, "An API server is gone", ())


def test_a_proof_is_no_run(proving: Proving) -> None:
    proving.play()
    folder = proving.ended[0].folder
    with pytest.raises(BadUsage, match="not the folder of a run"):
        RunFolder.existing(folder.path)
    assert RunFolder.existing(folder.path, or_proof=True) == folder
    folder.proof.write_text("{}")
    with pytest.raises(Corrupted, match="cannot read"):
        results.judged(folder)


def test_the_progress_names_the_drills(proving: Proving) -> None:
    proving.play(2)
    assert isinstance(proving.room.progress, Recorded)
    said = "\n".join(proving.room.progress.lines)
    assert "2 of 2: proof of the drill mine, seed 8, up to about " in said
    assert "mine: pass" in said
