"""The author's proof: open after the break, closed by the solution, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.drill_room import DrillRoom

from halab.config.twin import Verdict
from halab.drill import attempt as attempts
from halab.drill.grade import TaskState
from halab.drill.prove import Trial, prove, prove_all
from halab.errors import BadUsage, CommandFailed, LabProblem


@pytest.fixture
def room(tmp_path: Path) -> DrillRoom:
    return DrillRoom(tmp_path)


def proved(room: DrillRoom) -> dict[str, Trial]:
    trials = prove(room.lab_dir, room.name, room.progress, seed=7, deps=room.deps, act=room.act)
    return {trial.name: trial for trial in trials}


def test_every_attempt_has_a_lab_that_was_broken_anew(room: DrillRoom) -> None:
    trials = proved(room)
    assert {name: trial.problem for name, trial in trials.items()} == {
        "do nothing": "", "restart": "", "wait": "", "solve": "",
    }  # fmt: skip
    begin = ["require", "restore-lab", "break"]
    assert room.did == [
        *begin, "observe", "restart", "observe",
        *begin, "wait", "observe",
        *begin, "restore", "observe", "restore-lab",
    ]  # fmt: skip
    assert trials["solve"].grade.score == 100


def test_a_proof_leaves_neither_an_attempt_nor_a_history(room: DrillRoom) -> None:
    proved(room)
    assert not room.work.drill.exists()
    assert attempts.history(room.work) == []


def test_a_break_that_does_nothing_is_found(room: DrillRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    deps = room.deps

    def observe(*given: object) -> object:
        room.found = {"back": TaskState.DONE}
        return deps.observe(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(DrillRoom, "deps", type(deps)(
        deps.require_way_back, deps.restore, deps.break_lab, observe, deps.now  # type: ignore[arg-type]
    ))  # fmt: skip
    trial = proved(room)["do nothing"]
    assert trial.problem == "done without any repair: back"
    assert trial.verdict is Verdict.FAIL


def test_a_wrong_attempt_that_passes_is_found_although_its_answers_are_right(room: DrillRoom) -> None:
    room.write((room.folder / "mine.yml").read_text().replace("run: restart", "run: restore it"))
    trials = proved(room)
    assert trials["restart"].problem == "it passes with 100 %: back, held-once, who done"
    assert not trials["wait"].problem


def test_a_wrong_attempt_that_could_not_be_judged_proves_nothing(room: DrillRoom) -> None:
    room.during["restart"] = lambda: room.found.update(back=TaskState.NOT_ASKED)
    trials = proved(room)
    assert (
        trials["restart"].problem == "it might pass, because these could not be checked: back (back on cp2)"
    )
    assert trials["restart"].verdict is Verdict.ERROR
    assert not trials["wait"].problem


def test_a_solution_that_does_not_solve_is_found(room: DrillRoom) -> None:
    room.write((room.folder / "mine.yml").read_text().replace("restore {self}", "try"))
    trial = proved(room)["solve"]
    assert trial.problem.startswith("not done: back (not-yet: ")
    assert trial.verdict is Verdict.FAIL


def test_a_solution_whose_script_fails_is_found(room: DrillRoom) -> None:
    room.errors["restore"] = CommandFailed("exited with code 3", code=3)
    assert proved(room)["solve"].problem.startswith("exited with code 3; not done")


def test_a_wrong_attempt_may_fail_in_any_way(room: DrillRoom) -> None:
    room.errors["restart"] = CommandFailed("exited with code 3", code=3)
    assert not proved(room)["restart"].problem


def test_a_lab_that_does_not_answer_is_an_error_and_is_put_back(room: DrillRoom) -> None:
    room.errors["restart"] = LabProblem("it is gone")
    with pytest.raises(LabProblem, match="it is gone"):
        proved(room)
    assert room.did[-1] == "restore-lab"
    assert not room.work.attempt.exists()


def test_a_lab_that_is_broken_is_always_on_record(room: DrillRoom) -> None:
    on_record: list[bool] = []
    room.during["require"] = lambda: on_record.append(room.work.attempt.exists())
    proved(room)
    assert on_record == [False, True, True]


def test_a_lab_that_cannot_be_broken_again_is_put_back(room: DrillRoom) -> None:
    def fail() -> None:
        if room.did.count("require") == 2:
            raise LabProblem("the engine does not answer")

    room.during["require"] = fail
    with pytest.raises(LabProblem, match="the engine does not answer"):
        proved(room)
    assert room.did[-2:] == ["require", "restore-lab"]
    assert not room.work.attempt.exists()


def test_a_proof_does_not_end_a_drill_that_began_in_between(room: DrillRoom) -> None:
    from halab.drill import play

    trials = prove(room.lab_dir, room.name, room.progress, seed=7, deps=room.deps, act=room.act)
    assert [next(trials).name, next(trials).name] == ["do nothing", "restart"]
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    room.wait(60)
    learner = play.start(room.lab_dir, room.name, room.progress, deps=room.deps)
    with pytest.raises(LabProblem, match="a drill is on"):
        next(trials)
    assert attempts.load(room.work) == learner.attempt


def test_the_drill_of_a_learner_is_not_disturbed(room: DrillRoom) -> None:
    from halab.drill import play

    play.start(room.lab_dir, room.name, room.progress, deps=room.deps)
    with pytest.raises(LabProblem, match="a drill is on"):
        proved(room)
    assert room.work.attempt.exists()


def all_proved(room: DrillRoom, *names: str) -> dict[str, tuple[Verdict, str]]:
    proofs = prove_all(room.lab_dir, names, room.progress, deps=room.deps, act=room.act)
    return {proof.drill: (proof.verdict, proof.reason) for proof in proofs}


def test_a_drill_whose_break_does_not_show_stops_no_other(room: DrillRoom) -> None:
    other = room.folder / "other.yml"
    other.write_text((room.folder / "mine.yml").read_text().replace("run: restart", "run: tried"))
    room.errors["restart"] = LabProblem("the lab does not answer")
    assert all_proved(room, room.name, str(other)) == {
        "mine": (Verdict.ERROR, "the lab does not answer"),
        "other": (Verdict.PASS, ""),
    }


def test_a_lab_that_cannot_be_put_back_ends_the_proof(room: DrillRoom) -> None:
    room.errors["restart"] = LabProblem("the lab does not answer")
    room.errors["restore-lab"] = LabProblem("the snapshot is gone")
    with pytest.raises(LabProblem, match="the snapshot is gone"):
        all_proved(room, room.name, room.name)


def test_no_drill_is_proved_if_one_cannot_be_read(room: DrillRoom) -> None:
    with pytest.raises(BadUsage, match="no such drill"):
        all_proved(room, room.name, "wrong-dor")
    assert room.did == []
