"""`halab drill`: what a learner and an author see."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.drill_room import DRILL, DrillRoom

from halab.cli import main
from halab.config.drill import Violation
from halab.config.twin import Verdict
from halab.drill import attempt, benchmark, library, play, prove
from halab.drill.attempt import Ending, Outcome
from halab.drill.grade import Sighting, TaskState, ViolationState
from halab.errors import LabProblem

Shown = pytest.CaptureFixture[str]
DONE, NOT_YET, UNCHECKED = TaskState.DONE, TaskState.NOT_YET, TaskState.UNCHECKED
SECRETS = ("hold-static-pod", "cp2")


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DrillRoom:
    """A lab on which drills only seem to happen."""
    made = DrillRoom(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("start", "status", "check", "answer", "hint", "give_up", "reset", "restore"):
        monkeypatch.setattr(play, name, partial(getattr(play, name), deps=made.deps))
    monkeypatch.setattr(prove, "prove_all", partial(prove.prove_all, deps=made.deps, act=made.act))
    monkeypatch.setattr(benchmark, "benchmark", partial(benchmark.benchmark, deps=made.deps))
    return made


def started(capsys: Shown) -> str:
    assert main(["drill", "start", "./mine.yml", "--seed", "7"]) == 0
    return capsys.readouterr().out


def checked(capsys: Shown, *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["drill", "check", "--json", *words])
    return code, json.loads(capsys.readouterr().out)


def test_a_start_tells_the_situation_the_objective_and_the_tasks_and_nothing_of_the_break(
    room: DrillRoom, capsys: Shown
) -> None:
    shown = started(capsys)
    for told in (
        "One is missing.",
        "All are back.",
        "All answer.",
        "Which machine?",
        "you need 70 % of 100 points to pass",
    ):
        assert told in shown
    assert not [secret for secret in SECRETS if secret in shown]


def test_the_status_and_the_json_tell_nothing_of_the_break(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    room.found = {"back": NOT_YET, "held-once": NOT_YET}
    for words in (["check"], ["status"], ["status", "--json"], ["check", "--json"], ["list"]):
        main(["drill", *words])
    shown = capsys.readouterr()
    assert not [
        secret for secret in SECRETS if secret in shown.out.replace("held-once on cp2", "") + shown.err
    ]


def test_a_task_that_could_not_be_asked_says_why(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    room.found = {"back": UNCHECKED}
    main(["drill", "check"])
    assert "could not be checked: back on cp2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "code"),
    [({"back": NOT_YET, "held-once": DONE}, 1), ({"back": NOT_YET, "held-once": UNCHECKED}, 1)],
)
def test_a_check_that_leaves_tasks_exits_with_1(
    found: dict[str, TaskState], code: int, room: DrillRoom, capsys: Shown
) -> None:
    started(capsys)
    room.found = found
    assert checked(capsys)[0] == code


def test_a_check_exits_with_3_if_only_what_could_not_be_asked_is_left(
    room: DrillRoom, capsys: Shown
) -> None:
    started(capsys)
    main(["drill", "answer", "who", "cp2"])
    capsys.readouterr()
    room.found = {"back": UNCHECKED, "held-once": DONE}
    assert checked(capsys)[0] == 3


def test_a_drill_that_is_passed_shows_its_debrief_and_the_lab_is_put_back(
    room: DrillRoom, capsys: Shown
) -> None:
    started(capsys)
    assert main(["drill", "answer", "who", "cp2"]) == 0
    room.found = {"back": DONE, "held-once": DONE}
    room.wait(65)
    assert main(["drill", "check"]) == 0
    shown = capsys.readouterr().out
    assert "mine: passed (all tasks are done or have no tries left, after 65s)" in shown
    assert "It was cp2." in shown
    assert room.did[-1] == "restore-lab"
    assert main(["drill", "status"]) == 3


def test_a_debrief_keeps_its_lists_and_its_lines_of_code(room: DrillRoom, capsys: Shown) -> None:
    debrief = "|\n  It was\n  {held.name}.\n\n  - One\n    item.\n  - Another.\n\n      a line\n"
    debrief += "\n  1. Look.\n\n  The end.\n"
    room.write(DRILL.replace("debrief: It was {held.name}.\n", f"debrief: {debrief}"))
    started(capsys)
    assert main(["drill", "give-up"]) == 0
    shown = capsys.readouterr().out
    assert (
        "Debrief\n  It was cp2.\n  - One item.\n  - Another.\n      a line\n  1. Look.\n\n  The end.\n"
        in shown
    )


def test_the_end_has_the_timeline_of_the_attempt(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    room.wait(10)
    assert main(["drill", "hint"]) == 0
    assert main(["drill", "answer", "who", "cp1"]) == 1
    room.found = {"back": DONE, "held-once": DONE}
    room.wait(30)
    assert main(["drill", "check"]) == 1
    room.found = {"back": NOT_YET, "held-once": NOT_YET}
    room.wait(60)
    assert main(["drill", "check", "--final"]) == 1
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.partition("Timeline\n")[2].partition("\n\n")[0].splitlines()] == [
        line.split()
        for line in (
            "10s hint 1, for 5 points",
            "10s answer to who: cp1 (wrong)",
            "40s check 1: back and held-once are done",
            "100s check 2: back is no longer done",
        )
    ]
    [outcome] = attempt.history(room.work)
    assert [moment.kind for moment in outcome.timeline] == ["hint", "answer", "check", "check"]


def test_a_final_check_that_fails_exits_with_1(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    code, data = checked(capsys, "--final")
    assert (code, data["verdict"], data["ending"]) == (1, "fail", "final")
    assert data["debrief"] == "It was cp2."


def test_the_json_of_an_attempt_has_its_tasks_and_its_score(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    room.found = {"back": DONE}
    _, data = checked(capsys)
    assert (data["points"], data["total"], data["score"], data["verdict"]) == (60, 100, 60, None)
    states = {task["name"]: (task["state"], task["is_question"]) for task in data["tasks"]}
    assert states == {"back": ("done", False), "held-once": ("not-yet", False), "who": ("not-yet", True)}


def test_a_wrong_answer_exits_with_1_and_says_how_many_tries_are_left(
    room: DrillRoom, capsys: Shown
) -> None:
    started(capsys)
    assert main(["drill", "answer", "who", "cp1"]) == 1
    assert capsys.readouterr().out == "wrong; 1 try left\n"


@pytest.mark.parametrize("words", [["who", "--no-such-flag"], ["--", "who", "--json"], ["who", "-1"]])
def test_an_answer_may_begin_with_a_dash(room: DrillRoom, words: list[str], capsys: Shown) -> None:
    room.write(DRILL.replace('answer: "{held.name}"', f'answer: "{words[-1]}"'))
    started(capsys)
    assert main(["drill", "answer", *words]) == 0
    assert capsys.readouterr().out == "right\n"


def test_the_answer_that_leaves_nothing_to_do_says_how_to_end_the_drill(
    room: DrillRoom, capsys: Shown
) -> None:
    started(capsys)
    room.found = {"back": DONE, "held-once": DONE}
    checked(capsys)
    assert main(["drill", "answer", "who", "cp1"]) == 1
    assert "ends the drill" not in capsys.readouterr().err
    assert main(["drill", "answer", "who", "cp2"]) == 0
    assert "`halab drill check` ends the drill" in capsys.readouterr().err


def test_a_task_is_told_with_the_names_of_machines_and_what_it_waits_for(
    room: DrillRoom, capsys: Shown
) -> None:
    text = (room.folder / "mine.yml").read_text()
    text = text.replace("text: All answer.", 'needs: [who], text: "{held.name} has \\\\{held}."')
    room.write(text.replace("is gone", "is \\{gone}"))
    told = "cp2 has {held}."
    assert told in started(capsys)
    room.found = {"back": DONE}
    assert checked(capsys)[1]["tasks"][0]["text"] == told
    main(["drill", "status"])
    shown = capsys.readouterr().out
    assert "waiting: counts when the task `who` is done" in shown
    assert "An API server is {gone} (mine:" in shown


def test_a_hint_is_shown_with_its_cost_and_stays_in_the_status(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    assert main(["drill", "hint"]) == 0
    assert capsys.readouterr().out == "Not cp2?\n(5 points)\n"
    main(["drill", "status"])
    assert "Hint 1 (5 points)\n  Not cp2?" in capsys.readouterr().out


HINTS = "hints: [{cost: 5, after: 1m, text: one}, {after: 2m, text: two}, {cost: 3, text: three}]"


def test_the_status_says_what_the_next_hint_costs_or_when_it_comes(room: DrillRoom, capsys: Shown) -> None:
    room.write("\n".join(HINTS if line.startswith("hints:") else line for line in DRILL.splitlines()))
    started(capsys)

    def last_line() -> str:
        main(["drill", "status"])
        return capsys.readouterr().out.splitlines()[-1].partition(" hints shown")[2]

    assert last_line() == "; the next one costs 5 points, and is free after 60s"
    room.wait(60)
    assert last_line() == "; the next one is free"
    main(["drill", "hint"])
    assert capsys.readouterr().out == "one\n(0 points)\n"
    assert last_line() == "; the next one comes after 2m"
    assert main(["drill", "hint"]) == 3
    assert "the next hint comes in 60s" in capsys.readouterr().err
    room.wait(60)
    main(["drill", "hint"])
    assert last_line() == "; the next one costs 3 points"
    assert main(["drill", "hint"]) == 0
    assert last_line() == ""


def test_a_start_tells_what_must_not_happen_and_a_check_that_it_happened(
    room: DrillRoom, capsys: Shown
) -> None:
    room.write(DRILL + "fail_if: [lost-write, reset-node]\n")
    told = started(capsys)
    assert (
        "Must not happen (the drill fails at once)\n  - A write that the API has acknowledged is lost."
        in told
    )
    room.sighted = {Violation.LOST_WRITE: Sighting(ViolationState.UNCHECKED, "no answer")}
    assert main(["drill", "check"]) == 1
    assert "  ? A write that the API has acknowledged is lost. This could not be checked: no answer" in (
        capsys.readouterr().out
    )
    room.sighted = {Violation.RESET_NODE: Sighting(ViolationState.FOUND, "cp2 was reset")}
    assert main(["drill", "check"]) == 1
    shown = capsys.readouterr().out
    assert (
        "  ✗ A control plane is reset (`kubeadm reset`) and joins again. This must not happen: cp2 was reset"
        in shown
    )
    assert "mine: failed (something happened that must not happen, after" in shown
    assert room.did[-1] == "restore-lab"


def test_a_check_exits_with_3_if_only_what_must_not_happen_could_not_be_checked(
    room: DrillRoom, capsys: Shown
) -> None:
    room.write(DRILL + "fail_if: [lost-write]\n")
    started(capsys)
    main(["drill", "answer", "who", "cp2"])
    capsys.readouterr()
    room.found = {"back": DONE, "held-once": DONE}
    room.sighted = {Violation.LOST_WRITE: Sighting(ViolationState.UNCHECKED, "no answer")}
    code, data = checked(capsys)
    assert (code, data["verdict"]) == (3, None)
    assert data["must_not_happen"] == [
        {"name": "lost-write", "text": "A write that the API has acknowledged is lost.", "state": "unchecked",
         "seen": "no answer"}
    ]  # fmt: skip


def test_the_end_has_the_time_to_detect_and_the_time_to_repair(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    room.wait(65)
    main(["drill", "answer", "who", "cp2"])
    room.found = {"back": DONE, "held-once": DONE}
    room.wait(120)
    capsys.readouterr()
    assert main(["drill", "check"]) == 0
    assert "\n  first progress seen after 65s, all repairs seen after 3m5s\n" in capsys.readouterr().out
    main(["drill", "history", "--json"])
    [outcome] = json.loads(capsys.readouterr().out)
    assert (outcome["detected_seconds"], outcome["repaired_seconds"]) == (65, 185)


def test_giving_up_explains_the_solution(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    assert main(["drill", "give-up"]) == 0
    shown = capsys.readouterr().out
    for told in (
        "mine: failed (given up",
        "It was cp2.",
        "Answer to who\n  cp2",
        "Solution, on cp2",
        "restore {self}",
    ):
        assert told in shown
    assert room.did[-1] == "restore-lab"


def test_the_history_and_the_list_have_the_result(room: DrillRoom, capsys: Shown) -> None:
    started(capsys)
    main(["drill", "check", "--final"])
    capsys.readouterr()
    assert main(["drill", "history"]) == 0
    assert "mine   failed" in capsys.readouterr().out
    assert main(["drill", "history", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == "fail"


def test_the_list_has_all_drills_also_without_a_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["drill", "list", "--json"]) == 0
    assert {each["name"] for each in json.loads(capsys.readouterr().out)} == set(library.names())


def test_the_list_is_grouped_by_course_counts_what_was_passed_and_names_the_next_drill(
    room: DrillRoom, capsys: Shown
) -> None:
    first = library.find("find-the-dead-member")
    outcome = Outcome(
        first.name, first.drill.title, 7, room.at, 60.0, Ending.COMPLETE, Verdict.PASS, 95, 95, 5, 100, 1, 2,
        {}, {},
    )  # fmt: skip
    attempt.record(room.work, outcome)
    assert main(["drill", "list"]) == 0
    shown = capsys.readouterr()
    begun = next(line for line in shown.out.splitlines() if line.startswith("First steps"))
    assert re.fullmatch(r"First steps \(1 of \d+ passed\)", begun)
    assert re.search(
        r"^  find-the-dead-member +easy +10m +passed, 95 % +Find the etcd leader", shown.out, re.MULTILINE
    )
    assert "next: `halab drill start " in shown.err
    assert "start find-the-dead-member`" not in shown.err


def test_the_list_marks_the_drills_that_need_another_lab(room: DrillRoom, capsys: Shown) -> None:
    assert main(["drill", "list"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^  two-masters +hard +20m +not in this lab ", shown, re.MULTILINE)
    assert re.search(r"^  unreachable-api +easy +10m +- ", shown, re.MULTILINE)
    assert main(["drill", "list", "--json"]) == 0
    lacking = {each["name"]: each["lacking"] for each in json.loads(capsys.readouterr().out)}
    assert lacking["two-masters"] == ["the lab has 1 load balancer, and 2 are needed"]
    assert lacking["unreachable-api"] == []


def test_a_start_names_the_drills_that_should_have_come_before(room: DrillRoom, capsys: Shown) -> None:
    room.write((room.folder / "mine.yml").read_text() + "needs: [unreachable-api]\n")
    assert main(["drill", "start", "./mine.yml"]) == 0
    assert "this drill is easier after unreachable-api" in capsys.readouterr().err


def test_an_interrupted_start_names_the_command_that_puts_the_lab_back(
    room: DrillRoom, capsys: Shown
) -> None:
    room.errors["break"] = KeyboardInterrupt()
    assert main(["drill", "start", "./mine.yml"]) == 130
    assert "`halab drill reset` ends the drill" in capsys.readouterr().err
    assert main(["drill", "reset"]) == 0
    assert not room.work.attempt.exists()


@pytest.mark.parametrize("words", [["check", "--final"], ["give-up"]])
def test_an_end_that_cannot_be_shown_names_the_command_that_puts_the_lab_back(
    words: list[str], room: DrillRoom, capsys: Shown
) -> None:
    started(capsys)
    (room.folder / "lab.yml").write_text("name: ha\nnetwork: 10.9.8.0/24\n")
    assert main(["drill", *words]) == 3
    shown = capsys.readouterr().err
    assert "but lab.yml now names 10.9.8.0/24" in shown
    assert "`halab drill reset` ends the drill and restores the lab" in shown


def test_a_drill_starts_although_the_history_cannot_be_read(room: DrillRoom, capsys: Shown) -> None:
    room.work.drill_history.write_text("edited\n")
    started(capsys)
    assert room.work.attempt.exists()


def test_an_unknown_drill_is_named_with_its_neighbour(room: DrillRoom, capsys: Shown) -> None:
    assert main(["drill", "start", "unreachable-ap"]) == 2
    assert "no such drill: unreachable-ap; did you mean unreachable-api?" in capsys.readouterr().err


def test_a_proof_shows_every_attempt_and_its_tasks(room: DrillRoom, capsys: Shown) -> None:
    assert main(["drill", "prove", "./mine.yml"]) == 0
    shown = capsys.readouterr().out
    for line in ("✓ do nothing: 0 %", "✓ restart: 30 %", "✓ solve: 100 %"):
        assert line in shown


def test_a_proof_shows_what_must_not_happen(room: DrillRoom, capsys: Shown) -> None:
    room.write(DRILL + "fail_if: [lost-write]\n")
    lost = Sighting(ViolationState.FOUND, "1 of 9 is lost")
    room.during["restart"] = lambda: room.sighted.update({Violation.LOST_WRITE: lost})
    assert main(["drill", "prove", "./mine.yml", "--json"]) == 0
    [proof] = json.loads(capsys.readouterr().out)
    assert {each["name"]: each["violations"]["lost-write"]["state"] for each in proof["attempts"]} == {
        "do nothing": "absent", "restart": "found", "wait": "absent", "solve": "absent",
    }  # fmt: skip
    room.during["restart"] = lambda: room.sighted.update({Violation.LOST_WRITE: lost})
    assert main(["drill", "prove", "./mine.yml"]) == 0
    assert "      lost-write: found (1 of 9 is lost)\n" in capsys.readouterr().out


def test_a_proof_that_fails_exits_with_1_and_says_why(room: DrillRoom, capsys: Shown) -> None:
    room.write((room.folder / "mine.yml").read_text().replace("run: wait", "run: restore it"))
    assert main(["drill", "prove", "./mine.yml", "--json"]) == 1
    [proof] = json.loads(capsys.readouterr().out)
    assert (proof["drill"], proof["verdict"]) == ("mine", "fail")
    trials = {trial["name"]: trial for trial in proof["attempts"]}
    assert trials["wait"]["verdict"] == "fail"
    assert "it passes with 100 %" in trials["wait"]["problem"]


def test_a_proof_wants_names_or_all(room: DrillRoom, capsys: Shown) -> None:
    for words in ([], ["unreachable-api", "--all"]):
        assert main(["drill", "prove", *words]) == 2
        assert "name drills, or use --all" in capsys.readouterr().err
    assert room.did == []


def test_a_proof_of_several_drills_skips_those_that_the_lab_cannot_have(
    room: DrillRoom, capsys: Shown
) -> None:
    pair = room.folder / "pair.yml"
    pair.write_text((room.folder / "mine.yml").read_text().replace("{control_planes: 3}", "{balancers: 2}"))
    assert main(["drill", "prove", "./pair.yml", "./mine.yml"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^- pair \(seed \d+\): skip$", shown, re.MULTILINE)
    assert "and 2 are needed" in shown
    assert re.search(r"^✓ mine \(seed \d+\): pass$", shown, re.MULTILINE)


def test_a_proof_that_only_skips_exits_with_3(room: DrillRoom) -> None:
    room.write((room.folder / "mine.yml").read_text().replace("{control_planes: 3}", "{balancers: 2}"))
    assert main(["drill", "prove", "./mine.yml"]) == 3


def test_a_lab_without_a_snapshot_is_named(room: DrillRoom, capsys: Shown) -> None:
    room.errors["require"] = LabProblem(
        "the lab ha has no snapshot that `halab up` saved", hint="rebuild it"
    )
    assert main(["drill", "start", "./mine.yml"]) == 3
    assert "no snapshot" in capsys.readouterr().err


def test_a_benchmark_prints_a_line_for_each_attempt_and_a_table(room: DrillRoom, capsys: Shown) -> None:
    words = ["drill", "benchmark", "./mine.yml", "--responder", "false", "--attempts", "2", "--seed", "7"]
    assert main(words) == 1
    shown = capsys.readouterr()
    assert "✗ mine (seed 7): failed, 0 % after 0s" in shown.err
    assert "the responder exited with code 1: " in shown.err
    assert shown.out.splitlines() == [
        "DRILL  ATTEMPTS  PASSED  NOT GRADED  MEDIAN SCORE  MEDIAN TIME",
        "mine   2         0       0           0 %           0s",
    ]


def test_the_responder_gets_the_situation_and_the_tasks_and_not_the_break(
    room: DrillRoom, capsys: Shown
) -> None:
    words = ["drill", "benchmark", "./mine.yml", "--responder", "cat", "--json"]
    assert main(words) == 1
    [each] = json.loads(capsys.readouterr().out)
    told = Path(each["responder"]["log"]).read_text()
    assert json.loads(told)["situation"] == "One is missing."
    assert not [secret for secret in SECRETS if secret in told]
    assert each["outcome"]["ending"] == "final"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--responder", "a 'b"], "--responder: "),
        (["--responder", ""], "--responder needs a command"),
        (["--responder", "true", "--limit", "soon"], " --limit: should be a time"),
    ],
)
def test_a_benchmark_without_a_usable_responder_is_a_usage_error(
    words: list[str], said: str, room: DrillRoom, capsys: Shown
) -> None:
    assert main(["drill", "benchmark", "./mine.yml", *words]) == 2
    assert said in capsys.readouterr().err
    assert room.did == []


@pytest.mark.parametrize(
    "words",
    [
        ["benchmark", "./mine.yml", "--responder", "true", "--attempts", "9", "--json"],
        ["prove", "./mine.yml", "unreachable-api", "--json"],
    ],
)
def test_what_has_ended_before_an_interruption_is_printed(
    words: list[str], room: DrillRoom, capsys: Shown
) -> None:
    def interrupt() -> None:
        # the first attempt has ended, or all of the first drill
        if room.did.count("break") == (2 if words[0] == "benchmark" else 5):
            raise KeyboardInterrupt

    room.during["break"] = interrupt
    assert main(["drill", *words]) == 130
    shown = capsys.readouterr()
    assert [each["drill"] for each in json.loads(shown.out)] == ["mine"]
    assert "`halab drill reset` ends the drill" in shown.err


@pytest.mark.parametrize("program", ["./no-such-program", "no-such-program", "./mine.yml"])
def test_a_responder_that_does_not_exist_is_refused_before_the_lab_is_broken(
    program: str, room: DrillRoom, capsys: Shown
) -> None:
    assert main(["drill", "benchmark", "./mine.yml", "--responder", f"{program} --fast"]) == 2
    assert f"no such program: {program}" in capsys.readouterr().err
    assert room.did == []


def test_a_responder_that_cannot_be_run_names_the_way_to_restore_the_lab(
    room: DrillRoom, capsys: Shown
) -> None:
    program = room.folder / "responder"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    assert main(["drill", "benchmark", "./mine.yml", "--responder", "./responder"]) == 3
    assert "halab drill reset" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["prove", "--all"], ["benchmark", "unreachable-api", "--responder", "true"]]
)
def test_without_a_lab_one_error_is_enough(words: list[str], room: DrillRoom, capsys: Shown) -> None:
    (room.folder / "lab.yml").write_text("name: other\n")
    assert main(["drill", *words]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("error:") == 1
    assert "hint:" in shown.err


def test_an_author_who_checks_a_file_is_told_the_command(room: DrillRoom, capsys: Shown) -> None:
    assert main(["drill", "check", "./mine.yml"]) == 2
    assert "`halab drill prove ./mine.yml` checks a drill file" in capsys.readouterr().err


def test_a_cost_of_one_point_is_one_point(room: DrillRoom, capsys: Shown) -> None:
    room.write(DRILL.replace("cost: 5", "cost: 1"))
    started(capsys)
    assert main(["drill", "hint"]) == 0
    assert "(1 point)" in capsys.readouterr().out
    main(["drill", "status"])
    assert "Hint 1 (1 point)" in capsys.readouterr().out
