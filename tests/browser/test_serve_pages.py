"""The pages of `halab serve` in a real browser: a whole drill by mouse and by keyboard, readable in every light.

The server is real, the lab is not: its probes and its drill are scripted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.browser import Browser, browsing, chromium
from support.day_room import HUNG, SECRETS, STOPPED
from support.fakes import Recorded
from support.serve_room import ServeRoom

from halab.drill import play
from halab.drill.grade import TaskState
from halab.gameday import book
from halab.scenario.record import game_day_events
from halab.scenario.record.events import Sample
from halab.serve.jobs import Job
from halab.serve.server import Serving, serving

LOOK = (Path(__file__).parent / "look.js").read_text()
DESK, PHONE, PROJECTOR = 1280, 400, 1920
# High enough to show the whole page: the colours behind a text are known only if it is visible.
HEIGHT = 6000


@pytest.fixture
def room(tmp_path: Path, user_state: None) -> Iterator[ServeRoom]:
    made = ServeRoom(tmp_path)
    yield made
    made.day.close()


@pytest.fixture
def user_state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


@pytest.fixture
def served(room: ServeRoom) -> Iterator[Serving]:
    with serving(
        [room.folder / "lab.yml"], 0, room.said.append, with_trainer=True, deps=room.deps
    ) as running:
        yield running


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    with browsing(chromium(), tmp_path) as opened:
        opened.look(width=DESK)
        yield opened


def learner_of(served: Serving) -> str:
    return served.site.lab_access["ha"].url(served.origin)


def trainer_of(served: Serving) -> str:
    return served.site.for_trainers().url(served.origin)


def record(room: ServeRoom) -> None:
    """What the sampler in the background has written of the first ten seconds."""
    folder = room.drill.work.drill / "clients"
    folder.mkdir()
    samples = (Sample(second, 0.01, "read-via-lb", None, second > 6, "200") for second in range(10))
    (folder / "samples-0.jsonl").write_text("".join(sample.to_json() + "\n" for sample in samples))
    room.drill.wait(10)


def solve(room: ServeRoom) -> None:
    room.failing = set()
    room.drill.found = dict.fromkeys(("back", "held-once"), TaskState.DONE)


def test_a_drill_is_seen_hinted_checked_and_passed_with_the_mouse(
    room: ServeRoom, served: Serving, browser: Browser
) -> None:
    browser.open(learner_of(served))
    browser.wait("document.querySelector('.pill.good')")
    room.failing = {"cp2"}
    room.start()
    browser.wait("document.querySelector('#drill h1')?.innerText === 'An API server is gone'")
    browser.wait("document.querySelector('.lanes .fails .bars .failed')")
    assert "ready-direct cp2" in browser.text(".lanes .fails")
    # the token is not in the address that a room sees
    assert browser.run("location.search") == ""

    browser.click("#hint")
    browser.wait("document.querySelectorAll('.hints li').length === 1")
    room.drill.found = {"back": TaskState.NOT_YET, "held-once": TaskState.DONE}
    browser.click("#check")
    browser.wait("document.querySelectorAll('.tasks li.done').length === 1")
    assert "not yet" in browser.text(".tasks")
    shown = browser.run("document.documentElement.outerHTML")
    assert not [secret for secret in ("hold-static-pod", "restore", "It was") if secret in shown]

    record(room)
    solve(room)
    browser.click("#answer-who")
    browser.type("cp2")
    browser.click("#send-who")
    browser.wait("document.querySelectorAll('.tasks li.done').length === 2")
    browser.click("#check")
    browser.wait("document.querySelector('.verdict')?.innerText === 'Passed'")
    assert "It was cp2." in browser.text(".debrief")
    assert "7 of 10 requests failed, from 0s to 7" in browser.text(".saw")
    told = browser.text(".moments").splitlines()
    assert [line.split(maxsplit=1)[1] for line in told] == [
        "requests of clients fail",
        "hint 1, for 5 points",
        "check 1: held-once is done",
        "all requests of clients are answered again",
        "answer to who: cp2 (right)",
        "check 2: back is done",
    ]
    play.restore(room.drill.lab_dir, Recorded(), deps=room.drill.deps)
    browser.wait("document.querySelector('.pill.good')")
    assert browser.text(".verdict") == "Passed"
    assert browser.errors == []


def test_a_double_click_is_one_click(room: ServeRoom, served: Serving, browser: Browser) -> None:
    room.start()
    browser.open(learner_of(served))
    browser.wait("document.getElementById('hint')")
    browser.run("(() => { const hint = document.getElementById('hint'); hint.click(); hint.click(); })()")
    browser.wait("document.querySelectorAll('.hints li').length === 1")
    browser.click("#answer-who")
    browser.type("cp1")
    browser.run(
        "(() => { const send = document.getElementById('send-who'); send.click(); send.click(); })()"
    )
    browser.wait("document.getElementById('message').innerText === 'wrong'")
    # the page shows new tasks when it hears of them
    browser.wait("document.querySelector('.tasks').innerText.includes('1 try left')")
    assert browser.text("#message") == "wrong"
    assert len(play.status(room.drill.lab_dir, deps=room.drill.deps).hints) == 1


def test_what_a_page_said_while_halab_was_busy_goes_when_halab_has_finished(
    room: ServeRoom, served: Serving, browser: Browser
) -> None:
    room.start()
    browser.open(learner_of(served))
    browser.wait("document.getElementById('hint')")
    lab = served.site.labs["ha"]
    running = Job("Checking the tasks", ("drill", "check"), is_secret=False)
    lab.jobs.last = running
    lab.wake()
    browser.wait("document.querySelector('#hint[aria-disabled]')")
    browser.click("#hint")
    browser.wait("document.getElementById('message').innerText.startsWith('halab is still busy')")
    lab.jobs.last = replace(running, code=1)
    lab.wake()
    browser.wait("document.getElementById('message').innerText === ''")
    # a click that follows at once counts as a double click
    browser.run("new Promise((done) => setTimeout(done, 600))")
    browser.click("#hint")
    browser.wait("document.querySelectorAll('.hints li').length === 1")


def test_a_drill_is_done_with_the_keyboard_alone(room: ServeRoom, served: Serving, browser: Browser) -> None:
    room.start()
    browser.open(learner_of(served))
    browser.wait("document.getElementById('hint')")
    browser.tab_to("hint")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('.hints li').length === 1")
    # the page was drawn again, and the focus is where it was
    assert browser.run("document.activeElement.id") == "hint"
    solve(room)
    browser.tab_to("answer-who")
    browser.type("cp")
    room.drill.wait(700)
    browser.wait("document.querySelector('.clock.over')")
    browser.type("2")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('.tasks li.done').length === 1")
    browser.tab_to("check")
    browser.press("Enter")
    browser.wait("document.querySelector('.verdict')?.innerText === 'Failed'")
    assert "the time limit has passed" in browser.text(".figures")


def test_a_trainer_sees_what_is_hidden_and_starts_a_drill(
    room: ServeRoom, served: Serving, browser: Browser
) -> None:
    browser.open(trainer_of(served))
    browser.click(".controls summary")
    browser.click("form[action$='/start'] button")
    browser.wait("document.getElementById('ha-hidden').innerText.includes('hold-static-pod on cp2')")
    assert "right: cp2" in browser.text("#ha-hidden")
    browser.click("#ha-more summary")
    room.drill.found = {"back": TaskState.DONE}
    browser.run("document.querySelector(\"form[action$='/final'] button\").click()")
    browser.wait("document.querySelector('#ha-head .pill.changing')")
    assert browser.errors == []


def outage(room: ServeRoom) -> None:
    """The game day after 75 seconds: the first break is open, and clients get no answer."""
    day = room.day
    day.sample(63)
    day.inject(63, HUNG)
    day.happen(70, game_day_events.WritesRead(120, ()))
    day.happen(70, game_day_events.Note("anna", "cp2 hangs, I look at its API server", noon_and(room, 69)))
    day.sample(78, fails=True)
    room.drill.wait(78)


def noon_and(room: ServeRoom, t: float) -> str:
    return (room.day.began + timedelta(seconds=t)).isoformat()


def over(room: ServeRoom) -> None:
    room.day.heal(90, HUNG)
    room.day.inject(303, STOPPED, "kubelet is stopped")
    room.day.heal(400, STOPPED)
    room.day.end(403)
    room.drill.wait(400)


def test_a_trainer_leads_a_game_day_with_the_keyboard_and_its_team_sees_nothing_hidden(
    room: ServeRoom, served: Serving, browser: Browser, tmp_path: Path
) -> None:
    (room.folder / "storm.yml").write_text(room.day.text)
    browser.open(trainer_of(served))
    browser.run("document.querySelector('#ha-days summary').id = 'days'")
    browser.tab_to("days")
    browser.press("Enter")
    browser.tab_to("ha-start-day")
    browser.press("Enter")
    browser.wait("document.querySelector('#ha-hidden .day')?.innerText.includes('storm.yml, seed 7')")
    outage(room)
    browser.wait(
        "document.querySelector('.breaks .open')?.innerText.includes('pause-process on any-cp (cp2)')"
    )
    browser.wait("document.querySelector('.conditions .out')?.innerText.includes('out for')")
    assert "write-via-lb fails for" in browser.text(".log")
    assert "1:1" in browser.text("#ha-head .clock")

    browser.tab_to("ha-note-by")
    browser.type("kim")
    browser.tab_to("ha-note-text")
    browser.type("they look at")
    # the page is drawn again while somebody types
    room.drill.wait(1)
    browser.wait("document.querySelector('#ha-head .clock').innerText.includes('1:16')")
    assert browser.run("document.activeElement.id") == "ha-note-text"
    browser.type(" cp2")
    browser.press("Enter")
    browser.wait("document.getElementById('ha-note-text').value === ''")
    assert browser.run("document.getElementById('ha-note-by').value") == "kim"
    browser.tab_to("ha-heal-first-api")
    browser.press("Enter")
    browser.wait("document.getElementById('message').innerText.includes('halab heals within a second')")
    browser.tab_to("ha-heal-all")
    browser.press("Enter")
    with browsing(chromium(), tmp_path / "team") as team:
        team.look(width=DESK)
        team.open(learner_of(served))
        team.wait("document.querySelector('#drill h1')?.innerText === 'Two failures'")
        shown = team.run("document.documentElement.outerHTML")
        assert not [secret for secret in SECRETS if secret in shown]
        team.tab_to("note-text")
        team.type("cp2 answers again")
        team.press("Enter")
        team.wait("document.getElementById('note-text').value === ''")
        browser.tab_to("ha-end-day")
        browser.press("Enter")
        browser.wait("document.querySelector('#ha-hidden .day').innerText.includes('Ending')")
        asked = [(str(entry.kind), entry.by, entry.text) for entry in book.reader(room.day.work).new()]
        assert asked == [
            ("note", "kim", "they look at cp2"), ("heal", "trainer", "first-api"), ("heal", "trainer", ""),
            ("note", "the team", "cp2 answers again"), ("end", "trainer", ""),
        ]  # fmt: skip
        over(room)
        team.wait("document.querySelector('.verdict')?.innerText === 'Passed'")
        assert "cp2 hangs, I look at its API server" in team.text(".log")
        assert team.errors == []
    browser.wait("document.getElementById('ha-debrief')")
    browser.open(browser.run("document.getElementById('ha-debrief').href"))
    assert "Log of the game day" in browser.text("body")
    assert browser.run("getComputedStyle(document.querySelector('h1')).fontSize") != "32px"
    assert browser.errors == []


def test_a_page_says_that_the_server_has_ended(room: ServeRoom, browser: Browser) -> None:
    with serving([room.folder / "lab.yml"], 0, room.said.append, deps=room.deps) as running:
        browser.open(learner_of(running))
        browser.wait("document.querySelector('.pill.good')")
    browser.wait("document.getElementById('message').innerText.includes('halab serve has ended')")


def test_a_lab_that_goes_down_is_said_on_the_page(
    room: ServeRoom, served: Serving, browser: Browser
) -> None:
    browser.open(learner_of(served))
    browser.wait("document.querySelector('.pill.good')")
    room.go_down()
    browser.wait(
        "document.querySelector('.problem')?.innerText.includes('the lab ha is not up (run `halab up`)')"
    )
    room.come_up()
    browser.wait("document.querySelector('.pill.good')")


@pytest.mark.parametrize(
    ("page", "width", "dark"),
    [
        ("drill", DESK, False), ("drill", DESK, True), ("drill", PHONE, False), ("drill", PHONE, True),
        ("live", PROJECTOR, False), ("live", PHONE, True), ("over", DESK, True), ("over", PHONE, False),
        ("trainer", DESK, False), ("trainer", PHONE, True),
        ("day", DESK, False), ("day", PHONE, True), ("day-over", DESK, True), ("day-over", PHONE, False),
        ("trainer-day", DESK, True), ("trainer-day", PHONE, False), ("trainer-day-over", PHONE, True),
    ],
)  # fmt: skip
def test_a_page_is_readable(
    page: str, width: int, dark: bool, room: ServeRoom, served: Serving, browser: Browser
) -> None:
    room.failing = {"cp2"}
    if "day" in page:
        room.day.begin()
        outage(room)
    elif page != "live":
        room.start()
        play.hint(room.drill.lab_dir, deps=room.drill.deps)
    if page == "over":
        record(room)
        play.give_up(room.drill.lab_dir, deps=room.drill.deps)
    browser.look(width=width, height=HEIGHT, dark=dark)
    browser.open(trainer_of(served) if page.startswith("trainer") else learner_of(served))
    if "day-over" in page:
        browser.wait("document.querySelector('.conditions')")
        over(room)
    shown = {
        "drill": "#drill .hints",
        "live": ".lanes .fails",
        "over": ".debrief",
        "trainer": "#ha-hidden table",
        "day": "#drill .conditions .out",
        "day-over": ".verdict-card",
        "trainer-day": "#ha-hidden .breaks .open",
        "trainer-day-over": "#ha-debrief",
    }
    browser.wait(f"document.querySelector('{shown[page]}')")
    browser.run(f"(() => {{ {LOOK} }})()")
    opened = "document.querySelectorAll('details').forEach((details) => { details.open = true; })"
    problems: dict[str, Any] = browser.run(f"{opened}, look()")
    assert problems["looked_at"] == problems["texts"] > 15
    assert problems["overlaps"] == []
    assert problems["outside"] == []
    assert problems["pale"] == []
    assert not problems["is_wider"]
    assert [name for name in problems["loaded"] if not name.startswith(served.origin)] == []
    assert problems["is_dark"] == dark
