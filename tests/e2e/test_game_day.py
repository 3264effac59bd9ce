"""Short game days on a small lab: the team heals one break and the clock another; an outage stops everything."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.cli_driver import UserLab, lab_in

HANG = "{inject: pause-process, name: hung, on: cp1, with: {process: kube-apiserver}}"
DAY = """\
title: Two breaks in a hundred seconds
lasts: 100s
breaks:
  - name: api
    at: 5s
    heal_after: 20s
    steps: [HANG]
  - name: kubelet
    at: 40s
    steps: [{inject: stop-service, name: stopped, on: cp1, with: {service: kubelet}}]
stop: {outage: {read-via-lb: 45s, write-via-lb: 45s}}
""".replace("HANG", HANG)
TOO_LONG = """\
title: An outage that is too long
lasts: 5m
breaks:
  - name: api
    at: 2s
    steps: [HANG]
stop: {outage: {write-via-lb: 10s}}
""".replace("HANG", HANG)
LOST = """\
title: Somebody deletes what clients have written
lasts: 5m
breaks:
  - name: writes
    at: 10s
    steps:
      - inject: run-script
        name: deleted
        on: cp1
        with:
          script: |
            export KUBECONFIG=/etc/kubernetes/admin.conf
            for name in $(kubectl get namespaces -l halab=ledger -o name); do
              kubectl -n ${name#*/} delete configmaps --all
            done
          undo: "true"
stop: {outage: {write-via-lb: 60s}}
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    yield from lab_in(tmp_path_factory.mktemp("game-day"), "name: e2e-game-day\ncontrol_planes: 1\n")


@contextmanager
def begun(lab: UserLab) -> Iterator[subprocess.Popen[str]]:
    """A game day that runs beside the test. It is interrupted if the test fails."""
    playing = lab.begin("gameday", "day.yml", "--seed", "1")
    try:
        yield playing
    finally:
        if playing.poll() is None:
            playing.send_signal(signal.SIGINT)
        playing.communicate(timeout=300)


def wait_for(what: str, happened: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        time.sleep(1)


@pytest.mark.nightly
def test_the_team_heals_one_break_the_clock_the_other_and_the_log_tells_both(lab: UserLab) -> None:
    (lab.folder / "day.yml").write_text(DAY)
    journal = lab.folder / ".halab/journal.jsonl"
    with begun(lab) as playing:
        wait_for("the begin", lambda: lab.halab("gameday", "note", "--by", "anna", "we look").code == 0)
        wait_for("the second break", lambda: journal.exists() and "stop-service" in journal.read_text())
        status = lab.status()
        assert (status["game_day_is_on"], status["open_faults"]) == (True, [])
        assert lab.halab("heal").code == 3
        lab.ok("gameday", "heal", "kubelet", "--by", "ben")
        output, _ = playing.communicate(timeout=600)
    assert playing.returncode == 0, output
    assert "PASS day: Two breaks in a hundred seconds" in output
    told = [
        (row["who"], row["what"]) for row in json.loads((lab.last_run() / "log.json").read_text())["log"]
    ]
    assert ("anna", "we look") in told
    assert told.index(("ben", "asks to heal kubelet")) < told.index(("halab", "stopped is healed on cp1"))
    assert any(who == "clients" and what.startswith("read-via-lb fails") for who, what in told)
    assert lab.status()["steady"]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("text", "why"), [(TOO_LONG, "has been out for more than 10s"), (LOST, "writes are lost")]
)
def test_a_stop_condition_heals_everything_and_the_game_day_fails(lab: UserLab, text: str, why: str) -> None:
    (lab.folder / "day.yml").write_text(text)
    done = lab.halab("gameday", "day.yml", "--seed", "1", "--json")
    assert done.code == 1
    told = json.loads(done.output)
    assert told["verdict"] == "fail"
    [stopped] = [row for row in told["log"] if row["what"].startswith("stops, and heals everything")]
    assert why in stopped["what"]
    assert stopped["t"] < 120
    assert lab.status()["open_faults"] == []
