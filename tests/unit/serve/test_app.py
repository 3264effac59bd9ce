"""The pages: who may come in, what they show, and what they may start."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakes import Recorded
from support.serve_room import ScriptedDeeds, ServeRoom, Visitor, events_of

from halab.drill import play
from halab.drill.grade import TaskState
from halab.serve import pages
from halab.serve.app import Site
from halab.serve.deeds import Deed
from halab.serve.gate import Door
from halab.serve.served_lab import ServedLab

SECRETS = ("hold-static-pod", "restore", "Look.", "It was", "mine")


def nothing() -> None:
    """Nothing happens at this tick."""


@pytest.fixture
def drilled(room: ServeRoom) -> ServedLab:
    """A lab with a drill that is on."""
    room.start()
    return room.watch(nothing)


@pytest.fixture
def site(drilled: ServedLab, room: ServeRoom) -> Site:
    return Site.of([drilled], room.said.append, with_trainer=True)


@pytest.fixture
def door(site: Site) -> Door:
    return site.doors["ha"]


@pytest.fixture
def trainer(site: Site) -> Door:
    return site.for_trainers()


@pytest.fixture
def learner(site: Site, door: Door) -> Visitor:
    visitor = Visitor(site)
    visitor.enter(door)
    return visitor


def deeds(lab: ServedLab) -> ScriptedDeeds:
    assert isinstance(lab.deeds, ScriptedDeeds)
    return lab.deeds


def test_the_token_becomes_a_cookie_and_leaves_the_address(site: Site, door: Door) -> None:
    came = Visitor(site).get(door.url(""))
    assert (came.status_code, came.headers["location"]) == (303, "/labs/ha/")
    cookie = came.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "path=/labs/ha/" in cookie
    assert "samesite=lax" in cookie


def test_a_page_shows_the_drill_and_the_lab_and_loads_nothing_from_elsewhere(site: Site, door: Door) -> None:
    page = Visitor(site).enter(door)
    assert page.status_code == 200
    for shown in (
        "One is missing.",
        "Which machine?",
        "Clients are served",
        "ready-via-lb",
        "costs 5 points",
    ):
        assert shown in page.text
    assert "http:" not in page.text.replace("http://www.w3.org", "")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in page.headers


@pytest.mark.parametrize("path", ["", "events", "state.json"])
def test_nobody_comes_in_without_the_token(path: str, site: Site, door: Door, trainer: Door) -> None:
    for below in (door, trainer):
        refused = Visitor(site).get(below.path + path)
        assert refused.status_code == 403
        assert "<h1>No access</h1>" in refused.text
        assert "Open the address that <code>halab serve</code> printed." in refused.text
        assert "One is missing" not in refused.text
        assert Visitor(site).get(f"{below.path}?token=wrong").status_code == 403


def test_the_token_of_a_learner_opens_no_page_of_a_trainer(
    learner: Visitor, door: Door, trainer: Door
) -> None:
    assert learner.get(trainer.path).status_code == 403
    assert learner.get(f"{trainer.path}?token={door.token}").status_code == 403
    assert learner.post(f"{trainer.path}ha/heal", {"token": door.form_token}).status_code == 403


def test_each_lab_has_a_page_of_its_own_and_the_trainer_sees_all(
    tmp_path: Path, drilled: ServedLab, room: ServeRoom
) -> None:
    (tmp_path / "ben").mkdir(mode=0o700)
    other = ServeRoom(tmp_path / "ben", "ben").watch(nothing)
    site = Site.of([drilled, other], room.said.append, with_trainer=True)
    learner = Visitor(site)
    assert "No drill is on" in learner.enter(site.doors["ben"]).text
    assert learner.get(site.doors["ha"].path).status_code == 403
    trainer = Visitor(site)
    page = trainer.enter(site.for_trainers()).text
    assert 'id="ha-hidden"' in page
    assert 'id="ben-hidden"' in page
    assert trainer.act(site.for_trainers(), "ben/heal")["is_good"]
    assert (deeds(drilled).begun, len(deeds(other).begun)) == ([], 1)


def test_there_is_no_page_for_trainers_unless_it_was_asked_for(drilled: ServedLab, room: ServeRoom) -> None:
    site = Site.of([drilled], room.said.append, with_trainer=False)
    for path in ("/trainer/", "/trainer/events", "/trainer/state.json"):
        assert Visitor(site).get(path).status_code == 404
    assert Visitor(site).post("/trainer/ha/heal", {}).status_code == 404


def test_a_name_that_leads_here_from_elsewhere_is_refused(site: Site, door: Door) -> None:
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example"):
        assert Visitor(site, host=host).get(door.url("")).status_code == 400
    # the local end of a tunnel may have another port
    assert Visitor(site, host="localhost:9000").get(door.url("")).status_code == 303


def test_a_change_needs_the_token_of_the_page_and_comes_from_no_other_site(
    learner: Visitor, door: Door, drilled: ServedLab
) -> None:
    right = {"token": door.form_token, "shown": "0"}
    for form in ({}, {"token": door.token}, {"token": "é"}):
        assert learner.post(door.path + "hint", form).status_code == 403
    assert learner.post(door.path + "hint", right, origin="http://evil.example").status_code == 403
    assert Visitor(learner.site).post(door.path + "hint", right).status_code == 403
    assert learner.get(door.path + "hint").status_code == 405
    assert drilled.deps.attempt(drilled.lab_dir).hints == ()
    assert learner.post(door.path + "hint", right, origin="http://127.0.0.1:8765").status_code == 200


def test_a_form_that_is_too_large_is_refused(learner: Visitor, door: Door) -> None:
    assert learner.post(door.path + "hint", {"token": "x" * 100_000}).status_code == 413


def test_the_page_the_json_and_the_events_of_a_learner_hide_what_is_hidden(
    learner: Visitor, door: Door, site: Site
) -> None:
    site.is_closing.set()
    for path in ("", "state.json", "events"):
        text = learner.get(door.path + path).text
        assert "One is missing." in text
        assert not [secret for secret in SECRETS if secret in text]


def test_events_bring_all_regions_and_say_when_the_server_ends(
    learner: Visitor, door: Door, site: Site
) -> None:
    site.is_closing.set()
    body = learner.get(door.path + "events").text
    [regions] = events_of(body)
    assert set(regions) == {"head", "drill", "live"}
    assert "Clients are served" in regions["head"]
    assert body.endswith("event: end\ndata: \n\n")


def test_a_hint_is_shown_once_although_two_browsers_ask_for_it(
    learner: Visitor, door: Door, drilled: ServedLab
) -> None:
    assert learner.act(door, "hint", shown="0")["is_good"]
    second = learner.act(door, "hint", shown="0")
    assert second["say"] == "somebody else has just asked for this hint"
    assert len(drilled.deps.attempt(drilled.lab_dir).hints) == 1


def test_no_more_hints_is_said_in_words(learner: Visitor, door: Door) -> None:
    for shown in ("0", "1"):
        learner.act(door, "hint", shown=shown)
    answer = learner.act(door, "hint", shown="2")
    assert not answer["is_good"]
    assert "no more hints" in answer["say"]


def test_an_answer_is_right_or_wrong(learner: Visitor, door: Door) -> None:
    assert learner.act(door, "answer", task="who", answer=" ") == {
        "say": "write an answer first",
        "is_good": False,
    }
    assert learner.act(door, "answer", task="who", answer="cp1") == {"say": "wrong", "is_good": False}
    assert learner.act(door, "answer", task="who", answer="CP2") == {"say": "right", "is_good": True}
    assert "answered already" in learner.act(door, "answer", task="who", answer="cp2")["say"]
    assert "does not exist" in learner.act(door, "answer", task="nothing", answer="cp2")["say"]


def test_a_check_is_a_command_on_the_lab_of_the_page(
    learner: Visitor, door: Door, drilled: ServedLab, room: ServeRoom
) -> None:
    room.drill.found = {"back": TaskState.DONE}
    assert learner.act(door, "check")["is_good"]
    assert deeds(drilled).begun == [["drill", "check", "--file", str(room.folder / "lab.yml")]]
    drilled._publish()
    assert "60 of 100 points" in learner.get(door.path).text


def test_while_halab_works_on_the_lab_a_page_asks_for_patience(
    learner: Visitor, door: Door, drilled: ServedLab
) -> None:
    deeds(drilled).last = Deed("Checking the tasks", ["drill", "check"], False)
    for act in ("hint", "answer"):
        answer = learner.act(door, act, task="who", answer="cp2", shown="0")
        assert not answer["is_good"]
        assert "still busy" in answer["say"]
    drilled._publish()
    page = learner.get(door.path).text
    assert "Checking the tasks…" in page
    assert 'aria-disabled="true"' in page


def test_an_act_or_a_lab_that_does_not_exist_is_said(learner: Visitor, door: Door) -> None:
    assert learner.act(door, "start", drill="wrong-door")["say"] == "no such act"
    for path in ("/labs/other/", "/"):
        page = learner.get(path)
        assert page.status_code == 404
        assert "<h1>Not found</h1>" in page.text
        assert "Open the address" not in page.text


def test_without_a_drill_an_act_says_so(room: ServeRoom) -> None:
    site = Site.of([room.watch(nothing)], room.said.append, with_trainer=False)
    visitor, door = Visitor(site), site.doors["ha"]
    assert "No drill is on" in visitor.enter(door).text
    assert "no drill is on" in visitor.act(door, "hint", shown="0")["say"]


def test_the_page_of_a_trainer_shows_what_is_hidden_for_each_lab(
    site: Site, trainer: Door, door: Door
) -> None:
    visitor = Visitor(site)
    page = visitor.enter(trainer).text
    for shown in ("hold-static-pod", "restore {self}", "right: cp2", "It was cp2.", "wrong-door", "freeze"):
        assert shown in page
    assert door.token in page
    assert visitor.get(trainer.path + "state.json").json()["ha"]["hidden"]["drill"] == "mine"
    site.is_closing.set()
    [regions] = events_of(visitor.get(trainer.path + "events").text)
    assert set(regions) == {"ha-head", "ha-hidden", "ha-live"}


def test_a_trainer_sees_a_lab_without_a_drill_and_one_that_is_down(room: ServeRoom) -> None:
    for lab in (room.watch(nothing), room.watch(room.go_down, nothing)):
        site = Site.of([lab], room.said.append, with_trainer=True)
        assert "No drill is on." in Visitor(site).enter(site.for_trainers()).text


@pytest.mark.parametrize(
    ("act", "form", "words"),
    [
        ("start", {"drill": "wrong-door", "seed": "7"}, ["drill", "start", "FILE", "--seed", "7", "--", "wrong-door"]),
        ("final", {}, ["drill", "check", "FILE", "--final"]),
        ("give-up", {}, ["drill", "give-up", "FILE"]),
        ("reset", {}, ["drill", "reset", "FILE"]),
        ("heal", {}, ["heal", "FILE"]),
        (
            "inject",
            {"fault": "kill-process", "target": "etcd-leader", "options": "process=etcd\n\nsignal=KILL"},
            ["inject", "FILE", "--on", "etcd-leader", "--with", "process=etcd", "--with", "signal=KILL", "--",
             "kill-process"],
        ),
    ],
)  # fmt: skip
def test_a_trainer_starts_commands(
    act: str,
    form: dict[str, str],
    words: list[str],
    site: Site,
    trainer: Door,
    drilled: ServedLab,
    room: ServeRoom,
) -> None:
    visitor = Visitor(site)
    visitor.enter(trainer)
    assert visitor.act(trainer, f"ha/{act}", **form) == {"say": "", "is_good": True}
    at = words.index("FILE")
    assert deeds(drilled).begun == [[*words[:at], "--file", str(room.folder / "lab.yml"), *words[at + 1 :]]]
    assert drilled.deeds.last
    assert drilled.deeds.last.is_secret


@pytest.mark.parametrize(
    ("act", "form", "say"),
    [
        ("start", {"drill": "--help"}, "choose a drill"),
        ("start", {"drill": "wrong-door", "seed": "-1"}, "the seed must be a number"),
        ("inject", {"fault": "nothing-known", "target": "cp1"}, "choose a fault"),
        ("inject", {"fault": "kill-process", "target": " "}, "choose a machine or a role"),
    ],
)
def test_a_form_of_a_trainer_that_is_wrong_starts_nothing(
    act: str, form: dict[str, str], say: str, site: Site, trainer: Door, drilled: ServedLab
) -> None:
    visitor = Visitor(site)
    visitor.enter(trainer)
    assert visitor.act(trainer, f"ha/{act}", **form) == {"say": say, "is_good": False}
    assert deeds(drilled).begun == []


def test_a_defect_is_said_on_the_terminal_and_the_page_has_no_traceback(
    learner: Visitor, door: Door, room: ServeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*given: object, **named: object) -> str:
        raise ValueError("no such thing")

    monkeypatch.setattr(pages, "learner", draw)
    page = learner.get(door.path)
    assert page.status_code == 500
    assert "<h1>halab has failed</h1>" in page.text
    assert "The terminal of <code>halab serve</code> shows the error." in page.text
    for other in ("no such thing", "Open the address"):
        assert other not in page.text
    assert room.said == ["internal error at /labs/ha/: ValueError: no such thing"]


def test_text_of_a_drill_is_escaped(room: ServeRoom) -> None:
    room.drill.write(
        (room.folder / "mine.yml").read_text().replace("One is missing.", "<script>alert(1)</script>")
    )
    room.start()
    site = Site.of([room.watch(nothing)], room.said.append, with_trainer=False)
    page = Visitor(site).enter(site.doors["ha"]).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_a_drill_that_is_passed_shows_its_verdict_and_its_debrief(room: ServeRoom) -> None:
    room.start()
    room.drill.found = {"back": TaskState.DONE, "held-once": TaskState.DONE}
    play.answer(room.drill.lab_dir, "who", "cp2", deps=room.drill.deps)
    play.check(room.drill.lab_dir, Recorded(), deps=room.drill.deps)
    site = Site.of([room.watch(nothing)], room.said.append, with_trainer=True)
    page = Visitor(site).enter(site.doors["ha"]).text
    assert "passed" in page
    assert "It was cp2." in page
    assert 'action="check"' not in page
