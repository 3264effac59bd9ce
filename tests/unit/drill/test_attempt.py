"""An attempt from its start to its end, also if it is interrupted."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from support.drill_room import DRILL, DrillRoom

from halab.config.drill import Violation
from halab.config.twin import Verdict
from halab.drill import attempt as attempts
from halab.drill import play
from halab.drill.attempt import Ending, Phase
from halab.drill.grade import Sighting, TaskState, ViolationState
from halab.errors import BadUsage, Corrupted, HostProblem, LabProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import versions

DONE, NOT_YET, UNCHECKED = TaskState.DONE, TaskState.NOT_YET, TaskState.UNCHECKED
SOLVED = {"back": DONE, "held-once": DONE}


@pytest.fixture
def room(tmp_path: Path) -> DrillRoom:
    return DrillRoom(tmp_path)


def start(room: DrillRoom) -> play.View:
    return play.start(room.lab_dir, room.name, room.progress, seed=7, deps=room.deps)


def check(room: DrillRoom, *, is_final: bool = False) -> play.View:
    return play.check(room.lab_dir, room.progress, is_final=is_final, deps=room.deps)


def answer(room: DrillRoom, text: str, task: str = "who") -> bool:
    return play.answer(room.lab_dir, task, text, deps=room.deps)[1]


def test_a_start_puts_the_lab_back_and_breaks_it(room: DrillRoom) -> None:
    view = start(room)
    assert room.did == ["require", "restore-lab", "break"]
    assert (view.attempt.phase, view.attempt.seed, view.attempt.chosen) == (
        Phase.RUNNING,
        7,
        {"held": ["cp2"]},
    )
    assert {task.state for task in view.grade.tasks} == {NOT_YET}


def test_the_state_is_private(room: DrillRoom) -> None:
    start(room)
    assert stat.S_IMODE(room.work.attempt.stat().st_mode) == 0o600
    assert stat.S_IMODE(room.work.drill.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in room.work.drill.rglob("*") if path.is_file()} == {
        0o600
    }


def test_a_second_drill_on_the_lab_is_refused(room: DrillRoom) -> None:
    start(room)
    with pytest.raises(LabProblem, match="a drill is running in the lab ha") as caught:
        start(room)
    assert "halab drill reset" in str(caught.value.hint)
    assert room.did.count("break") == 1


def test_commands_that_would_undo_the_break_or_tell_of_it_are_refused(room: DrillRoom) -> None:
    start(room)
    with pytest.raises(LabProblem, match="a drill is running"), labs.locked(room.lab_dir, "heal"):
        pytest.fail("the lock was given")
    with labs.locked(room.lab_dir, "start", despite=labs.Unfinished.DRILL):
        pass


def test_without_the_way_back_nothing_is_broken(room: DrillRoom) -> None:
    room.errors["require"] = LabProblem("no snapshot")
    with pytest.raises(LabProblem, match="no snapshot"):
        start(room)
    assert room.did == ["require"]
    assert not room.work.attempt.exists()


def test_a_break_that_fails_is_undone_and_no_drill_is_running(room: DrillRoom) -> None:
    room.errors["break"] = LabProblem("no visible effect")
    with pytest.raises(LabProblem, match="no visible effect"):
        start(room)
    assert room.did == ["require", "restore-lab", "break", "restore-lab"]
    assert not room.work.drill.exists()


def test_a_start_that_was_interrupted_can_only_be_reset(room: DrillRoom) -> None:
    room.errors["break"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        start(room)
    for act in (
        lambda: check(room),
        lambda: play.status(room.lab_dir, deps=room.deps),
        lambda: answer(room, "cp2"),
    ):
        with pytest.raises(LabProblem, match="the start of the drill mine was interrupted") as caught:
            act()
        assert "halab drill reset" in str(caught.value.hint)
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    assert not room.work.drill.exists()
    assert attempts.history(room.work) == []


@pytest.mark.parametrize("step", ["restore-lab", "break"])
def test_no_other_process_can_reset_a_drill_that_starts(step: str, room: DrillRoom) -> None:
    refused: list[str] = []

    def reset() -> None:
        with pytest.raises(LabProblem, match="in use: drill start") as caught:
            play.reset(room.lab_dir, room.progress, deps=room.deps)
        refused.append(str(caught.value))

    room.during[step] = reset
    start(room)
    assert refused and room.work.attempt.exists()


def test_an_attempt_goes_on_in_another_process_although_its_files_have_changed(room: DrillRoom) -> None:
    start(room)
    room.write("title: something else\n")
    (room.folder / "test_it.py").unlink()
    assert play.status(room.lab_dir, deps=room.deps).drill.title == "An API server is gone"
    assert (room.work.drill / "checks" / "test_it.py").read_text() == "def test_it(): pass\n"


def test_a_check_gives_partial_credit_and_the_attempt_goes_on(room: DrillRoom) -> None:
    start(room)
    room.found = {"back": NOT_YET, "held-once": DONE}
    view = check(room)
    assert (view.grade.points, view.outcome) == (10, None)
    assert room.work.attempt.exists()


def test_an_edge_that_held_at_an_earlier_check_stays_done(room: DrillRoom) -> None:
    start(room)
    room.found = {"back": DONE, "held-once": DONE}
    check(room)
    room.found = {"back": NOT_YET, "held-once": NOT_YET}
    assert check(room).grade.points == 10


def test_the_attempt_ends_when_all_tasks_are_done_and_the_times_are_recorded(room: DrillRoom) -> None:
    start(room)
    room.wait(30)
    assert answer(room, "cp2")
    room.wait(60)
    room.found = dict(SOLVED)
    view = check(room)
    assert view.outcome is not None
    assert (view.outcome.ending, view.outcome.verdict, view.outcome.score) == (
        Ending.COMPLETE,
        Verdict.PASS,
        100,
    )
    assert view.outcome.held == {"who": 30.0, "back": 90.0, "held-once": 90.0}
    assert attempts.history(room.work) == [view.outcome]


def test_what_the_learner_repaired_stays_until_the_grade(room: DrillRoom) -> None:
    start(room)
    room.found = dict(SOLVED)
    check(room)
    assert room.did.count("restore-lab") == 1
    play.restore(room.lab_dir, room.progress, deps=room.deps)
    assert room.did.count("restore-lab") == 2
    assert not room.work.drill.exists()


def test_a_lab_that_was_not_put_back_is_put_back_by_reset_and_graded_once(room: DrillRoom) -> None:
    start(room)
    view = check(room, is_final=True)
    assert view.outcome is not None
    with pytest.raises(LabProblem, match="is over, but the lab was not restored"):
        check(room)
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    assert len(attempts.history(room.work)) == 1
    assert not room.work.attempt.exists()


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (SOLVED, Verdict.PASS),
        ({"back": NOT_YET}, Verdict.FAIL),
        ({"back": UNCHECKED, "held-once": DONE}, Verdict.ERROR),
    ],
)
def test_a_final_check_ends_the_attempt_with_its_score(
    found: dict[str, TaskState], verdict: Verdict, room: DrillRoom
) -> None:
    start(room)
    room.found = dict(found)
    outcome = check(room, is_final=True).outcome
    assert outcome is not None
    assert (outcome.ending, outcome.verdict) == (Ending.FINAL, verdict)


def test_after_the_time_limit_the_attempt_fails_whatever_is_done(room: DrillRoom) -> None:
    start(room)
    answer(room, "cp2")
    room.wait(601)
    room.found = dict(SOLVED)
    outcome = check(room).outcome
    assert outcome is not None
    assert (outcome.ending, outcome.verdict, outcome.score) == (Ending.TIME, Verdict.FAIL, 100)


def test_a_clock_that_was_set_back_does_not_give_a_negative_time(room: DrillRoom) -> None:
    start(room)
    room.wait(-3600)
    assert check(room).seconds == 0.0


def test_a_wrong_answer_costs_a_try_and_a_closed_question_takes_no_more(room: DrillRoom) -> None:
    start(room)
    assert not answer(room, "cp1")
    assert not answer(room, "cp3")
    with pytest.raises(BadUsage, match="who is closed: no tries left"):
        answer(room, "cp2")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (" CP1 ", "was wrong before; it was not counted again"),
        ("", "an answer is missing"),
        (" \t", "an answer is missing"),
    ],
)
def test_an_answer_that_says_nothing_new_costs_no_try(text: str, what: str, room: DrillRoom) -> None:
    start(room)
    assert not answer(room, "cp1")
    with pytest.raises(BadUsage, match=what):
        answer(room, text)
    assert answer(room, "cp2")
    assert play.status(room.lab_dir, deps=room.deps).attempt.answers == {"who": ("cp1", "cp2")}


def test_a_full_disk_is_named_and_nothing_is_counted(room: DrillRoom) -> None:
    start(room)
    room.work.lock_holder.symlink_to("/dev/full")
    with pytest.raises(HostProblem, match=f"cannot write {room.work.lock_holder}: No space left") as caught:
        answer(room, "cp1")
    assert "disk is full" in str(caught.value.hint)
    assert play.status(room.lab_dir, deps=room.deps).attempt.answers == {}


def test_a_machine_may_be_answered_by_its_host_name(room: DrillRoom) -> None:
    (room.folder / "lab.yml").write_text("name: ha\nmachines: {cp2: {hostname: beta}}\n")
    made = room.work.path / "made.json"
    made.write_text(
        made.read_text().replace(
            '"cp2": "2 CPUs and 2048 MiB', '"cp2": "2 CPUs and 2048 MiB, host name beta'
        )
    )
    start(room)
    assert answer(room, "beta")


def test_a_question_is_answered_once(room: DrillRoom) -> None:
    start(room)
    assert answer(room, "CP2")
    with pytest.raises(BadUsage, match="who is answered already"):
        answer(room, "cp2")


@pytest.mark.parametrize(
    ("task", "what"),
    [("back", "back is not a question: repair the lab"), ("whom", "whom does not exist; did you mean who")],
)
def test_only_a_question_has_an_answer(task: str, what: str, room: DrillRoom) -> None:
    start(room)
    with pytest.raises(BadUsage, match=what):
        answer(room, "cp2", task)


def test_hints_come_in_order_and_cost_their_points(room: DrillRoom) -> None:
    start(room)
    assert [play.hint(room.lab_dir, deps=room.deps)[1].cost for _ in range(2)] == [5, 10]
    with pytest.raises(LabProblem, match="there are no more hints"):
        play.hint(room.lab_dir, deps=room.deps)
    room.found = dict(SOLVED)
    assert check(room).grade.score == 55


def with_hints(room: DrillRoom, hints: str) -> None:
    kept = [line for line in DRILL.splitlines() if not line.startswith("hints:")]
    room.write("\n".join([*kept, f"hints: {hints}"]))


def test_a_hint_is_free_after_its_time_and_what_was_paid_before_stays_paid(room: DrillRoom) -> None:
    with_hints(room, "[{cost: 5, after: 1m, text: a}, {cost: 10, after: 2m, text: b}, {after: 3m, text: c}]")
    start(room)
    room.wait(59)
    assert play.hint(room.lab_dir, deps=room.deps)[1].cost == 5
    room.wait(61)
    view, shown = play.hint(room.lab_dir, deps=room.deps)
    assert (shown.text, shown.cost, view.grade.cost) == ("b", 0, 5)
    with pytest.raises(LabProblem, match="the next hint comes in 60s"):
        play.hint(room.lab_dir, deps=room.deps)
    room.wait(60)
    view, shown = play.hint(room.lab_dir, deps=room.deps)
    assert (shown.text, shown.cost) == ("c", 0)
    assert [hint.cost for hint in view.hints] == [5, 0, 0]
    room.found = dict(SOLVED)
    assert check(room).grade.score == 65


HAPPENED = Sighting(ViolationState.FOUND, "3 of 9 acknowledged writes are lost")
UNKNOWN = Sighting(ViolationState.UNCHECKED, "no answer")


@pytest.fixture
def strict(room: DrillRoom) -> DrillRoom:
    """A drill that fails for a lost write."""
    room.write(DRILL + "fail_if: [lost-write]\n")
    start(room)
    return room


def test_what_must_not_happen_ends_the_attempt_at_once_although_all_tasks_are_done(
    strict: DrillRoom,
) -> None:
    strict.sighted = {Violation.LOST_WRITE: HAPPENED}
    strict.found = dict(SOLVED)
    assert answer(strict, "cp2")
    outcome = check(strict).outcome
    assert outcome is not None
    assert (outcome.ending, outcome.verdict, outcome.score) == (Ending.VIOLATION, Verdict.FAIL, 100)
    assert outcome.violations == {Violation.LOST_WRITE: HAPPENED.seen}
    assert attempts.history(strict.work) == [outcome]


def test_an_attempt_goes_on_while_what_fails_it_could_not_be_checked(strict: DrillRoom) -> None:
    strict.sighted = {Violation.LOST_WRITE: UNKNOWN}
    strict.found = dict(SOLVED)
    assert answer(strict, "cp2")
    assert check(strict).outcome is None
    strict.sighted = {}
    outcome = check(strict).outcome
    assert outcome is not None
    assert (outcome.ending, outcome.verdict) == (Ending.COMPLETE, Verdict.PASS)


def test_a_final_check_that_cannot_see_a_violation_is_no_pass(strict: DrillRoom) -> None:
    strict.sighted = {Violation.LOST_WRITE: UNKNOWN}
    strict.found = dict(SOLVED)
    outcome = check(strict, is_final=True).outcome
    assert outcome is not None
    assert (outcome.ending, outcome.verdict) == (Ending.FINAL, Verdict.ERROR)


def test_nothing_is_looked_for_in_a_drill_that_fails_for_nothing(room: DrillRoom) -> None:
    start(room)
    check(room)
    assert "look" not in room.did


def test_the_time_to_repair_ends_at_the_check_from_which_on_everything_was_done(room: DrillRoom) -> None:
    start(room)
    room.wait(30)
    room.found = {"back": DONE, "held-once": DONE}
    check(room)
    room.wait(30)
    room.found = {"back": NOT_YET, "held-once": NOT_YET}
    check(room)
    room.wait(30)
    room.found = {"back": UNCHECKED, "held-once": NOT_YET}
    check(room)
    room.wait(30)
    room.found = {"back": DONE, "held-once": NOT_YET}
    answer(room, "cp2")
    outcome = check(room).outcome
    assert outcome is not None
    assert (outcome.detected_seconds, outcome.repaired_seconds) == (30, 120)


def test_without_a_repair_only_the_first_right_answer_is_known(room: DrillRoom) -> None:
    start(room)
    room.wait(20)
    answer(room, "cp1")
    room.wait(20)
    answer(room, "cp2")
    room.found = {"back": DONE, "held-once": UNCHECKED}
    room.wait(20)
    outcome = check(room, is_final=True).outcome
    assert outcome is not None
    assert (outcome.detected_seconds, outcome.repaired_seconds) == (40, None)


def test_an_attempt_without_any_success_has_no_times(room: DrillRoom) -> None:
    start(room)
    outcome = play.give_up(room.lab_dir, deps=room.deps).outcome
    assert outcome is not None
    assert (outcome.detected_seconds, outcome.repaired_seconds) == (None, None)


def test_who_gives_up_fails_with_the_points_of_the_last_check(room: DrillRoom) -> None:
    start(room)
    room.found = dict(SOLVED)
    check(room)
    outcome = play.give_up(room.lab_dir, deps=room.deps).outcome
    assert outcome is not None
    assert (outcome.ending, outcome.verdict, outcome.score) == (Ending.GAVE_UP, Verdict.FAIL, 70)


def test_a_reset_is_in_the_history_without_a_verdict_and_is_no_progress(room: DrillRoom) -> None:
    start(room)
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    (outcome,) = attempts.history(room.work)
    assert (outcome.ending, outcome.verdict) == (Ending.RESET, None)
    assert attempts.progress_of([outcome], "mine") == "-"


def test_the_best_attempt_is_the_progress(room: DrillRoom) -> None:
    for found, expected in (
        ({"held-once": DONE}, "tried, 10 %"),
        (SOLVED, "passed, 70 %"),
        ({}, "passed, 70 %"),
    ):
        start(room)
        room.found = dict(found)
        check(room, is_final=True)
        play.restore(room.lab_dir, room.progress, deps=room.deps)
        assert attempts.progress_of(attempts.history(room.work), "mine") == expected
    assert attempts.progress_of(attempts.history(room.work), "other") == "-"


def test_texts_name_machines_only_where_the_author_did(room: DrillRoom) -> None:
    view = start(room)
    assert (
        play.text_filler(room.lab_dir, view.attempt)("{held.name} {held} {cp1} ${held}")
        == "cp2 10.213.0.12 {cp1} ${held}"
    )


def test_without_a_drill_the_commands_say_so(room: DrillRoom) -> None:
    for act in (lambda: check(room), lambda: play.reset(room.lab_dir, room.progress, deps=room.deps)):
        with pytest.raises(LabProblem, match="no drill is running"):
            act()


def test_a_state_that_was_changed_by_hand_is_named(room: DrillRoom) -> None:
    start(room)
    room.work.attempt.write_text("{}")
    with pytest.raises(Corrupted, match="cannot read .*attempt.json"):
        play.status(room.lab_dir, deps=room.deps)


@pytest.mark.parametrize("file", ["attempt.json", "drill.yml"])
def test_an_attempt_that_cannot_be_read_is_reset_but_not_in_the_history(file: str, room: DrillRoom) -> None:
    start(room)
    (room.work.drill / file).write_text("{}")
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    assert room.did[-1] == "restore-lab"
    assert not room.work.drill.exists()
    assert attempts.history(room.work) == []
    assert "the attempt is not in the history" in room.progress.lines[-1]


def test_a_reset_goes_on_after_a_restore_that_was_interrupted(room: DrillRoom) -> None:
    start(room)
    room.work.restoring.write_text("up\n")
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    assert not room.work.attempt.exists()


def test_a_reset_restores_a_lab_whose_break_was_killed_in_an_upgrade(room: DrillRoom) -> None:
    start(room)
    versions.begin(room.work, room.lab_dir.written, "1.36.5", "1.37.2")
    # no other command continues it while the drill is running
    with (
        pytest.raises(LabProblem, match="a drill is running"),
        labs.locked(room.lab_dir, "upgrade", despite=labs.Unfinished.UPGRADE),
    ):
        pytest.fail("the lock was given")
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    assert room.did[-1] == "restore-lab"


def test_a_history_that_was_changed_by_hand_is_named_with_its_line(room: DrillRoom) -> None:
    start(room)
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    with room.work.drill_history.open("a") as stream:
        stream.write("not json\n")
    with pytest.raises(Corrupted, match=r"drills.jsonl:2"):
        attempts.history(room.work)


@pytest.mark.parametrize("edited", [b"", b"{}", b"\xff\n"])
def test_a_history_that_was_edited_keeps_its_lines_and_takes_a_new_one(
    edited: bytes, room: DrillRoom
) -> None:
    room.work.drill_history.write_bytes(edited)
    start(room)
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    *before, last = room.work.drill_history.read_text().splitlines()
    assert len(before) == (1 if edited else 0)
    assert json.loads(last)["ending"] == "reset"


def test_the_history_is_lines_of_json(room: DrillRoom) -> None:
    start(room)
    play.reset(room.lab_dir, room.progress, deps=room.deps)
    (line,) = room.work.drill_history.read_text().splitlines()
    assert json.loads(line)["ending"] == "reset"
