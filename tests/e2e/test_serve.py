"""A drill and a game day in a real browser, on a real lab: a trainer starts them, and learners work on the lab."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.browser import Browser, browsing, chromium
from support.cli_driver import UserLab, end, engine_names, lab_in

LAB = "e2e-serve"
DRILL = "unreachable-api"
REPAIR = "sudo sed -i s/:7443$/:6443/ /etc/haproxy/haproxy.cfg && sudo systemctl reload haproxy"
# Nothing of these may reach a learner before the end: the drill's name, its fault, the right answer.
SECRETS = (DRILL, "edit-balancer", "7443")

DAY = """\
title: Two failures
about: A process that was paused holds its connections.
lasts: 6m
breaks:
  - name: paused-api
    at: 10s
    heal_after: 3m
    steps: [{inject: pause-process, name: hung, on: cp1, with: {process: kube-apiserver}}]
  - name: no-kubelet
    at: 35s
    steps: [{inject: stop-service, name: stopped, on: cp1, with: {service: kubelet}}]
stop: {outage: {read-via-lb: 90s, write-via-lb: 90s}}
"""
# Nothing of these may reach the team before the end.
SECRETS_OF_DAY = (
    "paused-api",
    "no-kubelet",
    "pause-process",
    "stop-service",
    "holds its",
    "day.yml",
    "seed",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {LAB}\ncontrol_planes: 1\n"
    yield from lab_in(tmp_path_factory.mktemp("serve"), text)
    assert engine_names("container", LAB) == ""


@pytest.fixture
def served(lab: UserLab) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """`halab serve`, and the addresses that it printed, by the name of the page."""
    child = lab.begin("serve", "--trainer", "--port", "0")
    try:
        assert child.stdout is not None
        addresses: dict[str, str] = {}
        while len(addresses) < 2:
            line = child.stdout.readline()
            assert line, "halab serve has ended"
            name, _, address = line.strip().partition(": ")
            if address.startswith("http"):
                addresses[name] = address
        yield child, addresses
    finally:
        # a command that a page has started ends too, which it would not do if its parent were killed
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(30)
        end(child)


@pytest.mark.nightly
def test_a_drill_is_started_checked_solved_and_passed_in_the_browser(
    lab: UserLab, served: tuple[subprocess.Popen[str], dict[str, str]], tmp_path: Path
) -> None:
    child, addresses = served
    with (
        browsing(chromium(), tmp_path / "learner") as learner,
        browsing(chromium(), tmp_path / "trainer") as trainer,
    ):
        for browser in (learner, trainer):
            browser.look(width=1280)
        learner.open(addresses[f"lab {LAB}"])
        learner.wait("document.querySelector('.pill')?.innerText === 'Clients are served'")

        trainer.open(addresses["trainer"])
        trainer.click(".controls summary")
        trainer.run(f"document.getElementById('{LAB}-drill').value = '{DRILL}'")
        trainer.click("form[action$='/start'] button")
        learner.wait("document.querySelector('#drill h1')?.innerText === 'Nobody reaches the API'", 300)
        learner.wait("document.querySelector('.lanes .clients.fails .bars .failed')")
        assert learner.text(".pill") == "Client requests fail"
        trainer.wait(f"document.getElementById('{LAB}-hidden').innerText.includes('edit-balancer on lb1')")

        # the command that started the drill is about to end
        learner.wait("document.querySelector('#hint:not([aria-disabled])')")
        learner.click("#hint")
        learner.wait("document.querySelectorAll('.hints li').length === 1")
        learner.click("#check")
        # before the first check, a task has no note
        learner.wait("document.querySelector('.tasks li:first-child .note')?.innerText === 'not yet'", 120)
        learner.wait("!document.querySelector('#check[aria-disabled]')")
        _require_secret(learner, SECRETS)
        learner.picture(tmp_path / "drill.png")
        trainer.picture(tmp_path / "trainer.png")

        lab.ok("ssh", "lb1", "--", REPAIR)
        learner.wait("document.querySelector('.pill')?.innerText === 'Clients are served'")
        learner.tab_to("answer-port")
        learner.type("7443")
        learner.press("Enter")
        learner.wait("document.querySelectorAll('.tasks .done').length === 1")
        learner.tab_to("check")
        learner.press("Enter")
        learner.wait("document.querySelector('.verdict')?.innerText === 'Passed'", 120)
        assert "95\xa0%" in learner.text(".verdict-card")
        assert "listened on port 7443" in learner.text(".debrief")
        # the sampler in the background saw the failures until the repair
        for probe in ("ready-via-lb", "read-via-lb", "write-via-lb"):
            assert probe in learner.text(".saw")
        assert "requests failed, from" in learner.text(".saw")
        told = learner.text(".moments")
        for line in ("requests of clients fail", "hint 1, for 5 points", "check 1: nothing has changed",
                     "all requests of clients are answered again", "answer to port: 7443 (right)",
                     "check 2: reachable and writable are done"):  # fmt: skip
            assert line in told
        learner.wait("document.querySelector('.pill')?.innerText === 'Clients are served'", 300)
        learner.picture(tmp_path / "debrief.png")
        assert learner.errors == trainer.errors == []

    [outcome] = json.loads(lab.ok("drill", "history", "--json"))
    assert (outcome["drill"], outcome["verdict"], outcome["hints"]) == (DRILL, "pass", 1)
    saw = outcome["clients"]["ready-via-lb"]
    assert 0 < saw["failed"] < saw["asked"]
    assert saw["outages"][-1][1] < outcome["seconds"]
    lab.wait_until_steady()
    _interrupt(child)


@pytest.mark.nightly
def test_a_game_day_is_started_led_and_ended_in_the_browser(
    lab: UserLab, served: tuple[subprocess.Popen[str], dict[str, str]], tmp_path: Path
) -> None:
    _, addresses = served
    (lab.folder / "day.yml").write_text(DAY)
    of_day = f"document.getElementById('{LAB}-hidden').innerText"
    with (
        browsing(chromium(), tmp_path / "team") as team,
        browsing(chromium(), tmp_path / "trainer") as trainer,
    ):
        for browser in (team, trainer):
            browser.look(width=1280)
        team.open(addresses[f"lab {LAB}"])
        team.wait("document.querySelector('.pill')?.innerText === 'Clients are served'")

        trainer.open(addresses["trainer"])
        trainer.click(f"#{LAB}-days summary")
        trainer.click(f"#{LAB}-start-day")
        team.wait("document.querySelector('#drill h1')?.innerText === 'Two failures'", 120)
        trainer.wait(f"{of_day}.includes('day.yml, seed ')")
        trainer.wait(f"document.getElementById('{LAB}-heal-paused-api')", 120)
        team.wait("document.querySelector('.conditions')?.innerText.includes('write-via-lb out for')")
        team.wait("document.querySelector('.pill').innerText === 'Client requests fail'")
        _require_secret(team, SECRETS_OF_DAY)
        assert lab.status()["game_day_is_on"]
        team.tab_to("note-by")
        team.type("anna")
        team.tab_to("note-text")
        team.type("the API server hangs")
        team.press("Enter")
        trainer.wait(
            "document.querySelector('.log .person')?.innerText.includes('anna: the API server hangs')"
        )
        trainer.picture(tmp_path / "trainer-on.png")
        team.picture(tmp_path / "team-on.png")

        trainer.click(f"#{LAB}-heal-paused-api")
        trainer.wait(f"{of_day}.includes('hung is healed on cp1')", 60)
        team.wait("document.querySelector('.pill').innerText === 'Clients are served'")
        # the writes are read back every 15 seconds
        trainer.wait(f"{of_day}.includes('acknowledged writes read back')", 60)
        trainer.wait("document.querySelectorAll('.breaks .open').length === 1", 60)
        team.look(width=400, dark=True)
        trainer.look(width=400, dark=True)
        team.picture(tmp_path / "team-phone.png")
        trainer.picture(tmp_path / "trainer-phone.png")
        _require_secret(team, SECRETS_OF_DAY)
        # a day that is shorter than the longest bound of `stop` cannot be judged
        team.wait("document.querySelector('.clock b').innerText >= '1:35'", 120)
        trainer.click(f"#{LAB}-end-day")
        team.wait("document.querySelector('.verdict')?.innerText === 'Passed'", 240)
        team.look(width=1280)
        trainer.look(width=1280)
        team.picture(tmp_path / "team-over.png")
        trainer.picture(tmp_path / "trainer-over.png")
        assert "A process that was paused holds its connections." in team.text(".debrief")
        team.open(team.run("document.getElementById('debrief').href"))
        assert "the API server hangs" in team.text("body")
        team.picture(tmp_path / "report.png")
        assert team.errors == trainer.errors == []
    told = [
        (row["who"], row["what"]) for row in json.loads((lab.last_run() / "log.json").read_text())["log"]
    ]
    for line in (
        ("anna", "the API server hangs"),
        ("trainer", "asks to heal paused-api"),
        ("trainer", "ends the game day"),
        ("halab", "stopped is healed on cp1"),
    ):
        assert line in told
    lab.wait_until_steady()


def _require_secret(learner: Browser, secrets: tuple[str, ...]) -> None:
    state = learner.run("fetch('state.json').then((response) => response.text())")
    source = learner.run("fetch('.').then((response) => response.text())")
    shown = learner.run("document.documentElement.outerHTML")
    for secret in secrets:
        for written in (state, source, shown):
            assert secret not in written


def _interrupt(child: subprocess.Popen[str]) -> None:
    """Ctrl-C ends it at once, and its sampler too."""
    children = [int(number) for task in Path(f"/proc/{child.pid}/task").iterdir()
                for number in (task / "children").read_text().split()]  # fmt: skip
    assert children
    begun = time.monotonic()
    os.killpg(child.pid, signal.SIGINT)
    said = child.communicate(timeout=30)[0]
    assert child.returncode == 0, said
    assert time.monotonic() - begun < 10
    assert not [number for number in children if Path(f"/proc/{number}").exists()]
