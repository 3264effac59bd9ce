"""Programs as learners: graded as they leave the lab, whatever they do."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.drill_room import DRILL, DrillRoom

from halab.config.twin import Verdict
from halab.drill import attempt as attempts
from halab.drill import play
from halab.drill.benchmark import Responder, ResponderAttempt, Response, as_data, benchmark, scores
from halab.drill.grade import TaskState
from halab.errors import BadUsage, LabProblem
from halab.lifecycle.lab import LabDir

DONE = TaskState.DONE


@pytest.fixture
def room(tmp_path: Path) -> DrillRoom:
    return DrillRoom(tmp_path)


def attempted(room: DrillRoom, act: Callable[[], int | None], *, count: int = 1) -> list[ResponderAttempt]:
    def respond(lab_dir: LabDir, briefing: str, log: Path) -> Response:
        room.did.append(f"seed {json.loads(briefing)['seed']}")
        return Response(act(), 1.0, log)

    made: Iterator[ResponderAttempt] = benchmark(
        room.lab_dir, [room.name], respond, room.progress,
        count=count, seed=7, deps=room.deps,
    )  # fmt: skip
    return list(made)


def solve(room: DrillRoom) -> int:
    room.wait(30)
    room.found = {"back": DONE, "held-once": DONE}
    play.answer(room.lab_dir, "who", "cp2", deps=room.deps)
    return 0


def test_every_attempt_has_a_restored_lab_and_a_seed_of_its_own(room: DrillRoom) -> None:
    made = attempted(room, lambda: solve(room), count=2)
    assert [each.verdict for each in made] == [Verdict.PASS, Verdict.PASS]
    begin = ["require", "restore-lab", "break"]
    assert room.did == [
        *begin, "seed 7", "observe", "restore-lab",
        *begin, "seed 8", "observe", "restore-lab",
    ]  # fmt: skip
    assert not room.work.drill.exists()
    assert [outcome.seed for outcome in attempts.history(room.work)] == [7, 8]


def test_an_attempt_is_graded_as_the_responder_left_it(room: DrillRoom) -> None:
    def half() -> int:
        room.found = {"back": DONE, "held-once": TaskState.NOT_YET}
        return 3

    [made] = attempted(room, half)
    assert made.verdict is Verdict.FAIL
    assert made.outcome and made.outcome.score == 60
    assert as_data(made)["verdict"] == "fail"
    assert as_data(made)["responder"] == {
        "code": 3, "timed_out": False, "seconds": 1.0,
        "log": str(room.work.runs / "responders" / "20261128-120000-mine.log"),
    }  # fmt: skip


def test_a_responder_that_ends_the_drill_itself_has_that_grade(room: DrillRoom) -> None:
    def end() -> int:
        solve(room)
        play.check(room.lab_dir, room.progress, deps=room.deps)
        play.restore(room.lab_dir, room.progress, deps=room.deps)
        return 0

    [made] = attempted(room, end)
    assert made.verdict is Verdict.PASS
    assert room.did.count("observe") == 1


def test_a_responder_that_was_ended_while_it_restored_the_lab_has_its_grade(room: DrillRoom) -> None:
    def end() -> None:
        solve(room)
        play.check(room.lab_dir, room.progress, deps=room.deps)

    [made] = attempted(room, end)
    assert (made.verdict, made.reason) == (Verdict.PASS, "")
    assert made.response and made.response.code is None
    assert room.did[-1] == "restore-lab"


def test_a_responder_that_gives_up_or_resets_fails(room: DrillRoom) -> None:
    def reset() -> int:
        play.reset(room.lab_dir, room.progress, deps=room.deps)
        return 0

    [made] = attempted(room, reset)
    assert made.verdict is Verdict.FAIL
    assert made.outcome and made.outcome.verdict is None


def test_an_attempt_that_could_not_be_graded_is_an_error_and_the_next_one_is_made(room: DrillRoom) -> None:
    room.errors["observe"] = LabProblem("no machine answers")

    def mend_later() -> int:
        if len(room.did) > 6:
            room.errors.clear()
        return solve(room)

    made = attempted(room, mend_later, count=2)
    assert [(each.verdict, each.reason) for each in made] == [
        (Verdict.ERROR, "no machine answers"), (Verdict.PASS, ""),
    ]  # fmt: skip


def test_an_attempt_whose_faults_have_no_visible_effect_is_an_error_and_the_next_one_is_made(
    room: DrillRoom,
) -> None:
    room.errors["break"] = LabProblem("the injected faults had no visible effect")

    def break_again() -> None:
        if "break" in room.did:
            room.errors.clear()

    room.during["require"] = break_again
    made = attempted(room, lambda: solve(room), count=2)
    assert [(each.verdict, each.reason, each.response is None) for each in made] == [
        (Verdict.ERROR, "the injected faults had no visible effect", True), (Verdict.PASS, "", False),
    ]  # fmt: skip
    assert [score.errors for score in scores(made)] == [1]


def test_a_lab_that_cannot_be_restored_ends_the_benchmark(room: DrillRoom) -> None:
    room.errors["restore-lab"] = LabProblem("the snapshot is gone")
    with pytest.raises(LabProblem, match="the snapshot is gone"):
        attempted(room, lambda: 0, count=2)
    assert room.did == ["require", "restore-lab", "restore-lab"]


def test_a_drill_that_the_lab_cannot_run_is_skipped_once(room: DrillRoom) -> None:
    room.write(DRILL.replace("control_planes: 3", "control_planes: 5"))
    [made] = attempted(room, lambda: 0, count=3)
    assert made.verdict is Verdict.SKIP
    assert "5 are needed" in made.reason or "control planes" in made.reason
    assert scores([made]) == []


def test_an_unknown_drill_stops_everything_before_the_first_attempt(room: DrillRoom) -> None:
    with pytest.raises(BadUsage):
        list(benchmark(room.lab_dir, [room.name, "none"], lambda *_: Response(0, 1, Path()),
                       room.progress, deps=room.deps))  # fmt: skip
    assert room.did == []


def test_scores_have_the_medians_of_what_was_graded(room: DrillRoom) -> None:
    made = attempted(room, lambda: solve(room), count=2)
    made.append(ResponderAttempt("mine", 9, reason="no"))
    [score] = scores(made)
    assert (score.attempts, score.passed, score.errors) == (3, 2, 1)
    assert (score.median_score, score.median_seconds) == (100, 30)
    [empty] = scores([ResponderAttempt("mine", 9, reason="no")])
    assert (empty.median_score, empty.median_seconds) == (None, None)
    assert as_data(made[-1])["outcome"] is None


def test_a_responder_gets_the_briefing_and_all_variables_in_the_folder_of_the_lab(
    room: DrillRoom, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KEY_OF_THE_RESPONDER", "42")
    script = "import os, sys; print(sys.stdin.read(), os.environ['KEY_OF_THE_RESPONDER'], os.getcwd()); sys.exit(4)"
    log = tmp_path / "log"
    response = Responder([sys.executable, "-c", script], 60).respond(room.lab_dir, "situation", log)
    assert response.code == 4
    assert log.read_text() == f"situation 42 {tmp_path}\n"


def test_a_responder_is_ended_after_its_limit(room: DrillRoom, tmp_path: Path) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    response = Responder(sleeper, 0.2).respond(room.lab_dir, "", tmp_path / "log")
    assert response.code is None


def test_a_responder_need_not_read_its_input(room: DrillRoom, tmp_path: Path) -> None:
    response = Responder(["true"], 60).respond(room.lab_dir, "x" * 10**6, tmp_path / "log")
    assert response.code == 0
