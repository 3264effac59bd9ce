"""The author's proof: open after the break, closed by the solution, and by nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.drill_room import DRILL, DrillRoom

from halab.config.drill import Violation
from halab.config.twin import Verdict
from halab.drill import attempt as attempts
from halab.drill import play
from halab.drill.grade import Sighting, TaskState, ViolationState
from halab.drill.prove import ProofAttempt, prove_all
from halab.errors import BadUsage, CommandFailed, LabProblem

RESET = Sighting(ViolationState.FOUND, "cp2 was reset")


@pytest.fixture
def room(tmp_path: Path) -> DrillRoom:
    return DrillRoom(tmp_path)


def proved(room: DrillRoom) -> dict[str, ProofAttempt]:
    [proof] = prove_all(room.lab_dir, [room.name], room.progress, seed=7, deps=room.deps, act=room.act)
    return {trial.name: trial for trial in proof.trials}


def test_every_attempt_has_a_lab_that_was_broken_again(room: DrillRoom) -> None:
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


def test_the_solution_must_pass_as_often_as_the_author_wants(room: DrillRoom) -> None:
    def fail_again() -> None:
        if room.did.count("restore") == 2:
            raise CommandFailed("it hangs", code=1)

    room.during["restore"] = fail_again
    [proof] = prove_all(
        room.lab_dir, [room.name], room.progress, seed=7, times=2, deps=room.deps, act=room.act
    )
    assert [(trial.name, trial.verdict) for trial in proof.trials][-2:] == [
        ("solve", Verdict.PASS),
        ("solve", Verdict.FAIL),
    ]
    assert proof.verdict is Verdict.FAIL


def test_what_a_drill_fails_for_must_be_seen_in_a_wrong_attempt(room: DrillRoom) -> None:
    room.write(DRILL + "fail_if: [reset-node, lost-write]\n")
    room.during["restart"] = lambda: room.sighted.update({Violation.RESET_NODE: RESET})
    [proof] = prove_all(room.lab_dir, [room.name], room.progress, seed=7, deps=room.deps, act=room.act)
    assert {trial.verdict for trial in proof.trials} == {Verdict.PASS}
    assert (proof.verdict, proof.reason) == (
        Verdict.FAIL,
        "halab saw in no wrong attempt what `fail_if` names: lost-write",
    )


def test_a_proof_leaves_neither_an_attempt_nor_a_history(room: DrillRoom) -> None:
    proved(room)
    assert not room.work.drill.exists()
    assert attempts.history(room.work) == []


def proved_strictly(room: DrillRoom, sighting: Sighting, *, during: str) -> dict[str, ProofAttempt]:
    """A proof of a drill that fails for a reset, of which this is seen from a script or from the break on."""
    room.write(DRILL + "fail_if: [reset-node]\n")
    room.during[during] = lambda: room.sighted.update({Violation.RESET_NODE: sighting})
    return proved(room)


def test_a_wrong_attempt_may_fail_because_of_what_must_not_happen(room: DrillRoom) -> None:
    room.write(DRILL.replace("run: restart", "run: restore it") + "fail_if: [reset-node]\n")
    room.during["observe"] = lambda: (
        room.sighted.update({Violation.RESET_NODE: RESET}) if room.did.count("restore") == 1 else None
    )
    trial = proved(room)["restart"]
    assert (trial.grade.score, trial.grade.verdict, trial.problem) == (100, Verdict.FAIL, "")


@pytest.mark.parametrize(("during", "trial"), [("restore", "solve"), ("break", "do nothing")])
def test_neither_the_solution_nor_the_break_may_be_what_must_not_happen(
    during: str, trial: str, room: DrillRoom
) -> None:
    found = proved_strictly(room, RESET, during=during)[trial]
    assert (found.problem, found.verdict) == ("it fails at once: reset-node: cp2 was reset", Verdict.FAIL)


def test_a_solution_of_which_not_everything_is_known_proves_nothing(room: DrillRoom) -> None:
    trials = proved_strictly(room, Sighting(ViolationState.UNCHECKED, "cp2 is silent"), during="restore")
    found = trials["solve"]
    assert found.problem == "it might fail, because these could not be checked: reset-node (cp2 is silent)"
    assert found.verdict is Verdict.ERROR


@pytest.mark.parametrize(("during", "trial"), [("restore", "solve"), ("break", "do nothing")])
def test_what_was_seen_wins_over_what_could_not_be_checked(during: str, trial: str, room: DrillRoom) -> None:
    room.during["observe"] = lambda: room.found.update(back=TaskState.UNCHECKED)
    found = proved_strictly(room, RESET, during=during)[trial]
    assert (found.problem, found.verdict) == ("it fails at once: reset-node: cp2 was reset", Verdict.FAIL)


def test_a_drill_is_bad_if_one_attempt_shows_it_although_another_one_shows_nothing(room: DrillRoom) -> None:
    room.write(DRILL.replace("run: wait", "run: restore it"))
    room.during["restart"] = lambda: room.found.update(back=TaskState.UNCHECKED)
    [proof] = prove_all(room.lab_dir, [room.name], room.progress, seed=7, deps=room.deps, act=room.act)
    assert {trial.name: trial.verdict for trial in proof.trials} == {
        "do nothing": Verdict.PASS, "restart": Verdict.ERROR, "wait": Verdict.FAIL, "solve": Verdict.PASS,
    }  # fmt: skip
    assert proof.verdict is Verdict.FAIL


def test_a_solution_that_could_not_be_checked_proves_nothing(room: DrillRoom) -> None:
    room.during["observe"] = lambda: (
        room.found.update(back=TaskState.UNCHECKED) if "restore" in room.did else None
    )
    found = proved(room)["solve"]
    assert found.problem.startswith("not done: back (unchecked: ")
    assert found.verdict is Verdict.ERROR


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
    room.during["restart"] = lambda: room.found.update(back=TaskState.UNCHECKED)
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
    assert all_proved(room, room.name) == {"mine": (Verdict.ERROR, "it is gone")}
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
    assert all_proved(room, room.name)["mine"] == (Verdict.ERROR, "the engine does not answer")
    assert room.did[-2:] == ["require", "restore-lab"]
    assert not room.work.attempt.exists()


def test_a_proof_does_not_end_a_drill_that_began_in_between(room: DrillRoom) -> None:
    proofs = prove_all(room.lab_dir, [room.name] * 2, room.progress, deps=room.deps, act=room.act)
    assert next(proofs).verdict is Verdict.PASS
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    room.wait(60)
    learner = play.start(room.lab_dir, room.name, room.progress, deps=room.deps)
    second = next(proofs)
    assert second.verdict is Verdict.ERROR
    assert second.reason.startswith("a drill is running")
    assert not list(proofs)
    assert attempts.load(room.work) == learner.attempt


def test_the_drill_of_a_learner_is_not_disturbed(room: DrillRoom) -> None:
    play.start(room.lab_dir, room.name, room.progress, deps=room.deps)
    with pytest.raises(LabProblem, match="a drill is running"):
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


def test_the_lab_is_put_back_once_between_two_drills(room: DrillRoom) -> None:
    assert set(all_proved(room, room.name, room.name)) == {"mine"}
    assert room.did.count("restore-lab") == 7
    assert room.did[-1] == "restore-lab"
    assert not room.work.drill.exists()


def test_a_proof_that_is_interrupted_after_a_drill_leaves_what_a_reset_needs(room: DrillRoom) -> None:
    proofs = prove_all(room.lab_dir, [room.name] * 2, room.progress, seed=7, deps=room.deps, act=room.act)
    next(proofs)
    proofs.close()  # type: ignore[attr-defined]
    assert room.work.attempt.exists()
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    assert room.did[-1] == "restore-lab"


def test_a_drill_that_the_lab_cannot_have_does_not_forget_what_is_broken(room: DrillRoom) -> None:
    pair = room.folder / "pair.yml"
    pair.write_text((room.folder / "mine.yml").read_text().replace("{control_planes: 3}", "{balancers: 2}"))
    assert all_proved(room, room.name, str(pair))["pair"][0] is Verdict.SKIP
    assert room.did[-1] == "restore-lab"
    assert not room.work.attempt.exists()


def test_a_lab_that_cannot_be_put_back_ends_the_proof(room: DrillRoom) -> None:
    room.errors["restart"] = LabProblem("the lab does not answer")
    room.errors["restore-lab"] = LabProblem("the snapshot is gone")
    with pytest.raises(LabProblem, match="the snapshot is gone"):
        all_proved(room, room.name, room.name)


def test_no_drill_is_proved_if_one_cannot_be_read(room: DrillRoom) -> None:
    with pytest.raises(BadUsage, match="no such drill"):
        all_proved(room, room.name, "unreachable-ap")
    assert room.did == []


_OF_PARTS = ("break", "tasks", "hints", "solve", "wrong", "debrief")


def test_a_drill_with_parts_is_proved_until_every_part_was_drawn(room: DrillRoom) -> None:
    part = {
        "initial_situation": "It is gone.",
        "break": [{"inject": "hold-static-pod", "name": "held", "on": "cp2", "with": {"pod": "etcd"}}],
        "debrief": "It was cp2.",
    }
    names = ("a", "b", "c")
    parts = {
        name: {
            **part,
            "break": [{**part["break"][0], "name": f"held-{name}"}],  # type: ignore[dict-item]
            "tasks": {f"{name}-who": {"text": "Which?", "points": 10, "answer": "cp2"}},
        }
        for name in names
    }
    exam = {
        **{name: value for name, value in yaml.safe_load(DRILL).items() if name not in _OF_PARTS},
        "debrief": "That was all.",
        "draw": 2,
        "parts": parts,
    }
    room.write(json.dumps(exam))
    proofs = list(prove_all(room.lab_dir, [room.name], room.progress, deps=room.deps, act=room.act))
    drawn = {task.name for proof in proofs for task in proof.trials[0].grade.tasks}
    assert drawn == {"a-who", "b-who", "c-who"}
    assert len({proof.seed for proof in proofs}) == len(proofs) == 2
    one = prove_all(room.lab_dir, [room.name], room.progress, seed=3, deps=room.deps, act=room.act)
    assert [proof.seed for proof in one] == [3]
