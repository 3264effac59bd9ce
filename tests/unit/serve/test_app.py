"""The pages: who may come in, what they show, and what they may start."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from support.drill_room import DRILL
from support.fakes import Recorded
from support.serve_room import ScriptedJobs, ServeRoom, Visitor, events_of

from halab.config.drill import Violation
from halab.drill import play
from halab.drill.grade import Sighting, TaskState, ViolationState
from halab.drill.play import View
from halab.lifecycle.lab import LabDir
from halab.serve import learner_acts, pages
from halab.serve.app import Site
from halab.serve.auth import PageAccess
from halab.serve.jobs import Job
from halab.serve.learner_acts import Answer
from halab.serve.served_lab import ServedLab

SECRETS = ("hold-static-pod", "restore", "Look.", "It was", "mine")


def nothing() -> None:
    """Nothing happens at this tick."""


@pytest.fixture
def drilled(room: ServeRoom) -> ServedLab:
    """A lab with a running drill."""
    room.start()
    return room.watch(nothing)


@pytest.fixture
def site(drilled: ServedLab, room: ServeRoom) -> Site:
    return Site.of([drilled], room.said.append, with_trainer=True)


@pytest.fixture
def access(site: Site) -> PageAccess:
    return site.lab_access["ha"]


@pytest.fixture
def trainer(site: Site) -> PageAccess:
    return site.for_trainers()


@pytest.fixture
def learner(site: Site, access: PageAccess) -> Visitor:
    visitor = Visitor(site)
    visitor.enter(access)
    return visitor


def jobs(lab: ServedLab) -> ScriptedJobs:
    assert isinstance(lab.jobs, ScriptedJobs)
    return lab.jobs


def test_the_token_becomes_a_cookie_and_leaves_the_address(site: Site, access: PageAccess) -> None:
    came = Visitor(site).get(access.url(""))
    assert (came.status_code, came.headers["location"]) == (303, "/labs/ha/")
    cookie = came.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "path=/labs/ha/" in cookie
    assert "samesite=lax" in cookie


def test_a_page_shows_the_drill_and_the_lab_and_loads_nothing_from_elsewhere(
    site: Site, access: PageAccess
) -> None:
    page = Visitor(site).enter(access)
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
def test_nobody_comes_in_without_the_token(
    path: str, site: Site, access: PageAccess, trainer: PageAccess
) -> None:
    for below in (access, trainer):
        refused = Visitor(site).get(below.path + path)
        assert refused.status_code == 403
        assert "<h1>No access</h1>" in refused.text
        assert "Open the address that <code>halab serve</code> printed." in refused.text
        assert "One is missing" not in refused.text
        assert Visitor(site).get(f"{below.path}?token=wrong").status_code == 403


def test_the_token_of_a_learner_opens_no_page_of_a_trainer(
    learner: Visitor, access: PageAccess, trainer: PageAccess
) -> None:
    assert learner.get(trainer.path).status_code == 403
    assert learner.get(f"{trainer.path}?token={access.token}").status_code == 403
    assert learner.post(f"{trainer.path}ha/heal", {"token": access.form_token}).status_code == 403


def test_each_lab_has_a_page_of_its_own_and_the_trainer_sees_all(
    tmp_path: Path, drilled: ServedLab, room: ServeRoom
) -> None:
    (tmp_path / "ben").mkdir(mode=0o700)
    other = ServeRoom(tmp_path / "ben", "ben").watch(nothing)
    site = Site.of([drilled, other], room.said.append, with_trainer=True)
    learner = Visitor(site)
    assert "No drill is running" in learner.enter(site.lab_access["ben"]).text
    assert learner.get(site.lab_access["ha"].path).status_code == 403
    trainer = Visitor(site)
    page = trainer.enter(site.for_trainers()).text
    assert 'id="ha-hidden"' in page
    assert 'id="ben-hidden"' in page
    assert trainer.act(site.for_trainers(), "ben/heal")["is_good"]
    assert (jobs(drilled).begun, len(jobs(other).begun)) == ([], 1)


def test_there_is_no_page_for_trainers_unless_it_was_asked_for(drilled: ServedLab, room: ServeRoom) -> None:
    site = Site.of([drilled], room.said.append, with_trainer=False)
    for path in ("/trainer/", "/trainer/events", "/trainer/state.json"):
        assert Visitor(site).get(path).status_code == 404
    assert Visitor(site).post("/trainer/ha/heal", {}).status_code == 404


def test_a_name_that_leads_here_from_elsewhere_is_refused(site: Site, access: PageAccess) -> None:
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example"):
        assert Visitor(site, host=host).get(access.url("")).status_code == 400
    # the local end of a tunnel may have another port
    assert Visitor(site, host="localhost:9000").get(access.url("")).status_code == 303


def test_a_change_needs_the_token_of_the_page_and_comes_from_no_other_site(
    learner: Visitor, access: PageAccess, drilled: ServedLab
) -> None:
    right = {"token": access.form_token, "shown": "0"}
    for form in ({}, {"token": access.token}, {"token": "é"}):
        assert learner.post(access.path + "hint", form).status_code == 403
    assert learner.post(access.path + "hint", right, origin="http://evil.example").status_code == 403
    assert Visitor(learner.site).post(access.path + "hint", right).status_code == 403
    assert learner.get(access.path + "hint").status_code == 405
    assert drilled.deps.attempt(drilled.lab_dir).hints == ()
    assert learner.post(access.path + "hint", right, origin="http://127.0.0.1:8765").status_code == 200


def test_a_form_that_is_too_large_is_refused(learner: Visitor, access: PageAccess) -> None:
    assert learner.post(access.path + "hint", {"token": "x" * 100_000}).status_code == 413


def test_the_page_the_json_and_the_events_of_a_learner_hide_what_is_hidden(
    learner: Visitor, access: PageAccess, site: Site
) -> None:
    site.is_closing.set()
    for path in ("", "state.json", "events"):
        text = learner.get(access.path + path).text
        assert "One is missing." in text
        assert not [secret for secret in SECRETS if secret in text]


def test_events_bring_all_regions_and_say_when_the_server_ends(
    learner: Visitor, access: PageAccess, site: Site
) -> None:
    site.is_closing.set()
    body = learner.get(access.path + "events").text
    [regions] = events_of(body)
    assert set(regions) == {"head", "drill", "live"}
    assert "Clients are served" in regions["head"]
    assert body.endswith("event: end\ndata: \n\n")


def test_a_hint_is_shown_once_although_two_browsers_ask_for_it(
    learner: Visitor, access: PageAccess, drilled: ServedLab
) -> None:
    assert learner.act(access, "hint", shown="0")["is_good"]
    second = learner.act(access, "hint", shown="0")
    assert second["message"] == "somebody else has just asked for this hint"
    assert len(drilled.deps.attempt(drilled.lab_dir).hints) == 1


def test_no_more_hints_is_said_in_words(learner: Visitor, access: PageAccess) -> None:
    for shown in ("0", "1"):
        learner.act(access, "hint", shown=shown)
    answer = learner.act(access, "hint", shown="2")
    assert not answer["is_good"]
    assert "no more hints" in answer["message"]


def test_two_browsers_that_ask_for_a_hint_at_the_same_time_pay_once(
    drilled: ServedLab, room: ServeRoom
) -> None:
    is_in, is_out, others = Event(), Event(), Event()

    def slow(lab_dir: LabDir) -> object:
        is_in.set()
        assert is_out.wait(10)
        return room.deps.hint(lab_dir)

    def watched(lab_dir: LabDir) -> View:
        if is_in.is_set():
            others.set()
        return room.deps.attempt(lab_dir)

    drilled.deps = replace(drilled.deps, hint=slow, attempt=watched)
    ask = partial(learner_acts.ACTS["hint"], drilled, {"shown": "0"})
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask)
        assert is_in.wait(10)
        second = pool.submit(ask)
        assert not others.wait(0.1)
        is_out.set()
    assert first.result() == Answer()
    assert second.result().message == "somebody else has just asked for this hint"
    assert len(room.deps.attempt(room.drill.lab_dir).hints) == 1


def test_an_answer_is_right_or_wrong(learner: Visitor, access: PageAccess) -> None:
    assert learner.act(access, "answer", task="who", answer=" ") == {
        "message": "write an answer first",
        "is_good": False,
    }
    assert learner.act(access, "answer", task="who", answer="cp1") == {"message": "wrong", "is_good": False}
    assert learner.act(access, "answer", task="who", answer="CP2") == {"message": "right", "is_good": True}
    assert "answered already" in learner.act(access, "answer", task="who", answer="cp2")["message"]
    assert "does not exist" in learner.act(access, "answer", task="nothing", answer="cp2")["message"]


def test_a_check_is_a_command_on_the_lab_of_the_page(
    learner: Visitor, access: PageAccess, drilled: ServedLab, room: ServeRoom
) -> None:
    room.drill.found = {"back": TaskState.DONE}
    assert learner.act(access, "check")["is_good"]
    assert jobs(drilled).begun == [["drill", "check", "--file", str(room.folder / "lab.yml")]]
    drilled._publish()
    assert "60 of 100 points" in learner.get(access.path).text


def test_while_halab_works_on_the_lab_a_page_asks_for_patience(
    learner: Visitor, access: PageAccess, drilled: ServedLab
) -> None:
    jobs(drilled).last = Job("Checking the tasks", ["drill", "check"], False)
    for act in ("hint", "answer"):
        answer = learner.act(access, act, task="who", answer="cp2", shown="0")
        assert not answer["is_good"]
        assert "still busy" in answer["message"]
    drilled._publish()
    page = learner.get(access.path).text
    assert "Checking the tasks…" in page
    assert 'aria-disabled="true"' in page


def test_an_act_or_a_lab_that_does_not_exist_is_said(learner: Visitor, access: PageAccess) -> None:
    assert learner.act(access, "start", drill="unreachable-api")["message"] == "no such action"
    for path in ("/labs/other/", "/"):
        page = learner.get(path)
        assert page.status_code == 404
        assert "<h1>Not found</h1>" in page.text
        assert "Open the address" not in page.text


def test_without_a_drill_an_act_says_so(room: ServeRoom) -> None:
    site = Site.of([room.watch(nothing)], room.said.append, with_trainer=False)
    visitor, access = Visitor(site), site.lab_access["ha"]
    assert "No drill is running" in visitor.enter(access).text
    assert "no drill is running" in visitor.act(access, "hint", shown="0")["message"]


def test_the_page_of_a_trainer_shows_what_is_hidden_for_each_lab(
    site: Site, trainer: PageAccess, access: PageAccess
) -> None:
    visitor = Visitor(site)
    page = visitor.enter(trainer).text
    for shown in (
        "hold-static-pod",
        "restore {self}",
        "right: cp2",
        "It was cp2.",
        "unreachable-api",
        "freeze",
    ):
        assert shown in page
    assert access.token in page
    assert visitor.get(trainer.path + "state.json").json()["ha"]["hidden"]["drill"] == "mine"
    site.is_closing.set()
    [regions] = events_of(visitor.get(trainer.path + "events").text)
    assert set(regions) == {"ha-head", "ha-hidden", "ha-live"}


def test_a_trainer_sees_a_lab_without_a_drill_and_one_that_is_down(room: ServeRoom) -> None:
    for lab in (room.watch(nothing), room.watch(room.go_down, nothing)):
        site = Site.of([lab], room.said.append, with_trainer=True)
        assert "No drill is running." in Visitor(site).enter(site.for_trainers()).text


@pytest.mark.parametrize(
    ("act", "form", "words"),
    [
        (
            "start", {"drill": "unreachable-api", "seed": "7"},
            ["drill", "start", "FILE", "--seed", "7", "--", "unreachable-api"],
        ),
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
    trainer: PageAccess,
    drilled: ServedLab,
    room: ServeRoom,
) -> None:
    visitor = Visitor(site)
    visitor.enter(trainer)
    assert visitor.act(trainer, f"ha/{act}", **form) == {"message": "", "is_good": True}
    at = words.index("FILE")
    assert jobs(drilled).begun == [[*words[:at], "--file", str(room.folder / "lab.yml"), *words[at + 1 :]]]
    assert drilled.jobs.last
    assert drilled.jobs.last.is_secret


@pytest.mark.parametrize(
    ("act", "form", "message"),
    [
        ("start", {"drill": "--help"}, "choose a drill"),
        ("start", {"drill": "unreachable-api", "seed": "-1"}, "the seed must be a number"),
        ("inject", {"fault": "nothing-known", "target": "cp1"}, "choose a fault"),
        ("inject", {"fault": "kill-process", "target": " "}, "choose a machine or a role"),
    ],
)
def test_a_form_of_a_trainer_that_is_wrong_starts_nothing(
    act: str, form: dict[str, str], message: str, site: Site, trainer: PageAccess, drilled: ServedLab
) -> None:
    visitor = Visitor(site)
    visitor.enter(trainer)
    assert visitor.act(trainer, f"ha/{act}", **form) == {"message": message, "is_good": False}
    assert jobs(drilled).begun == []


def test_a_defect_is_said_on_the_terminal_and_the_page_has_no_traceback(
    learner: Visitor, access: PageAccess, room: ServeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(*given: object, **named: object) -> str:
        raise ValueError("no such thing")

    monkeypatch.setattr(pages, "learner", draw)
    page = learner.get(access.path)
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
    page = Visitor(site).enter(site.lab_access["ha"]).text
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def page_of(room: ServeRoom) -> str:
    site = Site.of([room.watch(nothing)], room.said.append, with_trainer=True)
    return str(Visitor(site).enter(site.lab_access["ha"]).text)


def test_a_learner_reads_what_must_not_happen_and_that_it_could_not_be_checked(room: ServeRoom) -> None:
    room.drill.write(DRILL + "fail_if: [lost-write]\n")
    room.start()
    page = page_of(room)
    assert "Must not happen" in page
    assert "A write that the API has acknowledged is lost." in page
    assert "not checked yet" not in page
    unknown = Sighting(ViolationState.UNCHECKED, "no <answer>")
    room.drill.sighted = {Violation.LOST_WRITE: unknown}
    play.check(room.drill.lab_dir, Recorded(), deps=room.drill.deps)
    assert "Could not be checked: no &lt;answer&gt;" in page_of(room)


def test_a_page_says_why_a_drill_has_failed_at_once(room: ServeRoom) -> None:
    room.drill.write(DRILL + "fail_if: [lost-write]\n")
    room.start()
    room.drill.sighted = {Violation.LOST_WRITE: Sighting(ViolationState.FOUND, "1 of 9 is lost")}
    play.check(room.drill.lab_dir, Recorded(), deps=room.drill.deps)
    page = page_of(room)
    assert "something happened that must not happen" in page
    assert "1 of 9 is lost" in page


def test_a_hint_that_comes_later_has_a_button_when_it_is_free(room: ServeRoom) -> None:
    hints = "hints: [{after: 2m, text: one}, {cost: 5, after: 3m, text: two}]"
    lines = [hints if line.startswith("hints:") else line for line in DRILL.splitlines()]
    room.drill.write("\n".join(lines))
    room.start()
    page = page_of(room)
    assert 'id="hint"' not in page
    assert "The next hint comes after 2:00." in page
    room.drill.wait(120)
    page = page_of(room)
    assert "is free" in page.partition('id="hint"')[2][:80]
    assert "comes after" not in page
    play.hint(room.drill.lab_dir, deps=room.drill.deps)
    page = page_of(room)
    assert "costs 5 points" in page
    assert "It is free after 3:00." in page


def test_a_drill_that_is_passed_shows_its_verdict_and_its_debrief(room: ServeRoom) -> None:
    room.start()
    room.drill.found = {"back": TaskState.DONE, "held-once": TaskState.DONE}
    play.answer(room.drill.lab_dir, "who", "cp2", deps=room.drill.deps)
    play.check(room.drill.lab_dir, Recorded(), deps=room.drill.deps)
    site = Site.of([room.watch(nothing)], room.said.append, with_trainer=True)
    page = Visitor(site).enter(site.lab_access["ha"]).text
    assert "passed" in page
    assert "; first progress seen after 0:00; all repairs seen after 0:00" in page
    assert "It was cp2." in page
    assert 'action="check"' not in page
