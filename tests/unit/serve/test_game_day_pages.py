"""The pages during a game day: a trainer leads it, its team learns nothing that is hidden, and all read the report."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from support.day_room import HUNG, SECRETS, DayRoom
from support.serve_room import ScriptedJobs, ServeRoom, Visitor, events_of

from halab.errors import LabProblem
from halab.gameday import book
from halab.scenario.record import game_day_events
from halab.serve.app import Site
from halab.serve.served_lab import ServedLab


def nothing() -> None:
    """Nothing happens at this tick."""


def visited(room: ServeRoom, lab: ServedLab) -> tuple[Visitor, Visitor, Site]:
    """A visitor of the learner's page, one of the trainer's, and the site."""
    site = Site.of([lab], room.said.append, with_trainer=True)
    learner, trainer = Visitor(site), Visitor(site)
    learner.enter(site.lab_access["ha"])
    trainer.enter(site.for_trainers())
    return learner, trainer, site


@pytest.fixture
def played(room: ServeRoom) -> ServedLab:
    """The lab 75 seconds after the begin of a game day: the first break is open, and clients are out."""
    day = room.day
    day.begin()
    day.sample(63)
    day.inject(63, HUNG)
    day.happen(70, game_day_events.WritesRead(120, ()))
    day.happen(70, game_day_events.Note("anna", "we look", (day.began + timedelta(seconds=69)).isoformat()))
    day.sample(78, fails=True)
    room.drill.wait(78)
    return room.watch(nothing)


def test_a_trainer_sees_the_plan_the_log_the_clock_and_the_stop_conditions(
    played: ServedLab, room: ServeRoom
) -> None:
    learner, hidden = played.boards.learner["day"], played.boards.hidden["day"]
    assert (learner["title"], learner["phase"], learner["seconds"], learner["lasts"]) == (
        "Two failures", "on", 75, 600,
    )  # fmt: skip
    assert {each["probe"]: (each["now"], each["share"]) for each in learner["conditions"]} == {
        "write-via-lb": (14.5, 24), "read-via-lb": (14.5, 24),
    }  # fmt: skip
    assert learner["writes"] == {"acknowledged": 120, "lost": 0, "ago": 8}
    assert [(each["name"], each["state"]) for each in hidden["breaks"]] == [
        ("first-api", "open"), ("no-kubelet", "planned"),
    ]  # fmt: skip
    assert [row["who"] for row in hidden["log"]] == ["anna", "clients", "clients", "halab", "halab", "halab"]
    _, trainer, site = visited(room, played)
    page = trainer.get(site.for_trainers().path).text
    for shown in (
        "Game day: Two failures", "<b>1:15</b>", "storm.yml, seed 7", "pause-process on any-cp", "(cp2)",
        "began at 1:00", "halab heals it at 4:00", "lasts until the end", "we look", "Heal first-api now",
        "End the game day", "none of 120 acknowledged writes", "out for 14s",
    ):  # fmt: skip
        assert shown in page, shown
    assert "Heal no-kubelet now" not in page


def test_the_page_the_json_and_the_events_of_the_team_hide_what_is_hidden(
    played: ServedLab, room: ServeRoom
) -> None:
    learner, _, site = visited(room, played)
    site.is_closing.set()
    for path in ("", "state.json", "events"):
        text = learner.get(site.lab_access["ha"].path + path).text
        assert "Two failures" in text
        assert not [secret for secret in SECRETS if secret in text], path
    assert learner.get(site.lab_access["ha"].path + "debrief/").status_code == 404


def test_what_a_page_started_is_not_told_to_the_team(room: ServeRoom) -> None:
    lab = room.serve()
    room.day.file.write_text(room.day.text)
    learner, trainer, site = visited(room, lab)
    answer = trainer.act(site.for_trainers(), "ha/start-day", day="storm.yml", seed="7")
    assert answer == {"message": "", "is_good": True}
    assert isinstance(lab.jobs, ScriptedJobs)
    lab_file, file = room.folder / "lab.yml", room.folder / "storm.yml"
    assert lab.jobs.begun == [["gameday", "play", "--file", str(lab_file), "--seed", "7", "--", str(file)]]
    lab._publish()
    assert lab.boards.hidden["job"]["what"] == "Playing a game day"
    assert not [secret for secret in SECRETS if secret in json.dumps(lab.boards.learner)]


@pytest.mark.parametrize("name", ["", "other.yml", "../storm.yml", "lab.yml"])
def test_only_a_game_day_in_the_folder_of_the_lab_is_started(name: str, room: ServeRoom) -> None:
    lab = room.serve()
    room.day.file.write_text(room.day.text)
    _, trainer, site = visited(room, lab)
    answer = trainer.act(site.for_trainers(), "ha/start-day", day=name)
    assert answer == {"message": "choose the file of a game day", "is_good": False}


def test_the_page_offers_the_game_days_of_the_folder_also_those_with_mistakes(room: ServeRoom) -> None:
    lab = room.serve()
    _, trainer, site = visited(room, lab)
    path = site.for_trainers().path
    assert "The folder of the lab has no game day." in trainer.get(path).text
    assert "halab schema game-day" in trainer.get(path).text
    (room.folder / "storm.yml").write_text(room.day.text)
    (room.folder / "draft.yaml").write_text("breaks: []\ntitle: Not ready\n")
    (room.folder / "broken.yml").write_bytes(b"\xff")
    page = trainer.get(path).text
    assert "storm.yml: Two failures" in page
    assert "draft.yaml: Not ready" in page
    for other in ("broken.yml", "lab.yml: "):
        assert other not in page


def test_a_trainer_leads_and_the_team_writes_notes(played: ServedLab, room: ServeRoom) -> None:
    learner, trainer, site = visited(room, played)
    access, of_trainer = site.lab_access["ha"], site.for_trainers()
    assert learner.act(access, "note", text="cp2 is slow", by="ben")["is_good"]
    assert learner.act(access, "note", text="and cp3", by=" ")["is_good"]
    assert learner.act(access, "note", text=" ") == {"message": "write a note first", "is_good": False}
    for act in ("heal-break", "end-day", "start-day"):
        assert learner.act(access, act)["message"] == "no such action"
    trainer.act(of_trainer, "ha/note", text="they look at cp3")
    trainer.act(of_trainer, "ha/heal-break", **{"break": "first-api"})
    trainer.act(of_trainer, "ha/heal-break")
    assert "writes the report" in trainer.act(of_trainer, "ha/end-day")["message"]
    assert [(str(entry.kind), entry.by, entry.text) for entry in book.reader(room.day.work).new()] == [
        ("note", "ben", "cp2 is slow"), ("note", "the team", "and cp3"), ("note", "trainer", "they look at cp3"),
        ("heal", "trainer", "first-api"), ("heal", "trainer", ""), ("end", "trainer", ""),
    ]  # fmt: skip
    played._publish()
    assert "Ending: " in trainer.get(of_trainer.path).text


def test_without_a_game_day_nobody_leads_one(room: ServeRoom) -> None:
    lab = room.watch(nothing)
    learner, trainer, site = visited(room, lab)
    for visitor, access, act in (
        (learner, site.lab_access["ha"], "note"), (trainer, site.for_trainers(), "ha/end-day"),
    ):  # fmt: skip
        assert "no game day is running" in visitor.act(access, act, text="hello")["message"]
    for visitor, path in ((learner, "/labs/ha/debrief/"), (trainer, "/trainer/ha/debrief/")):
        assert visitor.get(path).status_code == 404
    with pytest.raises(LabProblem):
        book.write(room.day.work, book.Kind.NOTE)


def over(room: ServeRoom, lab: ServedLab, day: DayRoom) -> None:
    day.heal(100, HUNG)
    day.end(303)
    room.drill.wait(240)
    lab._publish()


def test_after_the_end_everybody_reads_the_debrief_and_the_report(
    played: ServedLab, room: ServeRoom
) -> None:
    over(room, played, room.day)
    learner, trainer, site = visited(room, played)
    page = learner.get("/labs/ha/").text
    for shown in ("passed", "Open the report", "first-api", "A hung API server answers nobody.", "we look"):
        assert shown in page
    assert 'action="note"' not in page
    assert "Heal first-api now" not in trainer.get("/trainer/").text
    for visitor, path in ((learner, "/labs/ha/debrief/"), (trainer, "/trainer/ha/debrief/")):
        report = visitor.get(path)
        assert report.status_code == 200
        assert "Log of the game day" in report.text
        policies = report.headers.get_list("content-security-policy")
        assert policies == [
            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        ]
        assert report.headers["cache-control"] == "no-store"
        log = visitor.get(path + "log.json")
        assert (log.json()["schema"], log.headers["content-type"]) == (1, "text/plain; charset=utf-8")
        for other in ("%2e%2e/%2e%2e/keys/id_ed25519", "..%2f..%2f..%2flab.yml", "logs", "nothing"):
            assert visitor.get(path + other).status_code == 404
        assert Visitor(site).get(path).status_code == 403
        assert Visitor(site).get(path + "log.json").status_code == 403
    assert learner.get("/trainer/ha/debrief/").status_code == 403


def test_a_game_day_that_was_killed_is_told_and_has_no_report(played: ServedLab, room: ServeRoom) -> None:
    room.day.close()
    played._publish()
    learner, trainer, _ = visited(room, played)
    assert "The game day was killed, and has no report." in learner.get("/labs/ha/").text
    shown = trainer.get("/trainer/").text
    assert "halab heal" in shown
    assert f"halab report {room.day.run.path}" in shown
    refused = learner.get("/labs/ha/debrief/")
    assert (refused.status_code, "writes it" in refused.text) == (404, True)


def test_a_drill_takes_the_place_of_a_game_day_that_is_over_and_the_other_way_round(
    played: ServedLab, room: ServeRoom
) -> None:
    over(room, played, room.day)
    room.start()
    played._publish()
    assert played.boards.learner["day"] is None
    assert played.boards.learner["drill"]["title"] == "An API server is gone"
    assert played.boards.report is None


def test_a_record_that_cannot_be_read_is_told_to_the_trainer_only(
    played: ServedLab, room: ServeRoom
) -> None:
    room.day.work.game_day_notice.write_text("{}")
    played._publish()
    assert played.boards.learner["day"] is None
    assert "cannot read" in played.boards.hidden["day_problem"]
    learner, trainer, site = visited(room, played)
    site.is_closing.set()
    assert "cannot read" in "".join(events_of(trainer.get("/trainer/events").text)[0].values())
    assert "cannot read" not in learner.get("/labs/ha/").text
