"""What a served lab publishes: the lab as it is, its drill without its secrets, and every trouble in words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from support.fakes import Recorded
from support.serve_room import ServeRoom

from halab.drill import play
from halab.drill.grade import TaskState
from halab.errors import HalabError
from halab.serve import pages
from halab.serve.jobs import Job
from halab.serve.served_lab import ServedLab

DONE = TaskState.DONE
# The drill's name, its fault, the machine that it hit, its solution, its second hint and its debrief.
SECRETS = ("mine", "hold-static-pod", "restore", "Look.", "It was", "seed")


def nothing() -> None:
    """Nothing happens at this tick."""


def test_a_lab_in_order_is_shown_with_its_machines_leaders_backends_and_probes(room: ServeRoom) -> None:
    live = room.watch(nothing).boards.learner["live"]
    assert (live["status"], live["headline"]) == ("good", "Clients are served")
    machines = {machine["name"]: machine for machine in live["machines"]}
    assert machines["cp1"] == {
        "name": "cp1", "power": "running", "node": "ready", "backend": "up", "record": "",
            "leads": ["etcd", "scheduler"],
    }  # fmt: skip
    lanes = {(lane["name"], lane["machine"]): lane for lane in live["lanes"]}
    assert lanes["ready-direct", "cp2"]["ok"]
    assert set(lanes["ready-via-lb", None]["marks"]) <= set("01234 ")


@pytest.mark.parametrize(
    ("failing", "status", "headline"),
    [
        ({"lb"}, "bad", "Client requests fail"),
        ({"cp2"}, "odd", "Clients are served; probes fail on cp2"),
    ],
)
def test_failures_are_in_the_headline(
    room: ServeRoom, failing: set[str], status: str, headline: str
) -> None:
    room.failing = failing
    live = room.watch(nothing).boards.learner["live"]
    assert (live["status"], live["headline"]) == (status, headline)
    failed = [lane for lane in live["lanes"] if not lane["ok"]]
    assert failed
    assert all("x" in lane["marks"] and lane["detail"] == "timed out" for lane in failed)


@pytest.mark.parametrize(
    ("reading", "card", "words"),
    [
        ("true", "good", "node ready"),
        ("false", "bad", "node not ready"),
        # a kubelet that is gone sends no heartbeat
        ("unknown", "bad", "node not ready (no heartbeat)"),
        (None, "unknown", "no reading of the node"),
    ],
)
def test_the_card_of_a_machine_has_the_colour_of_its_node(
    room: ServeRoom, reading: str | None, card: str, words: str
) -> None:
    room.nodes = {"cp2": reading}
    live = pages.learner_regions(room.watch(nothing).boards.learner)["live"]
    shown = re.search(r'<li class="(\w+)">\s*<b>cp2</b>(.*?)</li>', live, re.DOTALL)
    assert shown
    assert shown[1] == card
    assert f">{words}</span>" in shown[2]


def test_open_faults_are_shown(room: ServeRoom) -> None:
    room.faults = ["cut-power on cp2"]
    assert room.watch(nothing).boards.learner["live"]["faults"] == ["cut-power on cp2"]


def test_a_learner_gets_the_situation_the_tasks_and_the_time_and_nothing_that_is_hidden(
    room: ServeRoom,
) -> None:
    room.start()
    room.drill.found = {"back": TaskState.NOT_YET, "held-once": DONE}
    play.check(room.drill.lab_dir, Recorded(), deps=room.drill.deps)
    room.drill.wait(65)
    board = room.watch(nothing).boards.learner
    drill = board["drill"]
    assert (drill["situation"], drill["seconds"], drill["time_limit_seconds"]) == (
        "One is missing.",
        65.0,
        600.0,
    )
    assert [task["state"] for task in drill["tasks"]] == ["not-yet", "done", "not-yet"]
    assert (drill["hints"], drill["next_hint"]) == ([], {"cost": 5, "free_after_seconds": None})
    # the board of the lab names all machines
    written = json.dumps(drill)
    assert not [secret for secret in (*SECRETS, "cp2") if secret in written]


def test_a_trainer_gets_what_is_hidden(room: ServeRoom) -> None:
    room.start()
    hidden = room.watch(nothing).boards.hidden
    assert (hidden["drill"], hidden["seed"], hidden["is_on"]) == ("mine", 7, True)
    assert hidden["broken"] == [
        {"fault": "hold-static-pod", "machines": ["cp2"], "options": "pod=kube-apiserver"}
    ]
    assert hidden["answers"] == {"who": "cp2"}
    assert hidden["solution"] == [{"machines": "cp2", "script": "restore {self}"}]


def test_the_view_says_nothing_while_the_lab_is_prepared_and_begins_again_with_the_drill(
    room: ServeRoom,
) -> None:
    seen: list[dict[str, Any]] = []

    def begin_to_prepare() -> None:
        # an interrupted start leaves this phase
        room.drill.errors["break"] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            room.start()
        room.failing = {"lb"}

    def break_it() -> None:
        seen.append(room.lab.boards.learner)
        room.drill.errors.clear()
        play.reset(room.drill.lab_dir, Recorded(), deps=room.drill.deps)
        room.failing = set()
        room.start()

    def look() -> None:
        seen.append(room.lab.boards.learner)

    room.watch(nothing, begin_to_prepare, nothing, break_it, look, nothing, look)
    assert (seen[0]["changing"], seen[0]["live"]) == ("The lab is being prepared for a drill", None)
    for board in seen[1:]:
        assert board["drill"]["situation"] == "One is missing."
        assert board["live"]["changes"] == []
        assert not [lane for lane in board["live"]["lanes"] if "x" in lane["marks"]]


def test_the_debrief_stays_when_the_lab_is_put_back_and_goes_with_the_next_drill(room: ServeRoom) -> None:
    seen: list[dict[str, Any]] = []

    def look() -> None:
        seen.append(room.lab.boards.learner)

    def solve() -> None:
        room.drill.found = {"back": DONE, "held-once": DONE}
        play.answer(room.drill.lab_dir, "who", "cp2", deps=room.drill.deps)
        play.check(room.drill.lab_dir, Recorded(), deps=room.drill.deps)

    def put_back() -> None:
        look()
        play.restore(room.drill.lab_dir, Recorded(), deps=room.drill.deps)

    def next_drill() -> None:
        look()
        room.start()

    room.start()
    room.watch(nothing, solve, put_back, nothing, next_drill, nothing, look)
    over, back, again = seen
    assert (over["changing"], over["live"]) == ("The lab is being restored", None)
    for board in (over, back):
        assert (board["drill"]["verdict"], board["drill"]["debrief"]) == ("pass", "It was cp2.")
    assert back["live"]["status"] == "good"
    assert "debrief" not in again["drill"]


def test_a_lab_that_goes_down_and_comes_back_is_said_on_the_page_and_on_the_terminal(
    room: ServeRoom,
) -> None:
    problems: list[str] = []

    def look() -> None:
        problems.append(room.lab.boards.learner["problem"])

    def up() -> None:
        look()
        room.come_up()

    room.watch(look, room.go_down, up, nothing, nothing, nothing, nothing, look)
    assert problems == ["", "the lab ha is not up (run `halab up`)", ""]
    assert room.said == ["ha: the lab ha is not up (run `halab up`)", "ha: the live view is on again"]


def test_a_lab_that_is_kept_for_later_says_how_to_start_it(room: ServeRoom) -> None:
    room.watch(nothing, room.drill.work.kept.touch, nothing)
    assert room.said == ["ha: the lab ha is down and was kept (start it with `halab up`)"]


def test_a_sampler_that_dies_is_said_and_another_one_is_tried(room: ServeRoom) -> None:
    def die() -> None:
        room.problem = HalabError("the sampler exited with code 1", hint="see sampler.log")

    def live_again() -> None:
        room.problem = None

    lab = room.watch(nothing, die, live_again, nothing, nothing, nothing, nothing)
    assert room.said[0] == "ha: the sampler exited with code 1 (see sampler.log)"
    assert lab.boards.learner["live"]["status"] == "good"


def test_a_defect_is_said_and_does_not_end_the_view(room: ServeRoom) -> None:
    def break_in() -> None:
        room.problem = ValueError("no such thing")  # type: ignore[assignment]

    room.watch(nothing, break_in, nothing)
    assert room.said == ["ha: internal error: ValueError: no such thing"]


def test_an_attempt_that_cannot_be_read_is_said(room: ServeRoom) -> None:
    room.start()
    room.drill.work.attempt.write_text("{}")
    board = room.watch(nothing).boards.learner
    assert "cannot read" in board["drill_problem"]
    assert "`halab drill reset`" in board["drill_problem"]


def test_a_command_that_the_end_interrupts_says_on_the_terminal_what_is_left_to_do(room: ServeRoom) -> None:
    lab = room.serve()
    lab.jobs.last = Job("Starting a drill", [], True)

    def stop() -> None:
        lab.jobs.last = Job("Starting a drill", [], True, 130, "`halab drill reset` ends the drill")

    lab.jobs.stop = stop  # type: ignore[method-assign]
    lab.stop()
    assert room.said == [
        "ha: interrupting: Starting a drill",
        "ha: Starting a drill was interrupted\n`halab drill reset` ends the drill",
    ]


def of(lab: ServedLab, job: Job) -> Any:
    lab.jobs.last = job
    lab._publish()
    return lab.boards.learner["job"]


def test_a_learner_does_not_read_what_a_trainer_does(room: ServeRoom) -> None:
    lab = room.serve()
    words = ["drill", "start", "unreachable-api"]
    assert of(lab, Job("Starting a drill", words, True))["what"] == "The trainer works on the lab"
    failed = Job("Starting a drill", words, True, 3, "error: the break did not show: it answered")
    assert of(lab, failed) is None
    assert "did not show" in lab.boards.hidden["job"]["output"]


def test_of_the_output_of_a_check_a_learner_reads_the_errors_only(room: ServeRoom) -> None:
    lab = room.serve()
    output = "unreachable-api: passed\nerror: the lab ha is in use: run\nhint: wait until it ends"
    job = of(lab, Job("Checking the tasks", ["drill", "check"], False, 3, output))
    assert (job["failed"], job["output"]) == (
        True,
        "error: the lab ha is in use: run\nhint: wait until it ends",
    )
